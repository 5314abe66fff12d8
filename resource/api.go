package resource

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/caller"
	"barong/internal/factor"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/view"
)

// API is the resource namespace.
type API struct {
	caller.Resolver
	Accounts *account.Service
	Codes    *factor.Service
	SignIns  *signin.Service
	Keys     *apikey.Service
	Persons  *person.Service
	// Documents are the rules of Persons on documents, of which the tokens are made.
	Documents person.DocumentRules
	// Masks hides parts of what identifies a person.
	Masks view.Masks
	// Activities lists them.
	Activities audit.Reader
	Sessions   *session.Manager
	// Cookies are those of the sessions.
	Cookies session.Cookies
	// Log gets failures after an answer was already owed.
	Log *slog.Logger
}

// Mount adds the endpoints to s.
func (a *API) Mount(s *rest.Server) {
	anyone := rest.NewGroup(s, "resource", a.guard())
	g := anyone.Narrow(proved, rest.On(caller.ErrUnproved, 403, "authz.email_not_verified"))
	a.readUser(anyone.At("/users", "user"))
	a.users(g.At("/users", "user"))
	a.activities(g.At("/users", "user"))
	a.labels(g.At("/labels", "label"))
	a.otp(g.At("/otp", "otp"))
	a.passkeys(g.At("/passkeys", "passkey"))
	a.profiles(g.At("/profiles", "profile"))
	a.phones(g.At("/phones", "phone"))
	a.dataStorages(g.At("/data_storage", "datastorage"))
	a.documents(g.At("/documents", "document"))
	a.addresses(g.At("/addresses", "address"))
	a.keys(g.At("/api_keys", "apikey"))
	a.keyItself(rest.NewGroup(s, "resource", a.keyGuard()).At("/api_keys", "apikey"))
	a.sessions(g.At("/sessions", "session"))
	a.serviceAccounts(g.At("/service_accounts", "serviceaccount"))
	a.serviceAccountKeys(g.At("/service_accounts/api_keys", "serviceaccount"))
	a.swaggerDoc(s)
}

// me is the caller: the account as it was when the request came, and the actor it is for
// the service.
type me struct {
	account.User
	account.Actor
	cookies []string // the session cookie's different values
	// challenge is the value of the cookie of a passkey's challenge, "" for none.
	challenge string
}

// guard admits users with a bearer token whose account may act, also those whose address
// awaits its proof. Whatever then is not found is 404: a service account has no user row, and a
// record of somebody else's is none.
func (a *API) guard() rest.Guard[me] {
	return rest.Guard[me]{
		Admit: func(r *http.Request) (me, error) {
			u, actor, err := a.Unproved(r)
			return me{User: u, Actor: actor, cookies: a.Cookies.Of(r), challenge: rest.Cookie(r, factor.PasskeyCookie)}, err
		},
		Principal: func(who me) string { return who.Actor.UID },
		Refusals: rest.All(
			rest.On(caller.ErrNoToken, 401, "jwt.decode_and_verify"),
			rest.On(caller.ErrNotActive, 401, "authz.user_not_active"),
			rest.On(account.ErrActorChanged, 401, "authz.user_not_active"), // since it was admitted
			rest.On(caller.ErrNoUser, 404, "record.not_found"),
			rest.On(account.ErrNotFound, 404, "record.not_found"),
		),
		Schemes: []rest.Scheme{
			{Name: "bearer", Type: "http", Scheme: "bearer",
				Description: "What the gateway makes of the other two."},
			{Name: "session", Type: "apiKey", In: "cookie", Key: a.Cookies.Name,
				Description: "Through the gateway; with X-CSRF-Token for POST, PUT, PATCH and DELETE."},
			{Name: "apikey", Type: "apiKey", In: "header", Key: "X-Auth-Apikey",
				Description: "Through the gateway; with X-Auth-Nonce and X-Auth-Signature."},
		},
	}
}

