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
	"barong/internal/param"
)

// An Op describes the path, the purpose and the failures of an endpoint.
type Op struct {
	// Method is an HTTP method; HEAD comes with GET.
	Method string
	// Path continues the group's; "{name}" segments fill the input field of that name.
	Path string
	// Status is the one of success; 0 means that of the method: 201 for POST, 204 for DELETE, else
	// 200. 204 has no body; rest.None under another status is answered with the status number as
	// JSON (design D1).
	Status int
	// Reference is the status of success under Config.ReferenceStatus (design D28); 0 where the
	// reference answers Status.
	Reference int
	Summary   string
	// Cost bounds the use of one request, counted by the caller's network before the guard looks
	// and by principal before any parameter is read. Where the guard knows principals, 0 means
	// limit.List for a GET of a Page, limit.Read for any other, and else the guard's Changes;
	// endpoints for anybody must say.
	Cost limit.Cost
	// MaxBody replaces the server's bound on the body, in bytes.
	MaxBody int64
	// Errors are the failures of this endpoint beside its group's, its guard's and its parameters'.
	Errors Failure
}

// withDefaults fills in the status and the cost that the method implies.
func (op Op) withDefaults(out reflect.Type, principals bool, changes limit.Cost) Op {
	if op.Status == 0 {
		op.Status = http.StatusOK
		switch op.Method {
		case http.MethodPost:
			op.Status = http.StatusCreated
		case http.MethodDelete:
			op.Status = http.StatusNoContent
		}
	}
	if op.Cost != 0 || !principals {
		return op
	}
	_, page := reflect.Zero(out).Interface().(interface{ links(*http.Request) string })
	switch {
	case op.Method != http.MethodGet && changes != 0:
		op.Cost = changes
	case op.Method != http.MethodGet:
		op.Cost = limit.Write
	case page:
		op.Cost = limit.List
	default:
		op.Cost = limit.Read
	}
	return op
}

// None is the input of an endpoint without parameters and the output of one without a body.
type None struct{}

// endpoint is a mounted Op, as the document needs it.
type endpoint struct {
	op        Op
	namespace string
	path      string // without the prefix: "/resource/api_keys/{kid}"
	prefix    string // of tokens
	in        *plan
	out       reflect.Type
	failures  []Failure // tokens in full
	renamed   map[string]string
	wording   Wording
	sourced   bool // parameters come from the guard
	sourceDoc string
	schemes   []Scheme
}

// Add mounts an endpoint under every prefix and puts it into the document. I is a struct of
// parameters, by the tags of the package comment; O is the type shown as JSON, or None, Page, Reply or
// Attachment. Add panics when the declaration contradicts itself, as it can only be wrong at start-up.
func Add[W, I, O any](g Group[W], op Op, f func(context.Context, W, I) (O, error)) {
	if g.server == nil || f == nil {
		panic("rest: " + op.Method + " " + g.path + op.Path + " has no group or no handler")
	}
	guard := g.guard
	op = op.withDefaults(reflect.TypeFor[O](), guard.Principal != nil, guard.Changes)
	e := g.endpoint(op, reflect.TypeFor[I](), reflect.TypeFor[O]())
	if g.options != nil {
		g.server.list(e, g.options, g.prefix())
	}
	g.server.mount(e, func(r *http.Request, x exchange) (any, error) {
		who, refused := guard.Admit(r)
		known := guard.Principal != nil && guard.Principal(who) != ""
		if known {
			if err := x.count(guard.Principal(who)); err != nil {
				return nil, err
			}
		}
		done := func(in any, err error) {
			if known && guard.Done != nil {
				guard.Done(r.Context(), who, in, err)
			}
		}
		if refused != nil {
			done(nil, refused)
			return nil, refused
		}
		var in I
		var out O
		var source []byte
		if e.sourced {
			source = guard.Source.JSON(who)
		}
		err := x.bind(reflect.ValueOf(&in).Elem(), source)
		if err == nil {
			out, err = f(r.Context(), who, in)
		}
		done(in, err)
		return out, err
	})
}

// endpoint is op as one of g.
func (g Group[W]) endpoint(op Op, in, out reflect.Type) *endpoint {
	s := g.server
	e := &endpoint{
		namespace: g.namespace, path: g.path + op.Path, prefix: g.prefix(), out: out,
		renamed: map[string]string{}, schemes: g.guard.Schemes, wording: g.wording,
		sourced: g.guard.Source.JSON != nil, sourceDoc: g.guard.Source.Doc,
	}
	if s.config.ReferenceStatus && op.Reference != 0 {
		op.Status, op.Reference = op.Reference, op.Status
	}
	if op.MaxBody == 0 {
		op.MaxBody = s.config.MaxBody
	}
	e.op = op
	if op.Summary == "" {
		panic(fmt.Sprintf("rest: %s lacks a summary", e))
	}
	if !op.Cost.Known() {
		panic(fmt.Sprintf("rest: %s does not say what it costs", e))
	}
	var err error
	if e.in, err = planOf(in, op.Method, e.path, e.prefix); err != nil {
		panic(fmt.Sprintf("rest: %s: %v", e, err))
	}
	if e.sourced && e.in.raw {
		panic(fmt.Sprintf("rest: %s wants the raw body, which its guard reads", e))
	}
	all := All(op.Errors, g.failures, g.guard.Refusals)
	if !slices.ContainsFunc(all.list(), func(f Failure) bool { return errors.Is(f.err, limit.ErrTooMany) }) {
		all = All(all, TooMany())
	}
	e.failures = all.Under(e.prefix).list()
	for _, f := range e.failures {
		if f.text == "" && len(f.tokens) == 0 && !f.bare && f.accepts == nil {
			panic(fmt.Sprintf("rest: %s: a failure without a token", e))
		}
		if f.from != "" {
			e.renamed[f.from] = f.tokens[0]
		}
	}
	return e
}

