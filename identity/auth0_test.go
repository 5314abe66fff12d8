package identity_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/signin"
	"barong/internal/token"
)

const auth0 = "/api/v2/identity/sessions/auth0"

// vouch makes the provider vouch for an address; verified is nil for "it does not say".
func (w *world) vouch(address string, verified *bool) {
	w.Identity.Auth0, w.auth0.claims = &w.auth0, token.IDClaims{
		Subject: "auth0|1", Email: address, EmailVerified: verified, ExpiresAt: w.Now.Add(48 * time.Hour),
	}
}

func ptr[T any](v T) *T { return &v }

func signInAuth0(t *testing.T, c *resttest.Client) resttest.Answer {
	t.Helper()
	return c.JSON(t, "POST", auth0, body{"id_token": "good"})
}

// An unknown address signs up; the documented status is 200 (D1).
func TestAuth0SignsUp(t *testing.T) {
	w := newWorld(t)
	w.vouch("New@Barong.io", ptr(true))
	u, _ := w.opened(signInAuth0(t, w.Browser()), 200)
	expect.Equal(t, []any{u["email"], u["level"], u["state"], u["role"]}, []any{"new@barong.io", 1.0, "active", "member"})
	labels, _ := u["labels"].([]any)
	if len(labels) != 1 {
		t.Fatalf("labels %v, want exactly one", labels)
	}
	l, _ := labels[0].(map[string]any)
	expect.Equal(t, []any{l["key"], l["value"], l["scope"]}, []any{"email", "verified", "private"})
	uid, _ := u["uid"].(string)
	expect.Equal(t, w.Deeds(uid), []string{"session login succeed"})
	got := names(w.News())
	expect.Equal(t, slices.Contains(got, "system.session.create"), true)
	expect.Equal(t, slices.ContainsFunc(got, func(n string) bool { return strings.HasSuffix(n, ".token") }), false)
}

// A known address signs in as it is.
func TestAuth0SignsIn(t *testing.T) {
	w := newWorld(t)
	made := w.user(email, 1)
	w.vouch(email, ptr(true))
	w.auth0.claims.Fingerprint = "one token"
	u, _ := w.opened(signInAuth0(t, w.Browser()), 200) // opened holds the members
	expect.Equal(t, []any{u["email"], u["uid"]}, []any{email, made.UID})
	expect.Equal(t, names(w.News()), []string{"system.session.create"})
	expect.Equal(t, w.Deeds(made.UID), []string{"session login succeed"})
	again := signInAuth0(t, w.Browser()) // a token is good for one sign-in
	again.WantTokens(t, 422, "identity.session.auth0.invalid_params")
	closed(t, again)
	w.auth0.claims.Fingerprint, w.auth0.claims.Nonce = "another token", "mine"
	w.opened(w.Browser().JSON(t, "POST", auth0, body{"id_token": "good", "lang": "ru", "nonce": "mine"}), 200)
	for _, e := range w.News() {
		expect.Equal(t, e.Language, "ru")
	}
}