// signer is the caller as the holder of the API key that signed the request.
type signer struct{ uid, kid string }

// keyGuard admits API keys alone, of users and of service accounts. Others it refuses as guard
// does, and those whom guard would let in have no key to speak of.
func (a *API) keyGuard() rest.Guard[signer] {
	g := a.guard()
	return rest.Guard[signer]{
		Admit: func(r *http.Request) (signer, error) {
			uid, kid, err := a.Key(r)
			if err == nil && kid == "" {
				if _, _, err = a.SignedIn(r); err == nil {
					err = apikey.ErrNoKey
				}
			}
			return signer{uid, kid}, err
		},
		Principal: func(who signer) string { return who.uid },
		Refusals:  rest.All(g.Refusals, rest.On(caller.ErrUnproved, 403, "authz.email_not_verified")),
		Schemes:   g.Schemes,
	}
}

// proved admits users whose address does not await its proof (design D27).
func proved(_ *http.Request, who me) (me, error) {
	if who.AwaitsProof() {
		return who, caller.ErrUnproved
	}
	return who, nil
}

// current finds the session that the request came with, if it is one of the caller's own: only
// such a one may outlive the end of all others. Of two none does, as with decisions. It may have
// ended with others since the request was let in; then it is returned if no other is there, and
// account.Writer.Standing refuses it.
func (a *API) current(ctx context.Context, who me) (one *session.Entry, err error) {
	var over *session.Entry
	for _, cookie := range who.cookies {
		e, err := a.Sessions.Lookup(ctx, cookie, a.Now())
		switch {
		case errors.Is(err, session.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case e.UID != who.User.UID, !a.Now().Before(e.Expires()):
			continue
		case !e.Of(who.SessionGeneration, e.Epoch):
			over = e
			continue
		case one != nil:
			return nil, nil
		}
		one = e
	}
	return cmp.Or(one, over), nil
}

// sessionEnded refuses a change by which a session that has ended would go on.
var sessionEnded = rest.On(account.ErrSessionEnded, 401, "authz.invalid_session")

// keepTimeout bounds keep, which goes on when the client has left.
const keepTimeout = 5 * time.Second

// renewing is the caller as one whose current session is to go on under the id of next, so
// that requests that left with the old one may still be answered; none are for "".
func (who me) renewing(e *session.Entry, next string) account.Actor {
	by := who.Actor
	if e != nil {
		by.Session = account.SessionMark{ID: e.ID, Generation: e.Generation, Epoch: e.Epoch}
		by.NextSessionID, _ = session.IDOf(next)
	}
	return by
}

// done is an answer without a body that may set the session cookie.
type done = rest.Reply[rest.None, rest.Cookies]

// renewed makes a change that ends all sessions of the caller's but the one that it acts in, which
// goes on under another id.
func (a *API) renewed(
	ctx context.Context, who me, change func(account.Actor) (generation int64, err error),
) (out done, err error) {
	current, err := a.current(ctx, who)
	if err != nil {
		return out, err
	}
	next := session.NewCookie()
	generation, err := change(who.renewing(current, next))
	if err != nil {
		return out, err
	}
	return a.keep(ctx, current, next, generation), nil
}

// keep carries the current session over to generation and answers with the cookie of its new id
// (design D8, D11), next; with none when there is no session. The change that ended the others is
// committed by now, so a failure only signs this session out too.
func (a *API) keep(ctx context.Context, e *session.Entry, next string, generation int64) (out done) {
	if e == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	if _, err := a.Sessions.Restamp(ctx, e.ID, next, generation, a.Now()); err != nil {
		if !errors.Is(err, session.ErrNotFound) {
			a.Log.WarnContext(ctx, "session not kept", "request_id", rest.RequestID(ctx), "error", err)
		}
		return out
	}
	out.Header.Set = []string{a.Cookies.Set(next, a.Now())}
	return out
}
