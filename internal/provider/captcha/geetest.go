package captcha

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"barong/internal/captcha"
	"barong/internal/provider/outbound"
)

const geetestAddress = "https://api.geetest.com"

// The fields of a GeeTest response.
const (
	fieldChallenge = "geetest_challenge"
	fieldValidate  = "geetest_validate"
	fieldSeccode   = "geetest_seccode"
)

// GeeTestConfig is our account at GeeTest.
type GeeTestConfig struct {
	// ID is public, Key is known to us and the service only.
	ID, Key string
	// Address replaces the service's own; "" means that.
	Address string
}

// Validate lists every problem.
func (c GeeTestConfig) Validate() error {
	var problems []error
	if strings.TrimSpace(c.ID) == "" {
		problems = append(problems, errors.New("the geetest id is missing"))
	}
	if strings.TrimSpace(c.Key) == "" {
		problems = append(problems, errors.New("the geetest key is missing"))
	}
	if c.Address != "" {
		if err := outbound.CheckAddress(c.Address); err != nil {
			problems = append(problems, fmt.Errorf("the geetest address %w", err))
		}
	}
	return errors.Join(problems...)
}

// A GeeTest asks GeeTest (version 3), always over HTTPS (W-I24).
type GeeTest struct {
	config GeeTestConfig
	client *outbound.Client
}

var (
	_ captcha.Verifier  = (*GeeTest)(nil)
	_ captcha.Registrar = (*GeeTest)(nil)
)

// NewGeeTest makes one; transport may be nil.
func NewGeeTest(c GeeTestConfig, transport http.RoundTripper) (*GeeTest, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("captcha: configuration: %w", err)
	}
	if c.Address == "" {
		c.Address = geetestAddress
	}
	c.Address = strings.TrimRight(c.Address, "/")
	return &GeeTest{config: c, client: outbound.New(0, transport)}, nil
}

// Verify implements captcha.Verifier: the widget's proof must be made with our key, and the
// service must know its code.
func (g *GeeTest) Verify(ctx context.Context, r captcha.Response) error {
	if r.Fields == nil && strings.TrimSpace(r.Text) == "" {
		return captcha.ErrRequired
	}
	challenge, ok1 := r.Fields[fieldChallenge]
	validate, ok2 := r.Fields[fieldValidate]
	seccode, ok3 := r.Fields[fieldSeccode]
	if !ok1 || !ok2 || !ok3 {
		return captcha.ErrFields
	}
	for _, field := range []string{challenge, validate, seccode} {
		if field == "" || utf8.RuneCountInString(field) > captcha.MaxResponse {
			return captcha.ErrFailed
		}
	}
	proof := md5hex(g.config.Key + "geetest" + challenge)
	if subtle.ConstantTimeCompare([]byte(proof), []byte(validate)) != 1 {
		return captcha.ErrFailed
	}
	status, body, err := g.client.PostForm(ctx, g.config.Address+"/validate.php", url.Values{
		"seccode": {seccode}, "challenge": {challenge}, "captchaid": {g.config.ID},
	}, maxAnswer)
	if err != nil {
		return outage("geetest", err)
	}
	answer := strings.TrimSpace(string(body))
	switch {
	case status != http.StatusOK:
		return outage("geetest", fmt.Errorf("status %d", status))
	case answer == md5hex(seccode):
		return nil
	case answer == "false" || isMD5(answer):
		return captcha.ErrFailed
	}
	return outage("geetest", errors.New("the answer is not understood"))
}

// Register implements captcha.Registrar: the service's challenge, sealed with our key so
// that the browser cannot make one of its own.
func (g *GeeTest) Register(ctx context.Context) (captcha.Challenge, error) {
	status, body, err := g.client.Get(ctx,
		g.config.Address+"/register.php?gt="+url.QueryEscape(g.config.ID), maxAnswer)
	if err != nil {
		return captcha.Challenge{}, fmt.Errorf("register with geetest: %w", err)
	}
	raw := strings.TrimSpace(string(body))
	if status != http.StatusOK {
		return captcha.Challenge{}, fmt.Errorf("register with geetest: status %d", status)
	}
	if !isMD5(raw) {
		return captcha.Challenge{}, errors.New("register with geetest: the answer is not a challenge")
	}
	return captcha.Challenge{ID: g.config.ID, Challenge: md5hex(raw + g.config.Key)}, nil
}

// md5hex is the service's own digest; nothing of ours rests on it alone.
func md5hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// isMD5 reports whether text has the form of a digest: 32 lower-case hexadecimal characters.
func isMD5(text string) bool {
	return len(text) == 32 && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'f')
	})
}
