package admin

import (
	"context"
	"slices"

	"barong/internal/audit"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/view"
	"barong/policy/ability"
)

type userSessions struct {
	userRef
	rest.Paging
}

type userSession struct {
	userRef
	Handle string `name:"handle"`
}

// sessions are the endpoints of the sessions of users.
func (a *API) sessions(s section) {
	read := s.may(ability.Read).Failing(noUser)
	rest.Add(read, rest.Op{
		Method: "GET", Path: "/{uid}/sessions", Summary: "List the sessions of a user with their devices, newest first.",
	}, a.listSessions)
	g := s.may(ability.Update).Failing(noUser, reachErrors)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/{uid}/sessions/{handle}", Summary: "End a session of a user.",
		Errors: rest.On(session.ErrNotFound, 404, "record.not_found"),
	}, a.endSession)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/{uid}/sessions", Summary: "End all sessions of a user.",
	}, a.endSessions)
}

func (a *API) listSessions(ctx context.Context, _ staff, in userSessions) (out rest.Page[view.Session], err error) {
	live, err := a.liveSessions(ctx, in.UID)
	from := min(in.Offset(), len(live))
	return rest.PageOf(live[from:min(from+in.Limit, len(live))], len(live), in.Paging, func(s session.Live) view.Session {
		return view.SessionOf(s, a.CountryOf(s.IP), false)
	}), err
}

func (a *API) endSession(ctx context.Context, who staff, in userSession) (none rest.None, err error) {
	if err := a.Accounts.MayChange(ctx, who.Actor, in.UID); err != nil {
		return none, err
	}
	live, err := a.liveSessions(ctx, in.UID)
	if err != nil {
		return none, err
	}
	i := slices.IndexFunc(live, func(s session.Live) bool { return s.ID.Handle() == in.Handle })
	if i < 0 {
		return none, session.ErrNotFound
	}
	if err := a.Sessions.End(ctx, live[i].ID); err != nil {
		return none, err
	}
	a.note(ctx, who, audit.Succeed, rest.Values(in))
	return none, nil
}

func (a *API) endSessions(ctx context.Context, who staff, in userRef) (rest.None, error) {
	_, err := a.Accounts.RevokeSessions(ctx, who.Actor, in.UID)
	return rest.None{}, err
}

// liveSessions are those of the user uid that have not ended.
func (a *API) liveSessions(ctx context.Context, uid string) ([]session.Live, error) {
	u, err := a.Users.User(ctx, uid)
	if err != nil {
		return nil, err
	}
	return a.Sessions.List(ctx, uid, u.SessionGeneration, nil, a.Now())
}
