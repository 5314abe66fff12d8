package rest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"barong/internal/limit"
	"barong/internal/logfold"
)

// A Failure ties an error of a handler or guard to the answer that the client gets, or is a set of
// such; the zero value is the empty set. A token that begins with a dot continues the group's:
// ".doesnt_exist" below admin's permissions is "admin.permission.doesnt_exist".
type Failure struct {
	err    error
	status int
	tokens []string
	text   string
	bare   bool
	waits  bool
	cookie string
	header errorHeader
	from   string // the token of a Tokens error that tokens[0] stands for
	set    []Failure
	// accepts makes the body and the path of Location of an error that Accepted is for; body is its type.
	accepts func(error) (body any, location string, ok bool)
	body    reflect.Type
}

// All is the set of failures; of several for one error the first counts.
func All(failures ...Failure) Failure { return Failure{set: failures} }

// On answers err (by errors.Is) with a status and its tokens.
func On(err error, status int, tokens ...string) Failure {
	return Failure{err: err, status: status, tokens: tokens}
}

// Alike answers each of errs with a status and one token.
func Alike(status int, token string, errs ...error) Failure {
	var all []Failure
	for _, err := range errs {
		all = append(all, On(err, status, token))
	}
	return All(all...)
}

// OnText answers err with {"error": text}, the shape of a few old answers.
func OnText(err error, status int, text string) Failure {
	return Failure{err: err, status: status, text: text}
}

// OnStatus answers err with the status number as its body, as services expect that call back.
func OnStatus(err error, status int) Failure {
	return Failure{err: err, status: status, bare: true}
}

// Accepted answers an error of the type E, by which a handler says that the call waits for something, with
// 202, the body that show makes, and in Location the path, below the prefix of the request, where the client
// can look after it, "" for none.
func Accepted[E error, T any](show func(E) (body T, location string)) Failure {
	return Failure{status: http.StatusAccepted, body: reflect.TypeFor[T](), accepts: func(err error) (any, string, bool) {
		waits, ok := errors.AsType[E](err)
		if !ok {
			return nil, "", false
		}
		body, location := show(waits)
		return body, location, true
	}}
}

// After adds Retry-After: the wait that limit.RetryAfter finds in the error, at least a second.
func (f Failure) After() Failure {
	return f.each(func(f Failure) Failure { f.waits = true; return f })
}

// SetCookie adds a Set-Cookie header with the value.
func (f Failure) SetCookie(value string) Failure {
	return f.each(func(f Failure) Failure { f.cookie = value; return f })
}

// An errorHeader is a header that comes with a refusal; value returns "" for none.
type errorHeader struct {
	name, doc string
	value     func(context.Context, error) string
}

// Header adds a header, whose value is of the error; "" is none. doc is a sentence for the document.
func (f Failure) Header(name, doc string, value func(context.Context, error) string) Failure {
	return f.each(func(f Failure) Failure { f.header = errorHeader{name, doc, value}; return f })
}

// Under is f with its tokens in full: prefix goes before those that begin with a dot.
func (f Failure) Under(prefix string) Failure {
	return f.each(func(f Failure) Failure {
		tokens := make([]string, len(f.tokens))
		for i, t := range f.tokens {
			tokens[i] = under(prefix, t)
		}
		f.tokens = tokens
		return f
	})
}

func under(prefix, token string) string {
	if strings.HasPrefix(token, ".") {
		return prefix + token
	}
	return token
}

// Token is the token by which f answers err; "" where f does not know it.
func (f Failure) Token(err error) string {
	for _, one := range f.list() {
		if one.err != nil && errors.Is(err, one.err) && len(one.tokens) > 0 {
			return one.tokens[0]
		}
	}
	return ""
}

// each is the set of the changed failures of f.
func (f Failure) each(change func(Failure) Failure) Failure {
	list := f.list()
	out := make([]Failure, len(list))
	for i, one := range list {
		out[i] = change(one)
	}
	return All(out...)
}

// list is every single failure of f, in order.
func (f Failure) list() (all []Failure) {
	if f.set == nil && f.status == 0 {
		return nil
	}
	if f.set == nil {
		return []Failure{f}
	}
	for _, one := range f.set {
		all = append(all, one.list()...)
	}
	return all
}

// TooMany is the answer to callers that must wait (limit.ErrTooMany), with Retry-After. Add declares
// it where an endpoint does not: its own is for another token.
func TooMany() Failure {
	return On(limit.ErrTooMany, http.StatusTooManyRequests, ".too_many_requests").After()
}

// TokenWord stands in a declared token for a word of the client's, of [a-z0-9]*.
const TokenWord = "{word}"

// Rules declares the tokens that a Tokens error of this endpoint can hold, for the document:
// 422 with any of these.
func Rules(tokens ...string) Failure {
	return Failure{status: http.StatusUnprocessableEntity, tokens: tokens}
}

// Rule declares a token that a Tokens error of this endpoint can hold, and another that clients
// get in its place.
func Rule(token, shown string) Failure {
	return Failure{status: http.StatusUnprocessableEntity, tokens: []string{shown}, from: token}
}

// Tokens is the error that carries its own tokens, one per broken rule of the domain;
// answered 422 with all of them. One that begins with a dot continues the group's.
type Tokens interface {
	error
	Tokens() []string
}

// Reasoned is an error that says in one of a few fixed words why a caller is refused. The word goes into the
// access line, beside the text of the error, and not to the caller.
type Reasoned interface {
	error
	Reason() string
}

