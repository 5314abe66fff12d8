// Package caller identifies the caller of a REST endpoint: the client behind the request and, from
// its bearer token, the user and the account.Actor that services act for.
//
// Rights are not decided here: that is the edges' and the services' part.
//
//	*http.Request ──► Client                    address, country, user agent
//	              ──► SignedIn ──► Verifier ──► user row, which may act ──► account.Actor
package caller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/session"
)

// Refusals of SignedIn.
var (
	ErrNoToken = errors.New("caller: no valid bearer token")
	// ErrNoUser says that the token's uid is no user's, as a service account's.
	ErrNoUser    = errors.New("caller: no such user")
	ErrNotActive = errors.New("caller: the user may not act")
	// ErrUnproved says that nobody has proved the user's address yet (design D27).
	ErrUnproved = errors.New("caller: the user's address is not proved")
)

// A Verifier says whose a bearer token is; token.Minter is one.
type Verifier interface {
	// Verify takes the JWT alone; every error means that it is refused.
	Verify(jwt string, now time.Time) (uid string, err error)
	// VerifyKey is Verify that also returns the id of the API key that signed the request, "" for
	// another credential.
	VerifyKey(jwt string, now time.Time) (uid, kid string, err error)
}

// Users reads accounts from a database; store.DB is one.
type Users interface {
	// User loads by uid; account.ErrNotFound.
	User(ctx context.Context, uid string) (account.User, error)
	// Labels lists a user's labels of both scopes, in row order.
	Labels(ctx context.Context, uid string) ([]account.Label, error)
}

// A Resolver finds out the callers of requests. The APIs embed one. An API for clients that prove
// nothing needs neither Users nor Tokens.
type Resolver struct {
	Users  Users
	Tokens Verifier
	// ClientIP is the caller's address, as decisions see it.
	ClientIP func(*http.Request) netip.Addr
	// Country names an address's country; nil when nothing knows.
	Country func(netip.Addr) string
	Now     func() time.Time
	// Languages are those of mails: ISO 639-1 codes in lower case. Without them clients have none.
	Languages []string
}

// Client is where r comes from. Of the user agent it keeps the part that counts, for it goes into
// activities, events and mails, where a header of any length would.
func (d Resolver) Client(r *http.Request) account.Client {
	ip := d.ClientIP(r)
	return account.Client{IP: ip, UserAgent: session.Agent(r.UserAgent()), Country: d.CountryOf(ip), Language: d.accepted(r)}
}

// CountryOf names the country of ip; "" when nothing knows.
func (d Resolver) CountryOf(ip netip.Addr) string {
	if d.Country == nil || !ip.IsValid() {
		return ""
	}
	return d.Country(ip)
}

// SignedIn returns the user of r's bearer token as it is in the database now: role, level
// and state are never the token's. ErrNoToken, ErrNoUser, ErrNotActive, ErrUnproved;
// any other error is an outage.
func (d Resolver) SignedIn(r *http.Request) (account.User, account.Actor, error) {
	u, actor, err := d.Unproved(r)
	if err == nil && u.AwaitsProof() {
		return account.User{}, account.Actor{}, ErrUnproved
	}
	return u, actor, err
}

// Unproved is SignedIn that also lets in whose address awaits its proof: for reading one's own
// account.
func (d Resolver) Unproved(r *http.Request) (account.User, account.Actor, error) {
	jwt, ok := bearer(r)
	if !ok {
		return account.User{}, account.Actor{}, ErrNoToken
	}
	uid, err := d.Tokens.Verify(jwt, d.Now())
	if err != nil {
		return account.User{}, account.Actor{}, ErrNoToken
	}
	u, err := d.Users.User(r.Context(), uid)
	if errors.Is(err, account.ErrNotFound) {
		return account.User{}, account.Actor{}, ErrNoUser
	}
	if err != nil {
		return account.User{}, account.Actor{}, fmt.Errorf("load the caller: %w", err)
	}
	if !account.MayAct(u.State) {
		return account.User{}, account.Actor{}, ErrNotActive
	}
	return u, account.Actor{UID: u.UID, Role: u.Role, Client: d.Client(r)}, nil
}

// bearer is the one token of r.
func bearer(r *http.Request) (jwt string, ok bool) {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return "", false
	}
	return strings.CutPrefix(sent[0], "Bearer ")
}

// Key returns the API key that signed r, and the uid of the user or service account that holds
// it, as the gate has proved them: whether either still stands is for the caller to ask. kid is "" when r has
// another credential; ErrNoToken.
func (d Resolver) Key(r *http.Request) (uid, kid string, err error) {
	jwt, ok := bearer(r)
	if !ok {
		return "", "", ErrNoToken
	}
	if uid, kid, err = d.Tokens.VerifyKey(jwt, d.Now()); err != nil {
		return "", "", ErrNoToken
	}
	return uid, kid, nil
}
