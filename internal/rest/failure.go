package rest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"barong/internal/limit"
	"barong/internal/logfold"
)

// A Failure ties an error of a handler or guard to the answer that the client gets.
type Failure struct {
	err    error
	status int
	tokens []string
	text   string
	bare   bool
	wait   func(error) time.Duration
	cookie string
}

// On answers err (by errors.Is) with a status and its tokens.
func On(err error, status int, tokens ...string) Failure {
	return Failure{err: err, status: status, tokens: tokens}
}

// OnText answers err with {"error": text}, the shape of a few old answers.
func OnText(err error, status int, text string) Failure {
	return Failure{err: err, status: status, text: text}
}

// OnStatus answers err with the status number as its body, as services expect that call back.
func OnStatus(err error, status int) Failure {
	return Failure{err: err, status: status, bare: true}
}

// After adds Retry-After: wait says how long the client should.
func (f Failure) After(wait func(error) time.Duration) Failure {
	f.wait = wait
	return f
}

// SetCookie adds a Set-Cookie header with the value.
func (f Failure) SetCookie(value string) Failure {
	f.cookie = value
	return f
}

// TooMany is the answer to callers that must wait (limit.ErrTooMany), with Retry-After; prefix
// begins its token. Add declares it where an endpoint does not: its own is for another token.
func TooMany(prefix string) Failure {
	return On(limit.ErrTooMany, http.StatusTooManyRequests, prefix+".too_many_requests").After(limit.RetryAfter)
}

// Rules declares the tokens that a Tokens error of this endpoint can hold, for the document:
// 422 with any of these.
func Rules(tokens ...string) Failure {
	return Failure{status: http.StatusUnprocessableEntity, tokens: tokens}
}

// Tokens is the error that carries its own tokens, one per broken rule of the domain;
// answered 422 with all of them.
type Tokens interface {
	error
	Tokens() []string
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
		if f.err != nil && errors.Is(err, f.err) {
			if f.wait != nil {
				seconds := max(1, math.Ceil(f.wait(err).Seconds()))
				w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
			}
			if f.cookie != "" {
				w.Header().Add("Set-Cookie", f.cookie)
			}
			if f.status >= 500 {
				s.logFailure(r, e, f.status, err)
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
		on.answered(many.Tokens()...)
		refuse(w, http.StatusUnprocessableEntity, many.Tokens(), "")
		return
	}
	status := http.StatusInternalServerError
	if s.outage(err) {
		status = http.StatusServiceUnavailable
	}
	s.logFailure(r, e, status, err)
	writeJSON(w, status, internalError)
}

func (s *Server) outage(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		slices.ContainsFunc(s.config.Outages, func(o error) bool { return errors.Is(err, o) }) ||
		s.config.Unavailable != nil && s.config.Unavailable(err)
}

func (s *Server) logFailure(r *http.Request, e *endpoint, status int, err error) {
	kind, level := lineKind{message: "request failed", status: status, error: e.op.Method + " " + e.path}, slog.LevelError
	on := passageOf(r.Context())
	on.failed()
	if r.Context().Err() == context.Canceled {
		// The client left; not our failure, and no line of it may stand in the way of one that is.
		kind.left, level, on.fault = true, slog.LevelInfo, false
	}
	s.lines.write(kind, logfold.Outages, level,
		slog.String("request_id", RequestID(r.Context())),
		slog.String("endpoint", e.op.Method+" "+e.path),
		slog.Int("status", status), slog.Any("error", err))
}

func refuse(w http.ResponseWriter, status int, tokens []string, text string) {
	if text != "" {
		writeJSON(w, status, ErrorText{text})
		return
	}
	writeJSON(w, status, Errors{tokens})
}