// Errors is the body of a refusal.
type Errors struct {
	Errors []string `json:"errors"`
}

// ErrorText is the body of the few refusals that carry a sentence.
type ErrorText struct {
	Error string `json:"error"`
}

var (
	routeNotFound = ErrorText{"Route is not found"}
	internalError = Errors{[]string{tokenInternal}}
)

// Tokens that any endpoint may answer.
const (
	tokenInternal = "server.internal_error"
	tokenJSON     = "server.invalid_json"
	tokenForm     = "server.invalid_form"
	tokenQuery    = "server.invalid_query"
	tokenTooLarge = "server.body_too_large"
)

// A Wording makes the bodies of refusals of clients that expect others than the tokens. The document
// shows the types of these bodies, with an example for each problem and token.
type Wording struct {
	// Params answers parameters that break their rules, in the order of declaration; nil as usual.
	Params func(problems []Problem) (status int, body any)
	// Rules answers a Tokens error; nil as usual.
	Rules func(tokens []string) (status int, body any)
}

func (w Wording) params(bad broken) (status int, body any) {
	if w.Params != nil {
		return w.Params(bad)
	}
	return bad.status(), Errors{bad.tokens()}
}

func (w Wording) rules(tokens []string) (status int, body any) {
	if w.Rules != nil {
		return w.Rules(tokens)
	}
	return http.StatusUnprocessableEntity, Errors{tokens}
}

// refusal is an error of this package: a request that never reached its handler.
type refusal struct {
	status int
	tokens []string
	text   string
}

func (r refusal) Error() string {
	if r.text != "" {
		return "rest: " + r.text
	}
	return "rest: refused with " + strconv.Itoa(r.status)
}

// fail answers err as e declares it. An undeclared error is 500 and one log line; clients
// never see its text.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, e *endpoint, err error) {
	on := passageOf(r.Context())
	if bad, ok := errors.AsType[broken](err); ok {
		on.answered(bad.tokens()...)
		status, body := e.wording.params(bad)
		writeJSON(w, status, body)
		return
	}
	if bad, ok := errors.AsType[refusal](err); ok {
		if bad.text != "" {
			on.answered(bad.text)
		} else {
			on.answered(bad.tokens...)
		}
		refuse(w, bad.status, bad.tokens, bad.text)
		return
	}
	for _, f := range e.failures {
		if f.accepts != nil {
			if body, location, ok := f.accepts(err); ok {
				if location != "" {
					w.Header().Set("Location", on.prefix+location)
				}
				writeJSON(w, f.status, body)
				return
			}
		}
		if f.err != nil && errors.Is(err, f.err) {
			if f.waits {
				seconds := max(1, math.Ceil(limit.RetryAfter(err).Seconds()))
				w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
			}
			if f.cookie != "" {
				w.Header().Add("Set-Cookie", f.cookie)
			}
			if f.header.value != nil {
				if v := f.header.value(r.Context(), err); v != "" {
					w.Header().Set(f.header.name, v)
				}
			}
			if f.status >= 500 {
				s.logFailure(r, e, f.status, err)
			} else if why, ok := errors.AsType[Reasoned](err); ok {
				on.reason, on.detail = why.Reason(), clip(err.Error(), 256)
			}
			if f.text != "" {
				on.answered(f.text)
			} else if len(f.tokens) > 0 {
				on.answered(f.tokens...)
			}
			if f.bare {
				writeJSON(w, f.status, f.status)
				return
			}
			refuse(w, f.status, f.tokens, f.text)
			return
		}
	}
	if many, ok := errors.AsType[Tokens](err); ok {
		tokens := e.words(many.Tokens())
		on.answered(tokens...)
		status, body := e.wording.rules(tokens)
		writeJSON(w, status, body)
		return
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok { // read by a guard
		on.answered(tooLarge.tokens...)
		refuse(w, tooLarge.status, tooLarge.tokens, "")
		return
	}
	status := http.StatusInternalServerError
	if s.outage(err) {
		status = http.StatusServiceUnavailable
	}
	s.logFailure(r, e, status, err)
	writeJSON(w, status, internalError)
}

// words are the tokens of a broken rule as this endpoint's clients get them.
func (e *endpoint) words(tokens []string) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = under(e.prefix, t)
		if shown, ok := e.renamed[t]; ok {
			out[i] = shown
		}
	}
	return out
}

func (s *Server) outage(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, errSpool) ||
		slices.ContainsFunc(s.config.Outages, func(o error) bool { return errors.Is(err, o) }) ||
		s.config.Unavailable != nil && s.config.Unavailable(err)
}

func (s *Server) logFailure(r *http.Request, e *endpoint, status int, err error) {
	kind, level := lineKind{message: "request failed", status: status, error: e.String()}, slog.LevelError
	on := passageOf(r.Context())
	on.failed()
	if errors.Is(context.Cause(r.Context()), context.Canceled) {
		// The client left; not our failure, and no line of it may stand in the way of one that is.
		kind.left, level, on.fault = true, slog.LevelInfo, false
	}
	s.lines.write(kind, logfold.Outages, level,
		slog.String("request_id", RequestID(r.Context())),
		slog.String("endpoint", e.String()),
		slog.Int("status", status), slog.Any("error", err))
}

func refuse(w http.ResponseWriter, status int, tokens []string, text string) {
	if text != "" {
		writeJSON(w, status, ErrorText{text})
		return
	}
	writeJSON(w, status, Errors{tokens})
}
