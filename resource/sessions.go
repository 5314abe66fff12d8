package resource

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"barong/internal/account"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/view"
)

// signOuts is the part of account.Service about the end of sessions.
type signOuts interface {
	// SessionRevoked records that somebody has ended one session.
	SessionRevoked(ctx context.Context, by account.Actor) error
	// SignOutEverywhere ends every session of an older generation than the one that it
	// returns.
	SignOutEverywhere(ctx context.Context, by account.Actor) (generation int64, err error)
}

type sessionRef struct {
	Handle string `name:"handle"`
}

func (a *API) sessions(g *rest.Group) {
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List the sessions in which you are signed in, newest first.",
	}, signedIn(a, a.listSessions))
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Path: "/{handle}", Status: http.StatusNoContent,
		Cost:    limit.Write,
		Summary: "End one of your sessions; ending the current one is signing out.",
	}, signedIn(a, a.endSession))
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Status: http.StatusNoContent,
		Cost:    limit.Write,
		Summary: "Sign out everywhere else; without a session of your own, everywhere.",
	}, signedIn(a, a.endOtherSessions))
}

func (a *API) listSessions(ctx context.Context, who me, in rest.Paging) (out rest.Page[view.Session], err error) {
	current, live, err := a.ownSessions(ctx, who)
	if err != nil {
		return out, err
	}
	out = rest.Page[view.Session]{Total: len(live), Paging: in}
	from := min(in.Offset(), len(live))
	for _, s := range live[from:min(from+in.Limit, len(live))] {
		isCurrent := current != nil && s.ID == current.ID
		if isCurrent {
			s.Seen = a.Now()
		}
		out.Items = append(out.Items, view.SessionOf(s, a.country(s.IP), isCurrent))
	}
	return out, nil
}

func (a *API) endSession(ctx context.Context, who me, in sessionRef) (out rest.With[rest.None], err error) {
	current, live, err := a.ownSessions(ctx, who)
	if err != nil {
		return out, err
	}
	for _, s := range live {
		if s.ID.Handle() != in.Handle {
			continue
		}
		if err := a.Sessions.End(ctx, s.ID); err != nil {
			return out, err
		}
		// The session has ended, as asked; a lost activity is the log's matter.
		if err := a.Accounts.SessionRevoked(ctx, who.Actor); err != nil {
			a.Log.ErrorContext(ctx, "end of a session not recorded",
				slog.String("request_id", rest.RequestID(ctx)), slog.Any("error", err))
		}
		if current != nil && s.ID == current.ID {
			out.SetCookie = session.ClearCookie(a.cookieName(), !a.InsecureCookie)
		}
		return out, nil
	}
	return out, account.ErrNotFound
}

func (a *API) endOtherSessions(ctx context.Context, who me, _ rest.None) (out rest.With[rest.None], err error) {
	current, err := a.current(ctx, who)
	if err != nil {
		return out, err
	}
	generation, err := a.Accounts.SignOutEverywhere(ctx, who.Actor)
	if err != nil {
		return out, err
	}
	// The old id reads no more: somebody else may have it, and must be out now.
	out.SetCookie = a.keep(ctx, current, session.NewCookie(), generation)
	return out, nil
}

// ownSessions finds the session that the request came with, nil for none, and lists all of
// the caller's.
func (a *API) ownSessions(ctx context.Context, who me) (current *session.Entry, live []session.Live, err error) {
	if current, err = a.current(ctx, who); err != nil {
		return nil, nil, err
	}
	live, err = a.Sessions.List(ctx, who.User.UID, who.SessionGeneration, current, a.Now())
	return current, live, err
}

// country names where ip is; "" when nothing knows.
func (a *API) country(ip netip.Addr) string {
	if a.Country == nil || !ip.IsValid() {
		return ""
	}
	return a.Country(ip)
}
