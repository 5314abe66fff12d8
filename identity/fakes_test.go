package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"barong/identity"
	"barong/internal/account"
	"barong/internal/captcha"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/token"
)

// judge is a captcha service: it takes the text "human" or an object whose geetest_seccode
// is that.
type judge struct{ err error }

func (j *judge) Verify(_ context.Context, r captcha.Response) error {
	switch {
	case j.err != nil:
		return j.err
	case strings.TrimSpace(r.Text) == "" && r.Fields == nil:
		return captcha.ErrRequired
	case r.Text == "" && len(r.Fields) < 3:
		return captcha.ErrFields
	case r.Text != "human" && r.Fields["geetest_seccode"] != "human":
		return captcha.ErrFailed
	}
	return nil
}

func (j *judge) Register(context.Context) (captcha.Challenge, error) {
	return captcha.Challenge{ID: "gt-id", Challenge: "0cc175b9c0f1b6a831c399e269772661"}, j.err
}

// provider is an OpenID Connect provider, whose tokens begin with "good".
type provider struct {
	claims token.IDClaims
	err    error
}

func (p *provider) Verify(_ context.Context, idToken string) (token.IDClaims, error) {
	if p.err == nil && !strings.HasPrefix(idToken, "good") {
		return token.IDClaims{}, token.ErrIDToken
	}
	c := p.claims
	if c.Fingerprint == "" { // each is another token
		c.Fingerprint = rand.Text()
	}
	if c.ExpiresAt.IsZero() {
		c.ExpiresAt = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return c, p.err
}

// callbacks is the side that the KYC provider calls; it signs with "signed".
type callbacks struct {
	noted []string
	err   error
}

func (c *callbacks) Called(_ context.Context, body []byte, signature, id string) error {
	if signature != "signed" || !bytes.Contains(body, []byte(id)) {
		return identity.ErrCallback
	}
	c.noted = append(c.noted, id)
	return c.err
}

// failures stand between the endpoints and their services, to fail.
type failures struct{ load, lookup, open, end, record, signIn, redeem error }

type users struct{ *world }

func (u users) User(ctx context.Context, uid string) (account.User, error) {
	if u.fail.load != nil {
		return account.User{}, u.fail.load
	}
	return u.db.User(ctx, uid)
}

func (u users) Labels(ctx context.Context, uid string) ([]account.Label, error) {
	return u.db.Labels(ctx, uid)
}

type accounts struct {
	*account.Service
	w *world
}

func (a accounts) SignIn(ctx context.Context, in account.SignIn) (account.SignedIn, error) {
	if a.w.fail.signIn != nil {
		return account.SignedIn{}, fmt.Errorf("sign in: %w", a.w.fail.signIn)
	}
	return a.Service.SignIn(ctx, in)
}

func (a accounts) SignInAuth0(ctx context.Context, in account.Auth0) (account.SignedIn, error) {
	if a.w.fail.signIn != nil {
		return account.SignedIn{}, fmt.Errorf("sign in: %w", a.w.fail.signIn)
	}
	return a.Service.SignInAuth0(ctx, in)
}

func (a accounts) SignedOut(ctx context.Context, by account.Actor) error {
	if a.w.fail.record != nil {
		return a.w.fail.record
	}
	return a.Service.SignedOut(ctx, by)
}

type manager struct {
	*session.Manager
	w *world
}

func (m manager) Open(ctx context.Context, o session.Opening, now time.Time) (string, session.Session, error) {
	if m.w.fail.open != nil {
		return "", session.Session{}, m.w.fail.open
	}
	return m.Manager.Open(ctx, o, now)
}

func (m manager) Lookup(ctx context.Context, cookie string, now time.Time) (*session.Entry, error) {
	if m.w.fail.lookup != nil {
		return nil, m.w.fail.lookup
	}
	return m.Manager.Lookup(ctx, cookie, now)
}

func (m manager) End(ctx context.Context, id session.ID) error {
	if m.w.fail.end != nil {
		return m.w.fail.end
	}
	return m.Manager.End(ctx, id)
}

type whitelinks struct{ *world }

func (w whitelinks) RedeemWhitelink(ctx context.Context, c account.Client, link string) (feed.Cursor, error) {
	if w.fail.redeem != nil {
		return feed.Cursor{}, w.fail.redeem
	}
	return w.rules.RedeemWhitelink(ctx, c, link)
}

// letters are mail tokens, and "word W", which is refused with the word W.
type letters struct{ *token.Keys }

func (l letters) VerifyMail(jwt, purpose string, now time.Time) (token.MailClaims, error) {
	if word, ok := strings.CutPrefix(jwt, "word "); ok {
		return token.MailClaims{}, &token.MailError{Word: word}
	}
	return l.Keys.VerifyMail(jwt, purpose, now)
}

// quick is a Hasher for tests.
type quick struct{}

func (quick) Hash(_ context.Context, password string) (string, error) { return "#" + password, nil }
func (quick) Match(_ context.Context, digest, password string) (ok, rehash bool, err error) {
	return digest == "#"+password, false, nil
}
