package admin

import (
	"context"

	"barong/internal/audit"
	"barong/internal/chronicle"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

// activityFilter are the parameters of both lists; an empty value is looked for, not ignored.
type activityFilter struct {
	Topic  *string `name:"topic" invalid:".non_string_topic"`
	Action *string `name:"action" invalid:".non_string_action"`
	UID    *string `name:"uid" invalid:".non_string_uid" doc:"Of the actor."`
	Email  *string `name:"email" invalid:".non_string_email" doc:"Of the actor."`
	Result string  `name:"result" rule:"nonblank" enum:"succeed,failed,denied" value:".invalid_result"`
}

type activityPage struct {
	activityFilter
	rest.Span
	rest.Paging
}

type adminActivityPage struct {
	activityFilter
	TargetUID *string `name:"target_uid" invalid:".non_string_target_uid" doc:"Of whom it was done to."`
	Range     string  `name:"range" enum:"created" default:"created" value:".invalid_range"`
	rest.Span
	rest.Paging
}

func (a *API) activities(s section) {
	g := s.may(ability.Read)
	rest.Add(g, rest.Op{Method: "GET", Summary: "List activities of users, newest first."}, a.listActivities)
	rest.Add(g, rest.Op{Method: "GET", Path: "/admin", Summary: "List activities of staff, newest first."}, a.listAdminActivities)
}

// query is the question of both lists.
func (f activityFilter) query(category string, s rest.Span, p rest.Paging) audit.JournalQuery {
	from, to := s.Bounds()
	return audit.JournalQuery{
		Category: category, Topic: f.Topic, Action: f.Action, ActorUID: f.UID, ActorEmail: f.Email, Result: f.Result,
		From: from, To: to, Limit: p.Limit, Offset: p.Offset(),
	}
}

func (a *API) listActivities(ctx context.Context, _ staff, in activityPage) (rest.Page[view.ActivityWithUser], error) {
	list, total, err := chronicle.Deeds(ctx, a.Activities, in.query(audit.CategoryUser, in.Span, in.Paging))
	return rest.PageOf(list, total, in.Paging, view.ActivityWithUserOf), err
}

func (a *API) listAdminActivities(ctx context.Context, _ staff, in adminActivityPage) (rest.Page[view.AdminActivity], error) {
	q := in.query(audit.CategoryAdmin, in.Span, in.Paging)
	q.TargetUID = in.TargetUID
	list, total, err := chronicle.Deeds(ctx, a.Activities, q)
	return rest.PageOf(list, total, in.Paging, view.AdminActivityOf), err
}
