package captcha

import (
	"context"
	"errors"
)

// Faults of a response. Any other error of a Verifier is an outage or
// a wrong setting: nobody can say whether the client is human, so the request must not go on
// (design D20). It wraps ErrOutage.
var (
	// ErrRequired says that no response was sent, or a blank one.
	ErrRequired = errors.New("captcha: response is missing")
	// ErrFields says that a response of several fields lacks one.
	ErrFields = errors.New("captcha: mandatory fields are missing")
	// ErrFailed says that the response proves nothing: too long, forged, used up, or of
	// another site.
	ErrFailed = errors.New("captcha: verification failed")
	// ErrOutage says that the service did not judge.
	ErrOutage = errors.New("captcha: the service cannot say")
)

// MaxResponse is the length in characters above which a response, or a field of one, proves
// nothing.
const MaxResponse = 4000

// A Response is the value that a client sends as captcha_response: a text or an object.
type Response struct {
	// Text is "" when an object was sent.
	Text string
	// Fields are the object's members that are texts; nil when none was sent or an empty one.
	// An object without a single text is an empty map that is not nil.
	Fields map[string]string
}

// ResponseOf makes a response of a parameter that may be a text or an object of any values.
func ResponseOf(text string, object map[string]any) Response {
	r := Response{Text: text}
	if len(object) == 0 {
		return r
	}
	r.Fields = make(map[string]string, len(object))
	for name, value := range object {
		if s, ok := value.(string); ok {
			r.Fields[name] = s
		}
	}
	return r
}

// String keeps the response out of logs and errors: until it is used it is worth something.
func (r Response) String() string { return "captcha response" }

// GoString keeps it out of %#v.
func (r Response) GoString() string { return r.String() }

// A Verifier judges responses; it is safe for concurrent use.
type Verifier interface {
	// Verify is nil when the response proves a human. ErrRequired, ErrFields and ErrFailed
	// are the client's fault; everything else is ErrOutage.
	Verify(ctx context.Context, r Response) error
}

// A Challenge is the data with which the widget of some services must be started.
type Challenge struct{ ID, Challenge string }

// A Registrar starts challenges; it is safe for concurrent use.
type Registrar interface {
	// Register returns a new challenge. Every error is the service's; the endpoint then
	// answers with the empty text.
	Register(ctx context.Context) (Challenge, error)
}
