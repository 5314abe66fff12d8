package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"barong/internal/limit"
)

// An Op describes the path, the purpose and the failures of an endpoint.
type Op struct {
	// Method is an HTTP method; HEAD comes with GET.
	Method string
	// Path continues the group's; "{name}" segments fill the input field of that name.
	Path string
	// Status is the one of success. 204 has no body; rest.None under another status is
	// answered with the status number as JSON (design D1).
	Status int
	// Reference is the status of success under Config.ReferenceStatus (design D28); 0 where the
	// reference answers Status.
	Reference int
	Summary   string
	// Cost bounds the use of one request, counted by the caller's network before the guard looks
	// and by principal before any parameter is read. Every endpoint has one.
	Cost limit.Cost
	// Resource replaces the group's in default tokens.
	Resource string
	// MaxBody replaces the server's bound on the body, in bytes.
	MaxBody int64
	// Errors are the failures of this endpoint beside its guard's and its parameters'.
	Errors []Failure
}

// A Scheme is how a guard's callers prove their identity, for the document.
type Scheme struct {
	// Name is the key in the document; Type is "http" or "apiKey".
	Name, Type string
	// Scheme is for http ("bearer"); In ("header", "cookie") and Key are for apiKey.
	Scheme, In, Key string
	Description     string
}

// A Guard admits callers, and makes W of the request: all that a handler knows of its caller.
// It runs before any parameter is looked at.
type Guard[W any] struct {
	Admit func(*http.Request) (W, error)
	// Principal is the account that calls, whose requests are counted; nil when nobody proves
	// to be one. It is "" when Admit refused before it knew.
	Principal func(W) (uid string)
	// Done, when set, gets the outcome of each call of a principal, before the answer: the input,
	// as far as it could be read, and the error, also one of the input's. It gets Admit's, too,
	// with a nil input; not that of a call that is one too many.
	Done func(ctx context.Context, who W, in any, err error)
	// Failures are those of Admit.
	Failures []Failure
	// Schemes are alternatives; none means that nothing has to be proved.
	Schemes []Scheme
}

// A Handler is an endpoint's guard and call. Only Guarded makes one.
type Handler[I, O any] struct {
	failures []Failure
	schemes  []Scheme
	call     func(r *http.Request, count func(principal string) error, bind func() (I, error)) (O, error)
}

// Guarded puts g before f. I is a struct of parameters, by the tags of the package comment;
// O is the type shown as JSON, or None, Page, With or Also.
func Guarded[W, I, O any](g Guard[W], f func(context.Context, W, I) (O, error)) Handler[I, O] {
	return Handler[I, O]{
		failures: g.Failures, schemes: g.Schemes,
		call: func(r *http.Request, count func(string) error, bind func() (I, error)) (O, error) {
			var nothing O
			who, refused := g.Admit(r)
			known := g.Principal != nil && g.Principal(who) != ""
			if known {
				if err := count(g.Principal(who)); err != nil {
					return nothing, err
				}
			}
			if refused != nil {
				if known && g.Done != nil {
					g.Done(r.Context(), who, nil, refused)
				}
				return nothing, refused
			}
			out := nothing
			in, err := bind()
			if err == nil {
				out, err = f(r.Context(), who, in)
			}
			if known && g.Done != nil {
				g.Done(r.Context(), who, in, err)
			}
			return out, err
		},
	}
}

// None is the input of an endpoint without parameters and the output of one without a body.
type None struct{}

// With is an output that comes with cookies.
type With[T any] struct {
	Body T
	// SetCookie is the value of a Set-Cookie header; "" sends none.
	SetCookie string
	// SetCookies are those of further ones, in order; "" sends none.
	SetCookies []string
}

// reply is implemented by outputs that say more than their JSON.
type reply interface {
	// write adds headers and returns the body.
	write(r *http.Request, h http.Header) any
	// body is the type of the body and the headers that come with it, for the document.
	body() (reflect.Type, map[string]string)
}

func (w With[T]) write(r *http.Request, h http.Header) any {
	for _, c := range append([]string{w.SetCookie}, w.SetCookies...) {
		if c != "" {
			h.Add("Set-Cookie", c)
		}
	}
	if inner, ok := any(w.Body).(reply); ok {
		return inner.write(r, h)
	}
	return w.Body
}

func (With[T]) body() (reflect.Type, map[string]string) {
	return reflect.TypeFor[T](), map[string]string{"Set-Cookie": "The session cookie."}
}

// endpoint is a mounted Op, as the document needs it.
type endpoint struct {
	op        Op
	namespace string
	path      string // without the prefix: "/resource/api_keys/{kid}"
	in        *plan
	out       reflect.Type
	failures  []Failure
	schemes   []Scheme
}

