package admin

import (
	"context"

	"barong/internal/account"
	"barong/internal/audit"
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
}

type activityPage struct {
	activityFilter
	span
	rest.Paging
}

type adminActivityPage struct {
	activityFilter
	TargetUID *string `name:"target_uid" invalid:".non_string_target_uid" doc:"Of whom it was done to."`
	Range     string  `name:"range" enum:"created" default:"created" value:".invalid_range"`
	span
	rest.Paging
}

func (a *API) activities(s section) {
	g := s.may(ability.Read)
	rest.Add(g, rest.Op{Method: "GET", Summary: "List activities of users, newest first."}, a.listActivities)
	rest.Add(g, rest.Op{Method: "GET", Path: "/admin", Summary: "List activities of staff, newest first."}, a.listAdminActivities)
}

// query is the question of both lists.
func (f activityFilter) query(category string, s span, p rest.Paging) audit.JournalQuery {
	q := audit.JournalQuery{
		Category: category, Topic: f.Topic, Action: f.Action, ActorUID: f.UID, ActorEmail: f.Email,
		Limit: p.Limit, Offset: p.Offset(),
	}
	q.From, q.To = s.bounds()
	return q
}

// journal is a page of activities, each shown by show with the users whom the page names; show reports
// false for one to leave out.
func journal[T any](
	ctx context.Context, a *API, q audit.JournalQuery, at rest.Paging, show func(audit.Activity, map[string]account.User) (T, bool),
) (out rest.Page[T], err error) {
	list, total, err := a.Activities.Journal(ctx, q)
	if err != nil {
		return out, err
	}
	var uids []string
	seen := map[string]bool{"": true}
	for _, x := range list {
		for _, uid := range []string{x.ActorUID, x.TargetUID} {
			if !seen[uid] {
				seen[uid] = true
				uids = append(uids, uid)
			}
		}
	}
	users, err := a.Activities.UsersByUID(ctx, uids)
	out = rest.Page[T]{Total: total, Paging: at}
	for _, x := range list {
		if v, ok := show(x, users); ok {
			out.Items = append(out.Items, v)
		}
	}
	return out, err
}

func (a *API) listActivities(ctx context.Context, _ staff, in activityPage) (rest.Page[view.ActivityWithUser], error) {
	q := in.query(audit.CategoryUser, in.span, in.Paging)
	return journal(ctx, a, q, in.Paging, func(x audit.Activity, users map[string]account.User) (view.ActivityWithUser, bool) {
		actor, ok := users[x.ActorUID] // else deleted this very moment
		return view.ActivityWithUserOf(x, actor), ok
	})
}

func (a *API) listAdminActivities(ctx context.Context, _ staff, in adminActivityPage) (rest.Page[view.AdminActivity], error) {
	q := in.query(audit.CategoryAdmin, in.span, in.Paging)
	q.TargetUID = in.TargetUID
	return journal(ctx, a, q, in.Paging, func(x audit.Activity, users map[string]account.User) (view.AdminActivity, bool) {
		actor, ok := users[x.ActorUID]
		if target, known := users[x.TargetUID]; known {
			return view.AdminActivityOf(x, actor, &target), ok
		}
		return view.AdminActivityOf(x, actor, nil), ok
	})
}
