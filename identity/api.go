package identity

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/caller"
	"barong/internal/captcha"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/view"
	"barong/policy/editor"
)

// Config of the identity endpoints.
type Config struct {
	// Cookies are those of the sessions.
	Cookies session.Cookies
	// Origins are the origins of other sites ("scheme://host[:port]") whose pages may call
	// endpoints that change state; "*" never counts.
	Origins []string
	// Build is the answer of GET version, Published that of GET configs.
	Build     Build
	Published Published
	// CaptchaProtected names the endpoints that ask for a captcha.
	CaptchaProtected []string
	// Languages are those of mails: ISO 639-1 codes in lower case.
	Languages []string
}

// Validate names the faults.
func (c Config) Validate() error {
	var wrong []error
	for _, name := range c.CaptchaProtected {
		if !slices.Contains(captchaEndpoints(), name) {
			wrong = append(wrong, fmt.Errorf("captcha_protected_endpoints: %q is none of %s",
				name, strings.Join(captchaEndpoints(), ", ")))
		}
	}
	return errors.Join(wrong...)
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
	// Whitelinks redeems the links of POST users/access.
	Whitelinks *editor.Service
	// Captcha, Geetest, Auth0 and KYC are nil where they are off.
	Captcha captcha.Verifier
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
}

// errCrossSite refuses a browser that another site sent (FX-13).
var errCrossSite = errors.New("identity: a page of another site asks")

// visitor is the knowledge of a client that has not proved anything.
type visitor struct {
	account.Client
	cookies []string // the session cookie's different values
	// twins are Set-Cookie values that take away the others of several session cookies.
	twins  []string
	device string // the device cookie's value, "" for none
}

// guard admits everybody.
func (a *API) guard() rest.Guard[visitor] {
	return rest.Guard[visitor]{Admit: func(r *http.Request) (visitor, error) {
		client := a.Client(r)
		client.Language = a.accepted(r)
		return visitor{
			Client: client, cookies: a.Cookies.Of(r), twins: a.Cookies.ClearTwins(r),
			device: rest.Cookie(r, signin.DeviceCookie),
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

// setDevice is the Set-Cookie value that makes the device known; "" for a value of "". It
// proves nothing, so upstreams under the same path may see it.
func (a *API) setDevice(value string) string {
	if value == "" {
		return ""
	}
	return (&http.Cookie{
		Name: signin.DeviceCookie, Value: value, Path: "/api/v2", MaxAge: int(signin.DeviceLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !a.Cookies.Insecure,
	}).String()
}
