package identity_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/session"
)

// Each way to a session asks once more whether the address may have one, and opens it as of then.
// It asks before anything is written.
func TestSessionsAreOfAnAdmittedAddress(t *testing.T) {
	const known, stranger = "known@barong.io", "stranger@barong.io"
	w := newWorld(t)
	w.user(known, 1)
	_, jwt, _ := w.signedUp()
	w.vouch(known, ptr(true))
	d := worldtest.NewDevice()
	w.passkey(w.user("passkey@barong.io", 1), d)
	var asked netip.Addr
	w.News()
	before := w.Activities(audit.Query{})
	w.Identity.Admit = func(_ context.Context, ip netip.Addr) (session.Moment, error) {
		asked = ip
		return session.Moment{}, identity.ErrAddress
	}
	for name, ask := range map[string]func(c *resttest.Client) resttest.Answer{
		"sign in": func(c *resttest.Client) resttest.Answer {
			return c.JSON(t, "POST", sessions, body{"email": known, "password": password})
		},
		"sign in by passkey": func(*resttest.Client) resttest.Answer {
			c, answer := w.shown(d)
			return c.JSON(t, "POST", byPasskey, body{"credential": answer})
		},
		"sign in with Auth0": func(c *resttest.Client) resttest.Answer { return signInAuth0(t, c) },
		"sign up": func(c *resttest.Client) resttest.Answer {
			return c.JSON(t, "POST", signUps, body{"email": stranger, "password": password})
		},
		"confirm an address": func(c *resttest.Client) resttest.Answer {
			return c.JSON(t, "POST", emails+"confirm_code", body{"token": jwt})
		},
	} {
		asked = netip.Addr{}
		a := ask(w.Browser())
		if a.Status != 423 {
			t.Errorf("%s: got %d %s", name, a.Status, a.Body)
			continue
		}
		a.WantTokens(t, 423, "authz.restrict.blocklogin")
		closed(t, a)
		expect.Equal(t, asked.String(), w.IP.String())
	}
	expect.Equal(t, len(w.News()), 0)
	expect.Equal(t, w.Activities(audit.Query{}), before)
	if _, err := w.DB.UserByEmail(t.Context(), stranger); !errors.Is(err, account.ErrNoUser) {
		t.Errorf("the sign-up that was refused left an account: %v", err)
	}

	// Nothing is used up: the same proofs are good where the address may sign in.
	w.Identity.Admit = func(ctx context.Context, _ netip.Addr) (session.Moment, error) { return w.DB.Moment(ctx) }
	w.opened(signInAuth0(t, w.Browser()), 200)
	w.opened(w.Browser().JSON(t, "POST", emails+"confirm_code", body{"token": jwt}), 201)
}

// The session is as old as its admission.
func TestSessionsAreAsOldAsTheirAdmission(t *testing.T) {
	w := newWorld(t)
	w.user(email, 1)
	admitted, err := w.DB.Moment(t.Context())
	expect.OK(t, err)
	w.Identity.Admit = func(context.Context, netip.Addr) (session.Moment, error) { return admitted, nil }
	_, cookie := w.opened(w.Browser().JSON(t, "POST", sessions, credentials()), 201)
	e, err := w.Sessions.Lookup(t.Context(), cookie, w.Now)
	expect.OK(t, err)
	expect.Equal(t, e.CreatedAt, admitted.At)
}
