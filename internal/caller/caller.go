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
}

// Users loads accounts; account.Store is one.
type Users interface {
	// User loads by uid; account.ErrNotFound.
	User(ctx context.Context, uid string) (account.User, error)
}

// A Desk is where callers are looked at.
type Desk struct {
	Users  Users
	Tokens Verifier
	// ClientIP is the caller's address, as decisions see it.
	ClientIP func(*http.Request) netip.Addr
	// Country names an address's country for activities; nil when nothing knows.
	Country func(netip.Addr) string
	Now     func() time.Time
}

// Client is where r comes from. Of the user agent it keeps the part that counts, for it goes into
// activities, events and mails, where a header of any length would.
func (d Desk) Client(r *http.Request) account.Client {
	c := account.Client{IP: d.ClientIP(r), UserAgent: session.Agent(r.UserAgent())}
	if d.Country != nil {
		c.Country = d.Country(c.IP)
	}
	return c
}

// SignedIn returns the user of r's bearer token as it is in the database now: role, level
// and state are never the token's. ErrNoToken, ErrNoUser, ErrNotActive, ErrUnproved;
// any other error is an outage.
func (d Desk) SignedIn(r *http.Request) (account.User, account.Actor, error) {
	u, actor, err := d.Unproved(r)
	if err == nil && u.AwaitsProof() {
		return account.User{}, account.Actor{}, ErrUnproved
	}
	return u, actor, err
}

// Unproved is SignedIn that also lets in whose address awaits its proof: for reading one's own
// account.
func (d Desk) Unproved(r *http.Request) (account.User, account.Actor, error) {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return account.User{}, account.Actor{}, ErrNoToken
	}
	jwt, ok := strings.CutPrefix(sent[0], "Bearer ")
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
