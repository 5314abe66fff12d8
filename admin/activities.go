package admin

import (
	"context"
	"net/http"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

// activityFilter are the parameters of both lists; an empty value is looked for, not ignored.
type activityFilter struct {
	Topic  *string `name:"topic" invalid:"admin.activity.non_string_topic"`
	Action *string `name:"action" invalid:"admin.activity.non_string_action"`
	UID    *string `name:"uid" invalid:"admin.activity.non_string_uid" doc:"Of the actor."`
	Email  *string `name:"email" invalid:"admin.activity.non_string_email" doc:"Of the actor."`
}

type activityPage struct {
	activityFilter
	span
	rest.Paging
}

type adminActivityPage struct {
	activityFilter
	TargetUID *string `name:"target_uid" invalid:"admin.activity.non_string_target_uid" doc:"Of whom it was done to."`
	Range     string  `name:"range" enum:"created" default:"created" value:"admin.activity.invalid_range"`
	span
	rest.Paging
}

func (a *API) activities(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List activities of users, newest first.",
	}, may(a, a.listActivities, need{ability.Read, ability.SubjectActivity}))
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Path: "/admin", Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List activities of staff, newest first.",
	}, may(a, a.listAdminActivities, need{ability.Read, ability.SubjectActivity}))
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

// journal reads a page and everybody whom it names.
func (a *API) journal(ctx context.Context, q audit.JournalQuery) (list []audit.Activity, total int, users map[string]account.User, err error) {
	list, total, err = a.Activities.Journal(ctx, q)
	if err != nil {
		return nil, 0, nil, err
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
	users, err = a.Activities.UsersByUID(ctx, uids)
	return list, total, users, err
}

func (a *API) listActivities(ctx context.Context, _ staff, in activityPage) (out rest.Page[view.ActivityWithUser], err error) {
	list, total, users, err := a.journal(ctx, in.query(audit.CategoryUser, in.span, in.Paging))
	if err != nil {
		return out, err
	}
	out = rest.Page[view.ActivityWithUser]{Total: total, Paging: in.Paging}
	for _, x := range list {
		if u, ok := users[x.ActorUID]; ok { // else deleted this very moment
			out.Items = append(out.Items, view.ActivityWithUserOf(x, u))
		}
	}
	return out, nil
}

func (a *API) listAdminActivities(ctx context.Context, _ staff, in adminActivityPage) (out rest.Page[view.AdminActivity], err error) {
	q := in.query(audit.CategoryAdmin, in.span, in.Paging)
	q.TargetUID = in.TargetUID
	list, total, users, err := a.journal(ctx, q)
	if err != nil {
		return out, err
	}
	out = rest.Page[view.AdminActivity]{Total: total, Paging: in.Paging}
	for _, x := range list {
		u, ok := users[x.ActorUID]
		if !ok {
			continue
		}
		var target *account.User
		if t, ok := users[x.TargetUID]; ok {
			target = &t
		}
		out.Items = append(out.Items, view.AdminActivityOf(x, u, target))
	}
	return out, nil
}
