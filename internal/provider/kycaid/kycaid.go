package kycaid

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"barong/internal/event"
	"barong/internal/person"
	"barong/internal/provider/outbound"
)

// ErrSignature says that a callback is not KYCAID's.
var ErrSignature = errors.New("kycaid: signature is not valid")

const (
	defaultTimeout = 10 * time.Second
	uploadTimeout  = time.Minute
	maxAnswer      = 1 << 20 // an answer may hold the applicant with all documents
	maxID          = 64
)

// Config is our account at KYCAID.
type Config struct {
	// Token is the API token. KYCAID signs its callbacks with it, too.
	Token string
	// Address is that of the service's API.
	Address string
	// Form is that of our account by which verifications go, and Callback the address that is called
	// when one has ended. Either may be empty.
	Form, Callback string
	// Timeout of a call, answer included, 3 to 10 s: 10 s.
	Timeout time.Duration
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if strings.TrimSpace(c.Token) == "" {
		problems = append(problems, errors.New("the api token is missing: without it no callback can be told from a forged one"))
	} else if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the api token has characters that no header takes"))
	}
	if err := outbound.CheckAddress(c.Address); err != nil {
		problems = append(problems, fmt.Errorf("the address %w", err))
	}
	if c.Timeout != 0 && (c.Timeout < 3*time.Second || c.Timeout > 10*time.Second) {
		problems = append(problems, fmt.Errorf("timeout is %v, want 3s to 10s", c.Timeout))
	}
	return errors.Join(problems...)
}

// A Client talks to KYCAID. It is safe for concurrent use.
type Client struct {
	config  Config
	client  *outbound.Client
	uploads *outbound.Client // of files, which take longer
}

var _ person.KYCService = (*Client)(nil)

// New makes a client; transport may be nil.
func New(c Config, transport http.RoundTripper) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kycaid: configuration: %w", err)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	c.Address = strings.TrimRight(c.Address, "/")
	return &Client{config: c, client: outbound.New(c.Timeout, transport), uploads: outbound.New(uploadTimeout, transport)}, nil
}

// Verification implements person.KYCProvider: GET /verifications/{id}.
func (c *Client) Verification(ctx context.Context, id string) (person.KYCResult, error) {
	if !validID(id) {
		return person.KYCResult{}, fmt.Errorf("fetch verification: the id is not one of kycaid's: %w", person.ErrUnknownVerification)
	}
	req, err := c.request(ctx, http.MethodGet, "/verifications/"+id, nil)
	if err != nil {
		return person.KYCResult{}, fmt.Errorf("fetch verification: %w", err)
	}
	status, body, err := c.client.Do(req, maxAnswer)
	switch {
	case err != nil:
		return person.KYCResult{}, fmt.Errorf("fetch verification: %w", unreached(err))
	case status == http.StatusNotFound:
		return person.KYCResult{}, fmt.Errorf("fetch verification: kycaid has none: %w", person.ErrUnknownVerification)
	case status != http.StatusOK:
		return person.KYCResult{}, fmt.Errorf("fetch verification: %w", failure(status))
	}
	r, err := parseResult(body)
	if err != nil {
		return person.KYCResult{}, fmt.Errorf("fetch verification: %w", err)
	}
	if r.VerificationID != id {
		return person.KYCResult{}, errors.New("fetch verification: the answer is about another")
	}
	return r, nil
}

// request is one to a path of the API, with our token.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.config.Address+path, body)
	if err != nil {
		return nil, errors.New("the address is not one")
	}
	req.Header.Set("Authorization", "Token "+c.config.Token)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// unreached is an error of the way to the service. When there is no way at all, nobody's submissions get
// there; a call that broke may be the fault of that one.
func unreached(err error) error {
	var call *net.OpError
	if errors.As(err, &call) && call.Op == "dial" {
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	return err
}

// failure is an answer without a result. Some say that the service takes nothing from us just now: our
// token or our credit is not good, we ask too often, or it is down.
func failure(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: status %d", event.ErrUnavailable, status)
	}
	return fmt.Errorf("status %d", status)
}

// validID keeps the text of a callback from becoming another path.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-'
	})
}

// errAnswer keeps the answer, which is about a person, out of the text.
var errAnswer = errors.New("the answer is not understood")

// parseResult reads an answer: ids and status must be there, results may not be. A result
// without a verdict (null) is not verified.
func parseResult(body []byte) (person.KYCResult, error) {
	var answer struct {
		VerificationID string          `json:"verification_id"`
		ApplicantID    string          `json:"applicant_id"`
		Status         string          `json:"status"`
		Verifications  json.RawMessage `json:"verifications"`
	}
	if json.Unmarshal(body, &answer) != nil ||
		answer.VerificationID == "" || answer.ApplicantID == "" || answer.Status == "" {
		return person.KYCResult{}, errAnswer
	}
	r := person.KYCResult{
		VerificationID: answer.VerificationID, ApplicantID: answer.ApplicantID, Status: answer.Status,
		Verified: map[string]bool{},
	}
	switch string(answer.Verifications) {
	case "", "null", "[]": // how some servers write an object without members
		return r, nil
	}
	var results map[string]struct {
		Verified *bool `json:"verified"`
	}
	if json.Unmarshal(answer.Verifications, &results) != nil {
		return person.KYCResult{}, errAnswer
	}
	for name, result := range results {
		r.Verified[name] = result.Verified != nil && *result.Verified
	}
	return r, nil
}

// VerifySignature checks the header x-data-integrity of a callback against its body as it was
// sent: the hexadecimal HMAC-SHA-512, keyed with the API token, of the body in base64.
// ErrSignature when it does not fit.
func (c *Client) VerifySignature(body []byte, header string) error {
	got, err := hex.DecodeString(header)
	if err != nil {
		return ErrSignature
	}
	mac := hmac.New(sha512.New, []byte(c.config.Token))
	mac.Write([]byte(base64.StdEncoding.EncodeToString(body)))
	if !hmac.Equal(mac.Sum(nil), got) {
		return ErrSignature
	}
	return nil
}
