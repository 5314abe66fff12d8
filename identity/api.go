package identity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"barong/internal/account"
	"barong/internal/caller"
	"barong/internal/captcha"
	"barong/internal/factor"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/editor"
)

// Config of the identity endpoints.
type Config struct {
	// Cookies are those of the sessions.
	Cookies session.Cookies
	// Origins are the origins of other sites ("scheme://host[:port]") whose pages may call
	// endpoints that change state; "*" never counts.
	Origins []string
	// Version is the answer of GET version, Configs and Auth0Configs those of GET configs.
	Version      Version
	Configs      Configs
	Auth0Configs Auth0Configs
}

// API is the identity and public namespaces.
type API struct {
	Config
	caller.Resolver // without Tokens
	SignIns         *signin.Service
	Sessions        *session.Manager
	Persons         *person.Service
	// Masks hides parts of what identifies a person.
	Masks view.Masks
	// Admit returns the present moment if the policy as it is then lets a client of an address sign
	// in: ErrAddress. It is asked anew, as the gateway may have judged by an older policy.
	Admit func(context.Context, netip.Addr) (session.Moment, error)
	// Whitelinks redeems the links of POST users/access.
	Whitelinks *editor.Service
	// Captcha asks nobody where captchas are off; Geetest, Auth0 and KYC are nil then.
	Captcha captcha.Gate
	Geetest captcha.Registrar
	Auth0   IDVerifier
	KYC     KYC
	// Log gets failures after an answer was already owed.
	Log *slog.Logger
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	g := rest.NewGroup(s, "identity", a.guard())
	a.general(g.At("", "general"))
	a.configs(g.At("", "general"))
	a.sessions(g.At("/sessions", "session"))
	a.auth0(g.At("/sessions", "session"))
	a.passkey(g.At("/sessions", "session"))
	a.users(g.At("/users", "user"))
	a.email(g.At("/users/email", "user"))
	a.password(g.At("/users/password", "user"))
	a.access(g.At("/users", "user"))
	a.geetest(g.At("/users", "user"))

	p := rest.NewGroup(s, "public", a.guard()).At("", "general")
	a.general(p)
	a.configs(p)
	a.auth0Configs(p)
	a.kyc(p)
	a.documents(p.At("/documents", "document"))
}

// ErrAddress says that restrictions let nobody sign in from the caller's address.
var ErrAddress = errors.New("identity: no sign-in from this address")

// addressErrors are those of every endpoint that opens a session.
var addressErrors = rest.On(ErrAddress, 423, policy.ReasonBlocklogin)

// errCrossSite refuses a browser that another site sent (FX-13).
var errCrossSite = errors.New("identity: a page of another site asks")

// visitor is the knowledge of a client that has not proved anything.
type visitor struct {
	account.Client
	cookies []string // the session cookie's different values
	// twins are Set-Cookie values that take away the others of several session cookies.
	twins  []string
	device string // the device cookie's value, "" for none
	// challenge is the value of the cookie of a passkey's challenge, "" for none.
	challenge string
}

// guard admits everybody.
func (a *API) guard() rest.Guard[visitor] {
	return rest.Guard[visitor]{Admit: func(r *http.Request) (visitor, error) {
		return visitor{
			Client: a.Client(r), cookies: a.Cookies.Of(r), twins: a.Cookies.ClearTwins(r),
			device: rest.Cookie(r, signin.DeviceCookie), challenge: rest.Cookie(r, factor.PasskeyCookie),
		}, nil
	}}
}

// sameSite admits everybody but a browser that was sent by a page of another site: for
// endpoints that open or end sessions (FX-13). It asks for no cookie first: browsers keep ours
// from such requests, and a page that signs its visitor in to its own author's account steals
// the visitor's next deposit.
func (a *API) sameSite(g rest.Group[visitor]) rest.Group[visitor] {
	return g.Narrow(func(r *http.Request, who visitor) (visitor, error) {
		if rest.CrossSite(r, a.Origins) {
			return who, errCrossSite
		}
		return who, nil
	}, rest.On(errCrossSite, 403, "identity.cross_site_request"))
}
