package resource

import (
	"context"
	"log/slog"
	"slices"

	"barong/internal/account"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/view"
)

type sessionRef struct {
	Handle string `name:"handle"`
}

func (a *API) sessions(g rest.Group[me]) {
	rest.Add(g, rest.Op{
		Method: "GET", Summary: "List the sessions in which you are signed in, newest first.",
	}, a.listSessions)
	rest.Add(g, rest.Op{
		Method: "DELETE", Path: "/{handle}", Summary: "End one of your sessions; ending the current one is signing out.",
	}, a.endSession)
	rest.Add(g, rest.Op{
		Method: "DELETE", Summary: "Sign out everywhere else; without a session of your own, everywhere.",
		Errors: sessionEnded,
	}, a.endOtherSessions)
}

func (a *API) listSessions(ctx context.Context, who me, in rest.Paging) (out rest.Page[view.Session], err error) {
	current, live, err := a.ownSessions(ctx, who)
	if err != nil {
		return out, err
	}
	from := min(in.Offset(), len(live))
	return rest.PageOf(live[from:min(from+in.Limit, len(live))], len(live), in, func(s session.Live) view.Session {
		isCurrent := current != nil && s.ID == current.ID
		if isCurrent {
			s.Seen = a.Now()
		}
		return view.SessionOf(s, a.CountryOf(s.IP), isCurrent)
	}), nil
}

func (a *API) endSession(ctx context.Context, who me, in sessionRef) (out done, err error) {
	current, live, err := a.ownSessions(ctx, who)
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(live, func(s session.Live) bool { return s.ID.Handle() == in.Handle })
	if i < 0 {
		return out, account.ErrNotFound
	}
	if err := a.Sessions.End(ctx, live[i].ID); err != nil {
		return out, err
	}
	// The session has ended, as asked; a lost activity is the log's matter.
	if err := a.SignIns.RecordSessionEnd(ctx, who.Actor); err != nil {
		a.Log.ErrorContext(ctx, "end of a session not recorded",
			slog.String("request_id", rest.RequestID(ctx)), slog.Any("error", err))
	}
	if current != nil && live[i].ID == current.ID {
		out.Header.Set = []string{a.Cookies.Clear()}
	}
	return out, nil
}

func (a *API) endOtherSessions(ctx context.Context, who me, _ rest.None) (out done, err error) {
	current, err := a.current(ctx, who)
	if err != nil {
		return out, err
	}
	// Without a next id, for which the old one could read on: somebody else may have it, and must
	// be out now.
	generation, err := a.SignIns.SignOutEverywhere(ctx, who.renewing(current, ""))
	if err != nil {
		return out, err
	}
	return a.keep(ctx, current, session.NewCookie(), generation), nil
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
