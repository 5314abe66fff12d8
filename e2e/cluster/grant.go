package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/policy"
)

// Balances is a path that members may read.
const Balances = "/api/v2/peatio/account/balances"

const userAgent = "cluster"

// A Grant is one caller with one credential and the path that it asks for: all of which is
// allowed until something about it is revoked.
type Grant struct {
	Name    string
	UID     string
	Path    string
	Refusal string // the reason of the denial once it is revoked

	ip         netip.Addr
	country    string // of a Country
	cookie     string
	generation int64       // of the session
	key        *apikey.Key // instead of cookie

	mu      sync.Mutex
	changes []change
	history int       // how often Stands was said
	gone    time.Time // when the session store lost the session
}

// headers are those of a request.
func (g *Grant) headers(h http.Header) {
	h.Set("User-Agent", userAgent)
	h.Set("X-Forwarded-For", g.ip.String())
	if g.key == nil {
		h.Set("Cookie", "_barong_session="+g.cookie)
		return
	}
	nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(g.key.Secret))
	mac.Write([]byte(nonce + g.key.Kid))
	h.Set("X-Auth-Apikey", g.key.Kid)
	h.Set("X-Auth-Nonce", nonce)
	h.Set("X-Auth-Signature", hex.EncodeToString(mac.Sum(nil)))
}

// person makes an active user with an address in a network of its own.
func (c *Cluster) person(role string) (account.User, *Grant, error) {
	c.people++
	u := account.User{
		UID: secret.UID("ID"), Email: fmt.Sprintf("%s%d@cluster.example", role, c.people), PasswordDigest: "none",
		Role: role, Level: 3, State: account.StateActive, OTP: true,
	}
	if err := c.DB.AddUser(context.Background(), &u); err != nil {
		return u, nil, err
	}
	ip := netip.AddrFrom4([4]byte{100, 64 + byte(c.people>>8), byte(c.people), 7})
	return u, &Grant{UID: u.UID, Path: Balances, ip: ip}, nil
}

// signedIn makes a user with a session.
func (c *Cluster) signedIn(t testing.TB, name, role, refusal string) *Grant {
	t.Helper()
	u, g, err := c.person(role)
	must(t, err)
	g.Name, g.Refusal = name, refusal
	must(t, c.openSession(g, u))
	return g
}

func (c *Cluster) openSession(g *Grant, u account.User) (err error) {
	g.generation = u.SessionGeneration
	g.cookie, _, err = c.Sessions.Open(context.Background(), session.Opening{
		UID: u.UID, Generation: u.SessionGeneration, IP: g.ip, UserAgent: userAgent,
	}, time.Now())
	return err
}

// Session is a grant that SignOut ends.
func (c *Cluster) Session(t testing.TB) *Grant {
	t.Helper()
	return c.signedIn(t, "session", account.RoleMember, "authz.invalid_session")
}

// User is one that SetUser or LockUser locks.
func (c *Cluster) User(t testing.TB) *Grant {
	t.Helper()
	return c.signedIn(t, "user", account.RoleMember, "authz.user_not_active")
}

// Permission is one that SetPermission takes away: it asks for a path of its own.
func (c *Cluster) Permission(t testing.TB) *Grant {
	t.Helper()
	g := c.signedIn(t, "permission", account.RoleMember, "authz.invalid_permission")
	g.Path = fmt.Sprintf("%s/of%d", Balances, c.people)
	return g
}

// Network is one that SetNetwork closes.
func (c *Cluster) Network(t testing.TB) *Grant {
	t.Helper()
	return c.signedIn(t, "network", account.RoleMember, "authz.restrict.blacklist")
}

// Key is one that SetKey deactivates.
func (c *Cluster) Key(t testing.TB) *Grant {
	t.Helper()
	_, g, err := c.person(account.RoleMember)
	must(t, err)
	g.Name, g.Refusal = "key", "authz.apikey_not_active"
	g.key = &apikey.Key{
		Kid: secret.Hex(8), Algorithm: apikey.HS256, Secret: secret.Hex(16),
		State: apikey.Active, HolderUID: g.UID, HolderKind: account.KindUser,
	}
	must(t, c.DB.AddAPIKey(context.Background(), g.key))
	return g
}

// SignOut ends the grant's session over REST on a replica.
func (c *Cluster) SignOut(ctx context.Context, on *Replica, g *Grant) error {
	return g.change(false, func() error {
		return call(ctx, on, http.MethodDelete, "/api/v2/identity/sessions", g.headers, nil)
	})
}

// SetKey makes the grant's API key active or not. It and SetUser write past the replicas.
func (c *Cluster) SetKey(ctx context.Context, g *Grant, active bool) error {
	return g.change(active, func() error {
		k := *g.key
		if k.State = apikey.Active; !active {
			k.State = apikey.Inactive
		}
		return c.DB.PutAPIKey(ctx, &k)
	})
}

// SetUser locks the grant's user, or lets it in again.
func (c *Cluster) SetUser(ctx context.Context, g *Grant, active bool) error {
	return g.change(active, func() error {
		u, err := c.DB.User(ctx, g.UID)
		if err != nil {
			return err
		}
		if u.State = account.StateActive; !active {
			u.State = "banned"
		}
		u.AdminState = u.State
		return c.DB.PutUser(ctx, &u)
	})
}

// SetPermission takes the grant's permission away over REST on a replica, or gives it back.
func (c *Cluster) SetPermission(ctx context.Context, on *Replica, g *Grant, allowed bool) error {
	if !allowed {
		return g.change(false, func() error {
			return c.admin(ctx, on, http.MethodPost, "/api/v2/admin/permissions", map[string]any{
				"role": account.RoleMember, "verb": "GET", "path": g.Path[1:], "action": policy.Drop,
			})
		})
	}
	rows, err := c.DB.Permissions(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Path == g.Path[1:] && row.Action == policy.Drop {
			return g.change(true, func() error {
				return c.admin(ctx, on, http.MethodDelete, "/api/v2/admin/permissions", map[string]any{"id": row.ID})
			})
		}
	}
	return fmt.Errorf("no permission for %s", g.Path)
}

// SetNetwork puts the grant's network on the black list over REST on a replica, or off it.
func (c *Cluster) SetNetwork(ctx context.Context, on *Replica, g *Grant, open bool) error {
	network, err := g.ip.Prefix(24)
	if err != nil {
		return err
	}
	return c.setRestriction(ctx, on, g, policy.ScopeSubnet, network.String(), open)
}

// LockUser locks the grant's user over REST on a replica. It stays locked: its sessions have
// ended by that, too.
func (c *Cluster) LockUser(ctx context.Context, on *Replica, g *Grant) error {
	return g.change(false, func() error {
		return c.admin(ctx, on, http.MethodPut, "/api/v2/admin/users", map[string]any{"uid": g.UID, "state": "locked"})
	})
}

// EndSessions ends all sessions of the grant's user, past the replicas.
func (c *Cluster) EndSessions(ctx context.Context, g *Grant) error {
	return g.change(false, func() error {
		_, err := c.DB.EndSessions(ctx, g.UID)
		return err
	})
}
