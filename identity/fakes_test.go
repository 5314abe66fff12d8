package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"time"

	"barong/internal/captcha"
	persons "barong/internal/person"
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
		return persons.ErrCallback
	}
	c.noted = append(c.noted, id)
	return c.err
}

// letters are mail tokens, and "word W", which is refused with the word W.
type letters struct{ *token.Keys }

func (l letters) VerifyMail(jwt, purpose string, now time.Time) (token.MailClaims, error) {
	if word, ok := strings.CutPrefix(jwt, "word "); ok {
		return token.MailClaims{}, &token.MailError{Word: word}
	}
	return l.Keys.VerifyMail(jwt, purpose, now)
}
