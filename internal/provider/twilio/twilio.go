package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/person"
	"barong/internal/provider/outbound"
)

const (
	messagesAddress = "https://api.twilio.com"
	verifyAddress   = "https://verify.twilio.com"
	callTimeout     = 5 * time.Second
	maxAnswer       = 64 << 10
)

// Config is our account at Twilio. AccountSID and AuthToken are mandatory.
type Config struct {
	AccountSID, AuthToken string
	// From is the number that messages of SMS come from, "+" and digits; mandatory for it.
	From string
	// ServiceSID is the service of Verify; mandatory for it.
	ServiceSID string
	// Address is asked in place of Twilio's own, "" for those.
	Address string
}

// problems lists those of the part that both ways need.
func (c Config) problems() (all []error) {
	if !plain(c.AccountSID) {
		all = append(all, errors.New("the account sid is missing, or has other characters than letters and digits"))
	}
	if c.AuthToken == "" {
		all = append(all, errors.New("the auth token is missing"))
	}
	if c.Address != "" {
		if err := outbound.CheckAddress(c.Address); err != nil {
			all = append(all, fmt.Errorf("the address %w", err))
		}
	}
	return all
}

// plain reports whether sid can be a segment of a path.
func plain(sid string) bool {
	return sid != "" && !strings.ContainsFunc(sid, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// A client asks Twilio.
type client struct {
	config Config
	base   string
	http   *outbound.Client
	log    *slog.Logger
}

func newClient(c Config, own string, transport http.RoundTripper, log *slog.Logger) *client {
	if c.Address != "" {
		own = strings.TrimRight(c.Address, "/")
	}
	return &client{config: c, base: own, http: outbound.New(callTimeout, transport), log: log}
}

// refusal is an answer of Twilio that is none of success; code is 0 for none.
type refusal struct{ status, code int }

func (r refusal) Error() string { return fmt.Sprintf("twilio answers %d, code %d", r.status, r.code) }

// failed reports whether Twilio took the order, which then came to nothing.
func (r refusal) failed() bool { return r.status < 300 }

// is reports whether Twilio gave a code.
func (r refusal) is(codes ...int) bool {
	return slices.Contains(codes, r.code)
}

// byCode are the refusals that clients are shown by their kind.
var byCode = map[int]error{
	21612: person.ErrPhoneUnreachable,
	21614: person.ErrPhoneInvalid,
	21618: person.ErrPhoneContent,
	21610: person.ErrPhoneUnsubscribed,
}

// post sends a form and reads the answer of a success; errors are refusals, or that there was no
// answer that could be understood.
func (c *client) post(ctx context.Context, path string, form url.Values) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return a, errors.New("the address is not one")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(c.config.AccountSID, c.config.AuthToken)
	status, body, err := c.http.Do(req, maxAnswer)
	if err != nil {
		return a, err
	}
	return parseAnswer(status, body)
}

// fail is err as person knows it. An operator reads of those that are nobody's number's fault.
func (c *client) fail(ctx context.Context, doing string, err error) error {
	if r, ok := errors.AsType[refusal](err); ok && byCode[r.code] != nil {
		return fmt.Errorf("%s: %w", doing, errors.Join(byCode[r.code], err))
	}
	if ctx.Err() == nil { // else the client has left
		c.log.WarnContext(ctx, "twilio does not do as it is asked", "asked", doing, "error", err)
	}
	return fmt.Errorf("%s: %w", doing, errors.Join(person.ErrPhoneProvider, err))
}

// answer is the part of a message or verification that is read.
type answer struct{ sid, status string }

var errAnswer = errors.New("the answer is not understood")

// parseAnswer reads an answer of Twilio. A success has an id and a status; a message that has failed
// at once is a refusal.
func parseAnswer(status int, body []byte) (answer, error) {
	if status < 200 || status > 299 {
		var refused struct {
			Code json.RawMessage `json:"code"`
		}
		_ = json.Unmarshal(body, &refused) // a page of a proxy has no code
		return answer{}, refusal{status, codeOf(refused.Code)}
	}
	var done struct {
		SID       string          `json:"sid"`
		Status    string          `json:"status"`
		ErrorCode json.RawMessage `json:"error_code"`
	}
	if json.Unmarshal(body, &done) != nil || done.SID == "" || done.Status == "" {
		return answer{}, errAnswer
	}
	if code := codeOf(done.ErrorCode); code != 0 || done.Status == "failed" || done.Status == "undelivered" {
		return answer{}, refusal{status, code}
	}
	return answer{done.SID, done.Status}, nil
}

// codeOf reads a code, as a number or as text; 0 for none.
func codeOf(raw json.RawMessage) int {
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	if err != nil {
		return 0
	}
	return n
}
