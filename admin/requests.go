package admin

import (
	"context"
	"strconv"

	"barong/internal/account"
	"barong/internal/approval"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/ability"
)

// asked answers changes that wait for a second member of the staff.
var asked = rest.All(
	rest.Accepted(func(r account.Asked) (view.Waiting, string) {
		return view.WaitingOf(r), "/admin/requests/" + strconv.FormatInt(r.ID, 10)
	}),
	rest.On(account.ErrTooManyRequests, 422, "admin.request.too_many_open"),
)

type requestPage struct {
	State  requestState  `name:"state" rule:"nonblank"`
	Action requestAction `name:"action" rule:"nonblank"`
	Asker  string        `name:"asked_by" rule:"nonblank" doc:"The uid of a user, the names of peer services, or a command."`
	rest.Paging
}

// policyErrors are the refusals of which previews of requests answer the token.
var policyErrors = rest.All(permissionErrors.Under("admin.request"))

// The words of requests.
type (
	requestState  string
	requestAction string
)

func (requestState) Values() ([]string, string) { return account.RequestStates(), ".invalid_state" }
func (requestAction) Values() ([]string, string) {
	return account.RequestActions(), ".invalid_action"
}

type requestRef struct {
	ID int64 `name:"id"`
}

// requests are the endpoints of changes that wait for a second member of the staff.
func (a *API) requests(s section) {
	read := s.may(ability.Read)
	rest.Add(read, rest.Op{Method: "GET", Summary: "List requests for a second member of the staff, the newest first."}, a.listRequests)
	gone := rest.On(account.ErrNoRequest, 404, "record.not_found")
	rest.Add(read, rest.Op{
		Method: "GET", Path: "/{id}", Summary: "Read a request for a second member of the staff.", Errors: gone,
	}, a.readRequest)
	g := s.may(ability.Update).Failing(gone, reachErrors,
		rest.On(account.ErrRequestClosed, 409, ".not_open"),
		rest.On(approval.ErrNotPermitted, 401, "admin.ability.not_permitted"))
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/{id}/confirm", Status: 200, Summary: "Confirm the request of another: its change is made at once.",
		Errors: rest.All(
			rest.On(approval.ErrOwn, 422, ".own"),
			rest.On(approval.ErrRulesChanged, 409, ".rules_changed"),
			rest.On(account.ErrAskerLost, 409, ".asker_changed"),
			rest.Alike(409, ".target_changed", account.ErrTargetChanged, account.ErrNoUser),
			rest.Rules("role.doesnt_exist"),
		),
	}, a.confirmRequest)
	rest.Add(g, rest.Op{
		Method: "POST", Path: "/{id}/refuse", Status: 200, Summary: "Refuse a request, or withdraw your own.",
	}, a.refuseRequest)
}

func (a *API) listRequests(ctx context.Context, _ staff, in requestPage) (rest.Page[view.Request], error) {
	list, total, err := a.Requests.Page(ctx, account.RequestQuery{
		State: string(in.State), Action: string(in.Action), Asker: in.Asker, Limit: in.Limit, Offset: in.Offset(),
	})
	return rest.PageOf(list, total, in.Paging, a.request), err
}

func (a *API) readRequest(ctx context.Context, who staff, in requestRef) (v view.RequestWithPreviews, err error) {
	r, err := a.Requests.Request(ctx, in.ID)
	if err != nil {
		return v, err
	}
	v.Request = a.request(r)
	then, now, err := a.Requests.Previews(ctx, who.Actor, r)
	if err != nil || then == nil {
		return v, err
	}
	v.Preview = new(view.PreviewOf(*then, ""))
	if now != nil {
		v.PreviewNow = new(view.PreviewOf(*now, policyErrors.Token(now.Refusal)))
	}
	return v, nil
}

func (a *API) confirmRequest(ctx context.Context, who staff, in requestRef) (v view.Request, err error) {
	r, err := a.Requests.Confirm(ctx, who.Actor, in.ID)
	if err != nil {
		return v, err
	}
	return a.request(r), nil
}

func (a *API) refuseRequest(ctx context.Context, who staff, in requestRef) (v view.Request, err error) {
	r, err := a.Requests.Refuse(ctx, who.Actor, in.ID)
	if err != nil {
		return v, err
	}
	return a.request(r), nil
}

// request shows r as it is now.
func (a *API) request(r account.Request) view.Request { return view.RequestOf(r, a.Now()) }