// Add mounts an endpoint under every prefix and puts it into the document. It panics when
// the declaration contradicts itself, as it can only be wrong at start-up.
func Add[I, O any](g *Group, op Op, h Handler[I, O]) {
	s := g.server
	path := g.path + op.Path
	if op.Resource == "" {
		op.Resource = g.resource
	}
	if h.call == nil || op.Status == 0 || op.Summary == "" {
		panic(fmt.Sprintf("rest: %s %s lacks a guarded handler, a status or a summary", op.Method, path))
	}
	if !op.Cost.Known() {
		panic(fmt.Sprintf("rest: %s %s does not say what it costs", op.Method, path))
	}
	if s.config.ReferenceStatus && op.Reference != 0 {
		op.Status, op.Reference = op.Reference, op.Status
	}
	if op.MaxBody == 0 {
		op.MaxBody = s.config.MaxBody
	}
	in, err := planOf(reflect.TypeFor[I](), op.Method, path, g.namespace+"."+op.Resource)
	if err != nil {
		panic(fmt.Sprintf("rest: %s %s: %v", op.Method, path, err))
	}
	e := &endpoint{
		op: op, namespace: g.namespace, path: path, in: in, out: reflect.TypeFor[O](),
		failures: append(append([]Failure(nil), op.Errors...), h.failures...), schemes: h.schemes,
	}
	if !slices.ContainsFunc(e.failures, func(f Failure) bool { return errors.Is(f.err, limit.ErrTooMany) }) {
		e.failures = append(e.failures, TooMany(strings.TrimSuffix(g.namespace+"."+op.Resource, ".")))
	}
	for _, f := range e.failures {
		if f.text == "" && len(f.tokens) == 0 && !f.bare {
			panic(fmt.Sprintf("rest: %s %s: a failure without a token", op.Method, path))
		}
	}
	s.endpoints = append(s.endpoints, e)

	serve := func(c *gin.Context) {
		r := c.Request
		passageOf(r.Context()).route = path
		settle := func() {}
		if s.config.Track != nil {
			var ctx context.Context
			ctx, settle = s.config.Track(r.Context())
			r = r.WithContext(ctx)
		}
		var done func()
		if err := s.count(r, op.Cost); err != nil {
			s.fail(c.Writer, r, e, err)
			return
		}
		out, err := h.call(r, func(principal string) error {
			passageOf(r.Context()).uid = principal
			return s.config.Budget.Principal(r.Context(), op.Cost, principal)
		}, func() (in I, err error) {
			var p params
			p, done, err = read(c.Writer, r, op.MaxBody, e.in.raw)
			if err != nil {
				return in, err
			}
			p.header = r.Header
			if p.path, err = pathValues(c); err != nil {
				return in, err
			}
			return in, e.in.bind(reflect.ValueOf(&in).Elem(), p)
		})
		if done != nil {
			defer done()
		}
		settle() // a failure, too, may have written
		if err != nil {
			s.fail(c.Writer, r, e, err)
			return
		}
		answer(c.Writer, r, op.Status, out)
	}
	route := ginPath(path)
	for _, prefix := range s.config.Prefixes {
		s.engine.Handle(op.Method, prefix+route, serve)
		if op.Method == http.MethodGet {
			s.engine.HEAD(prefix+route, serve)
		}
	}
}

// answer writes a success.
func answer(w http.ResponseWriter, r *http.Request, status int, out any) {
	body := out
	if o, ok := out.(reply); ok {
		body = o.write(r, w.Header())
	}
	switch _, none := body.(None); {
	case status == http.StatusNoContent:
		w.WriteHeader(status)
	case none:
		writeJSON(w, status, status)
	default:
		writeJSON(w, status, body)
	}
}

// writeJSON writes body, which must be encodable: outputs are our own types.
func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("encode %T: %w", body, err))
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b) // the client may be gone; nothing to do about it
}

// ginPath spells "{kid}" as ":kid".
func ginPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := pathParam(p); ok {
			parts[i] = ":" + name
		}
	}
	return strings.Join(parts, "/")
}

func pathParam(segment string) (name string, ok bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

func pathValues(c *gin.Context) (map[string]any, error) {
	values := make(map[string]any, len(c.Params))
	for _, p := range c.Params {
		v, err := url.PathUnescape(p.Value)
		if err != nil {
			return nil, refusal{status: http.StatusNotFound, text: routeNotFound.Error}
		}
		values[p.Key] = v
	}
	return values, nil
}