// String names e: "GET /resource/api_keys".
func (e *endpoint) String() string { return e.op.Method + " " + e.path }

// exchange is one request of an endpoint, as its typed part sees it.
type exchange struct {
	// count counts the request by its principal; bind fills the input, from source where the guard
	// brings the parameters.
	count func(principal string) error
	bind  func(dst reflect.Value, source []byte) error
}

// mount serves e under every prefix by call, which returns the output or an error.
func (s *Server) mount(e *endpoint, call func(*http.Request, exchange) (any, error)) {
	s.endpoints = append(s.endpoints, e)
	serve := func(c *gin.Context, prefix string) {
		r := c.Request
		on := passageOf(r.Context())
		on.route, on.prefix = e.path, prefix
		settle := func() {}
		var slow *transfer
		if e.in.files != nil {
			r, slow = slowly(c.Writer, r, s.config.Timeout)
			defer slow.close()
		}
		if s.config.Track != nil {
			var ctx context.Context
			ctx, settle = s.config.Track(r.Context())
			r = r.WithContext(ctx)
		}
		r.Body = http.MaxBytesReader(c.Writer, r.Body, e.op.MaxBody)
		done := func() {}
		defer func() { done() }()
		if err := s.count(r, e.op.Cost); err != nil {
			s.fail(c.Writer, r, e, err)
			return
		}
		out, err := call(r, exchange{
			count: func(principal string) error {
				passageOf(r.Context()).uid = principal
				return s.config.Budget.Principal(r.Context(), e.op.Cost, principal)
			},
			bind: func(dst reflect.Value, source []byte) (err error) {
				var p params
				switch {
				case e.sourced:
					p.body, err = param.JSON(source)
					err = unreadable(err, tokenJSON)
				case slow != nil:
					p, done, err = s.receive(r, e, slow)
				default:
					p, done, err = s.read(r, e)
				}
				if err != nil {
					return err
				}
				p.header = r.Header
				if p.path, err = pathValues(c); err != nil {
					return err
				}
				return e.in.bind(dst, p)
			},
		})
		settle() // a failure, too, may have written
		if err != nil {
			s.fail(c.Writer, r, e, err)
			return
		}
		s.answer(c.Writer, r, e, out)
	}
	route := ginPath(e.path)
	for _, prefix := range s.config.Prefixes {
		at := func(c *gin.Context) { serve(c, prefix) }
		s.declare(prefix + e.path)
		s.engine.Handle(e.op.Method, prefix+route, at)
		if e.op.Method == http.MethodGet {
			s.engine.HEAD(prefix+route, at)
		}
	}
}

// list serves OPTIONS at the path of e; tokens of refusals begin with prefix.
func (s *Server) list(e *endpoint, o *options, prefix string) {
	route := ginPath(e.path)
	methods, known := s.methods[route]
	if methods == nil {
		methods = new([]string)
		s.methods[route] = methods
	}
	*methods = append(*methods, e.op.Method)
	if e.op.Method == http.MethodGet {
		*methods = append(*methods, http.MethodHead)
	}
	if known {
		return
	}
	refused := &endpoint{op: Op{Method: http.MethodOptions}, path: e.path, failures: o.refusals.Under(prefix).list()}
	for _, prefix := range s.config.Prefixes {
		s.engine.OPTIONS(prefix+route, func(c *gin.Context) {
			on := passageOf(c.Request.Context())
			on.route, on.prefix = e.path, prefix
			if !s.admitted(c.Writer, c.Request) {
				return
			}
			if o.admit != nil {
				if err := o.admit(c.Request); err != nil {
					s.fail(c.Writer, c.Request, refused, err)
					return
				}
			}
			allow := slices.Clone(*methods)
			if o.refusal == "" {
				allow = append(allow, http.MethodOptions)
			}
			slices.Sort(allow)
			c.Writer.Header().Set("Allow", strings.Join(allow, ", "))
			if o.refusal != "" {
				on.answered(o.refusal)
				writeJSON(c.Writer, http.StatusMethodNotAllowed, ErrorText{o.refusal})
				return
			}
			c.Writer.WriteHeader(http.StatusNoContent)
		})
	}
}

// answer writes a success.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, e *endpoint, out any) {
	if file, ok := out.(Attachment); ok {
		s.send(w, r, e, file)
		return
	}
	status, body := e.op.Status, out
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