// Refused ID tokens; a missing one is 400 (D2).
func TestAuth0Refusals(t *testing.T) {
	const refused = "identity.session.auth0.invalid_params"
	for name, c := range map[string]struct {
		sent   body
		change func(w *world)
		status int
		tokens []string
	}{
		"no token (D2)":                  {body{}, nil, 400, []string{"identity.session.missing_id_token", "identity.session.empty_id_token"}},
		"an empty token (D2)":            {body{"id_token": ""}, nil, 400, []string{"identity.session.empty_id_token"}},
		"a token that is no text":        {body{"id_token": body{}}, nil, 422, []string{"invalid", "identity.session.empty_id_token"}},
		"a token that does not verify":   {body{"id_token": "bad"}, nil, 422, []string{refused}},
		"unverified, unknown":            {nil, func(w *world) { w.vouch("new@barong.io", ptr(false)) }, 401, []string{refused}},
		"unverified, known (W-I5)":       {nil, func(w *world) { w.vouch(email, ptr(false)) }, 401, []string{refused}},
		"it does not say, unknown":       {nil, func(w *world) { w.vouch("new@barong.io", nil) }, 422, []string{refused}},
		"it does not say, known (W-I5)":  {nil, func(w *world) { w.vouch(email, nil) }, 422, []string{refused}},
		"another nonce than asked with":  {body{"id_token": "good", "nonce": "mine"}, func(w *world) { w.auth0.claims.Nonce = "another's" }, 422, []string{refused}},
		"no nonce though asked with one": {body{"id_token": "good", "nonce": "mine"}, nil, 422, []string{refused}},
		"no address":                     {nil, func(w *world) { w.vouch("", ptr(true)) }, 401, []string{refused}},
		"an address that cannot sign up": {nil, func(w *world) { w.vouch("a..b", ptr(true)) }, 422, []string{refused}},
		"not configured (W-I5)":          {nil, func(w *world) { w.Identity.Auth0 = nil }, 422, []string{refused}},
		"the provider is away (D20)":     {nil, func(w *world) { w.auth0.err = apitest.ErrOutage }, 503, []string{"server.internal_error"}},
		"the provider is slow (D20)":     {nil, func(w *world) { w.auth0.err = context.DeadlineExceeded }, 503, []string{"server.internal_error"}},
		"the account changes meanwhile":  {nil, func(w *world) { w.Faults.Fail(signin.ErrBadCredentials, "UserByEmail") }, 422, []string{refused}},
		"banned (W-I5)":                  {nil, func(w *world) { w.byEmail("banned") }, 401, []string{"identity.session.banned"}},
		"deleted (W-I5)":                 {nil, func(w *world) { w.byEmail("deleted") }, 401, []string{"identity.session.deleted"}},
		"locked (W-I5)":                  {nil, func(w *world) { w.byEmail("locked") }, 401, []string{"identity.session.not_active"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.user(email, 1)
			w.vouch(email, ptr(true))
			if c.change != nil {
				c.change(w)
			}
			w.News()
			sent := c.sent
			if sent == nil {
				sent = body{"id_token": "good"}
			}
			a := w.Browser().JSON(t, "POST", auth0, sent)
			a.WantTokens(t, c.status, c.tokens...)
			closed(t, a)
			expect.Equal(t, names(w.News()), []string{})
			if n, err := w.DB.CountUsers(t.Context(), "", ""); err != nil || n != 1 {
				t.Errorf("%d users, %v; want the one there was", n, err)
			}
		})
	}
}

// byEmail gives the one user a state.
func (w *world) byEmail(state string) {
	w.T.Helper()
	u, err := w.DB.UserByEmail(w.T.Context(), email)
	expect.OK(w.T, err)
	w.state(u.UID, state)
}

// A sign-in with Auth0 asks for the second factor, within its limit (W-I5, W-I3).
func TestAuth0WithASecondFactor(t *testing.T) {
	w := newWorld(t)
	code := w.secondFactor(w.user(email, 1))
	w.vouch(email, ptr(true))
	c := w.Browser()
	signIn := func(code any) resttest.Answer {
		return c.JSON(t, "POST", auth0, body{"id_token": "good", "otp_code": code})
	}
	signIn(nil).WantTokens(t, 401, "identity.session.missing_otp")
	good := code()
	w.opened(signIn(good), 200)
	signIn(good).WantTokens(t, 422, "totp.error")
	w.Now = w.Now.Add(24 * time.Hour)
	for range 5 {
		a := signIn("000000x")
		a.WantTokens(t, 403, "identity.session.invalid_otp")
		closed(t, a)
	}
	a := signIn("000000x")
	a.WantTokens(t, 429, "identity.session.too_many_requests")
	expect.Equal(t, a.Header.Get("Retry-After"), "180")
}
