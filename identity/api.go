package identity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"barong/internal/account"
	"barong/internal/caller"
	"barong/internal/rest"
	"barong/internal/session"
)

// Config of the identity endpoints.
type Config struct {
	// SessionName is the name of the session cookie; "" means _barong_session.
	SessionName string
	// InsecureCookie leaves the cookie's Secure attribute out: plain http on loopback only.
	InsecureCookie bool
	// Origins are the origins of other sites ("scheme://host[:port]") whose pages may call
	// endpoints that change state; "*" never counts.
	Origins []string
	// Build is what GET version answers.
	Build Build
}

// API is the identity and public namespaces.
type API struct {
	Config
	Users    Users
	Accounts Accounts
	Sessions Sessions
	// Whitelinks redeems the links of POST users/access.
	Whitelinks Whitelinks
	// ClientIP is the caller's address, as decisions see it.
	ClientIP func(*http.Request) netip.Addr
	// Country names an address's country for activities; nil when nothing knows.
	Country func(netip.Addr) string
	Now     func() time.Time
	// Log gets what went wrong after an answer was already owed.
	Log *slog.Logger
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	g := s.Group("identity")
	a.general(g.At("", "general"))
	a.sessions(g.At("/sessions", "session"))
	a.access(g.At("/users", "user"))
	a.general(s.Group("public").At("", "general"))
}

// errCrossSite refuses a browser that another site sent (FX-13).
var errCrossSite = errors.New("identity: a page of another site asks")

// visitor is what is known of somebody who has not proved anything.
type visitor struct {
	account.Client
	cookie string // the session cookie's value, "" for none
}

// anyone admits everybody.
func anyone[I, O any](a *API, f func(context.Context, visitor, I) (O, error)) rest.Handler[I, O] {
	return rest.Guarded(rest.Guard[visitor]{
		Admit: func(r *http.Request) (visitor, error) { return a.visitor(r), nil },
	}, f)
}

// sameSite admits everybody but a browser that carries a cookie and was sent by a page of
// another site: for endpoints that change state (FX-13).
func sameSite[I, O any](a *API, f func(context.Context, visitor, I) (O, error)) rest.Handler[I, O] {
	return rest.Guarded(rest.Guard[visitor]{
		Admit: func(r *http.Request) (visitor, error) {
			if r.Header.Get("Cookie") != "" && rest.CrossSite(r, a.Origins) {
				return visitor{}, errCrossSite
			}
			return a.visitor(r), nil
		},
		Failures: []rest.Failure{
			rest.On(errCrossSite, http.StatusForbidden, "identity.cross_site_request"),
		},
	}, f)
}

func (a *API) visitor(r *http.Request) visitor {
	return visitor{
		Client: caller.Desk{ClientIP: a.ClientIP, Country: a.Country}.Client(r),
		cookie: rest.Cookie(r, a.cookieName()),
	}
}

func (a *API) cookieName() string {
	if a.SessionName == "" {
		return "_barong_session"
	}
	return a.SessionName
}

// setCookie is the Set-Cookie value that hands out a session.
func (a *API) setCookie(value string) string {
	return session.Cookie(a.cookieName(), value, !a.InsecureCookie, session.CookieLife, a.Now())
}

// clearCookie is the one that takes it away.
func (a *API) clearCookie() string {
	return session.ClearCookie(a.cookieName(), !a.InsecureCookie)
}
