package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"barong/internal/limit"
	"barong/internal/logfold"
)

// Config of a Server. Only Log has no usable zero value.
type Config struct {
	// Log gets one line per request and one per failure that no endpoint declared.
	Log *slog.Logger
	// Prefixes are the paths under which every group is mounted, the same tree under each;
	// none means /api/v2, /api/v2/barong and /api/v2/auth.
	Prefixes []string
	// MaxBody bounds request bodies in bytes; an Op may have its own. It is mandatory.
	MaxBody int64
	// Timeout ends the context of one request; 0 means 30 s. A body with files has minutes beside it.
	Timeout time.Duration
	// Uploads is how many requests with files are read and served at once; 0 means 8. Further ones
	// wait a little, and are then refused as one too many. Spool is the folder in which their files
	// are until then, "" for the system's.
	Uploads int
	Spool   string
	// Outages are the errors that mean "try again later": answered 503, unless an endpoint
	// declares them otherwise. A deadline that passed always is one. Unavailable, when set,
	// says the same of errors without a name, as a driver's.
	Outages     []error
	Unavailable func(error) bool
	// ReferenceStatus answers successes with the status of the reference where it is another
	// than the documents'.
	ReferenceStatus bool
	// CORS says which browser pages of other origins may read answers.
	CORS CORS
	// ClientIP, when set, puts the caller's address on the access line.
	ClientIP func(*http.Request) netip.Addr
	// Lost, when set, sees each request that no endpoint answers. It must not block.
	Lost func(*http.Request)
	// Track, when set, is given the context of each call of an endpoint. It returns the one to
	// make the call with, and a function that waits until the commits of the call are obeyed,
	// which runs before the answer.
	Track func(context.Context) (context.Context, func())
	// Budget bounds the use by callers, by the network of ClientIP and by account; nil bounds
	// nothing.
	Budget *limit.Budget
	// Observe, when set, gets every answer, for metrics. The route is the endpoint's path
	// template without its prefix, "" for none.
	Observe func(method, route string, status int, took time.Duration)
}

// Server is the REST API as an http.Handler. Mount everything before the first request;
// after that it is safe for concurrent use.
type Server struct {
	config    Config
	engine    *gin.Engine
	cors      cors
	exact     map[string]bool      // paths of Handle, which may end in .json
	methods   map[string]*[]string // by route, of those that OPTIONS answers
	declared  map[string]bool      // the literal beginnings of every route, for the access line
	endpoints []*endpoint
	lines     lines
	turns     *turns
}

// New makes an empty server; the error lists the faults of c.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		return nil, errors.New("rest: no logger")
	}
	if c.Prefixes == nil {
		c.Prefixes = []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"}
	}
	if c.MaxBody < 1 {
		return nil, fmt.Errorf("rest: request bodies may have %d bytes, want 1 or more", c.MaxBody)
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Budget != nil && c.ClientIP == nil {
		return nil, errors.New("rest: a budget needs the addresses of clients")
	}
	if c.Uploads == 0 {
		c.Uploads = 8
	}
	cors, err := c.CORS.compile()
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// The path is brought into one spelling before gin sees it, and an escaped slash never
	// becomes a separator: a gate in front of us has judged the path it saw.
	e.UseEscapedPath = true
	e.UnescapePathValues = false
	e.RedirectTrailingSlash = false
	s := &Server{config: c, engine: e, cors: cors, exact: map[string]bool{}, methods: map[string]*[]string{}, declared: map[string]bool{}, turns: newTurns(c.Uploads)}
	s.lines.start(c.Log)
	e.NoRoute(func(c *gin.Context) {
		if s.config.Lost != nil {
			s.config.Lost(c.Request)
		}
		if s.admitted(c.Writer, c.Request) {
			passageOf(c.Request.Context()).answered(routeNotFound.Error)
			writeJSON(c.Writer, http.StatusNotFound, routeNotFound)
		}
	})
	return s, nil
}

// Handle mounts a plain handler for GET and HEAD at exactly path, outside the prefixes and
// the document, with the request id, recovery and access line of everything else. It answers
// from memory: its cost is limit.Answer.
func (s *Server) Handle(path string, h http.Handler) {
	s.exact[path] = true
	s.declare(path)
	serve := func(c *gin.Context) {
		if s.admitted(c.Writer, c.Request) {
			h.ServeHTTP(c.Writer, c.Request)
		}
	}
	s.engine.GET(path, serve)
	s.engine.HEAD(path, serve)
}

// Handles reports whether Handle has mounted path.
func (s *Server) Handles(path string) bool { return s.exact[path] }

// An Endpoint describes one endpoint that Add has mounted.
type Endpoint struct {
	Method, Path string // the path without a prefix: "/resource/api_keys/{kid}"
	Cost         limit.Cost
}

// Endpoints are all that Add has mounted, in that order.
func (s *Server) Endpoints() []Endpoint {
	out := make([]Endpoint, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		out = append(out, Endpoint{e.op.Method, e.path, e.op.Cost})
	}
	return out
}

// Prefixes are the paths under which every group is mounted.
func (s *Server) Prefixes() []string { return append([]string(nil), s.config.Prefixes...) }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	on := &passage{id: requestID(r), sent: r.URL, path: s.canonical(r.URL), base: r.Context(), start: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), passageKey{}, on), s.config.Timeout)
	defer cancel()
	out := &recorder{ResponseWriter: w, head: r.Method == http.MethodHead}
	in := withPath(r.WithContext(ctx), on.path)
	defer s.finish(out, in, on)

	h := out.Header()
	h.Set("X-Request-Id", on.id)
	h.Set("X-Content-Type-Options", "nosniff")
	if s.api(on.path) {
		h.Set("Cache-Control", "no-store")
		if s.cors.apply(h, in) {
			if s.admitted(out, in) {
				out.WriteHeader(http.StatusNoContent)
			}
			return
		}
	}
	s.engine.ServeHTTP(out, in)
}

// count counts a request by the caller's network.
func (s *Server) count(r *http.Request, cost limit.Cost) error {
	if s.config.Budget == nil {
		return nil
	}
	return s.config.Budget.Network(r.Context(), cost, s.config.ClientIP(r))
}

// admitted counts a request that no endpoint serves, and answers it when it is one too many.
func (s *Server) admitted(w http.ResponseWriter, r *http.Request) bool {
	err := s.count(r, limit.Answer)
	if err != nil {
		s.fail(w, r, &endpoint{op: Op{Method: r.Method}, failures: TooMany().Under("server").list()}, err)
	}
	return err == nil
}

// finish recovers a panic and writes the access line. It shows the declared path, never the
// values that a client puts into the path or the query: they may be secrets (design D19).
func (s *Server) finish(out *recorder, r *http.Request, on *passage) {
	p := recover()
	ctx := r.Context()
	aborted := p == any(http.ErrAbortHandler)
	if p != nil && !aborted {
		on.failed()
		s.lines.write(lineKind{message: "panic in a REST handler", error: on.route}, logfold.Outages, slog.LevelError,
			slog.String("request_id", on.id), slog.String("panic", fmt.Sprint(p)),
			slog.String("stack", string(debug.Stack())))
		if out.status == 0 {
			writeJSON(out, http.StatusInternalServerError, internalError)
		}
	}
	took := time.Since(on.start)
	if s.config.Observe != nil {
		s.config.Observe(r.Method, on.route, out.code(), took)
	}
	attrs := []slog.Attr{
		slog.String("request_id", on.id),
		slog.String("method", clip(r.Method, 16)),
		slog.String("path", on.shown(s)),
		slog.String("route", on.route),
		slog.Int("status", out.code()),
		slog.Int("bytes", out.bytes),
		slog.Duration("took", took),
	}
	if on.error != "" {
		attrs = append(attrs, slog.String("error", on.error))
	}
	if on.reason != "" {
		attrs = append(attrs, slog.String("reason", on.reason), slog.String("detail", on.detail))
	}
	if on.uid != "" {
		attrs = append(attrs, slog.String("uid", on.uid))
	}
	kind, burst := lineKind{message: "request", error: on.error, reason: on.reason, status: out.code()}, logfold.Outages
	var ip netip.Addr
	if s.config.ClientIP != nil {
		ip = s.config.ClientIP(r)
		attrs = append(attrs, slog.String("ip", addressText(ip)))
	}
	if !on.fault {
		kind.uid, kind.ip, burst = on.uid, logfold.Network(ip), logfold.Refusals
	}
	if kind.status < 400 {
		s.config.Log.LogAttrs(ctx, slog.LevelInfo, kind.message, attrs...)
	} else {
		s.lines.write(kind, burst, slog.LevelInfo, attrs...)
	}
	if aborted {
		panic(p)
	}
}

// canonical is the one spelling of u's path that routes are matched against: escaped, runs
// of slashes squeezed, none at the end, no trailing ".json".
func (s *Server) canonical(u *url.URL) string {
	path := squeeze(u.EscapedPath())
	if s.exact[path] {
		return path
	}
	if cut, ok := strings.CutSuffix(path, ".json"); ok && !strings.HasSuffix(cut, "/") {
		return cut
	}
	return path
}

// declare notes the literal beginnings of a path that is mounted, up to its first parameter.
func (s *Server) declare(path string) {
	for at := 1; at <= len(path); at++ {
		if at < len(path) && path[at] != '/' {
			continue
		}
		if _, param := pathParam(path[strings.LastIndexByte(path[:at], '/')+1 : at]); param {
			return
		}
		s.declared[path[:at]] = true
	}
}

// shown is the path for the access line: the template of the endpoint, or the part that a route
// declares and an ellipsis in place of the rest.
func (on *passage) shown(s *Server) string {
	if on.route != "" {
		return on.prefix + on.route
	}
	path, known := on.path, 0
	for known < len(path) {
		next := len(path)
		if i := strings.IndexByte(path[known+1:], '/'); i >= 0 {
			next = known + 1 + i
		}
		if !s.declared[path[:next]] {
			return path[:known] + "/…"
		}
		known = next
	}
	return path
}

// withPath is r at another escaped path.
func withPath(r *http.Request, path string) *http.Request {
	plain, err := url.PathUnescape(path)
	if err != nil { // net/http has parsed it before
		plain = path
	}
	u := *r.URL
	u.Path, u.RawPath = plain, path
	r.URL = &u
	return r
}

// api reports whether path belongs to a group: the part that CORS and no-store cover.
func (s *Server) api(path string) bool {
	for _, p := range s.config.Prefixes {
		if strings.HasPrefix(path, p+"/") && !s.exact[path] {
			return true
		}
	}
	return false
}

func squeeze(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if path == "" {
		return "/"
	}
	return path
}

// passage is the server's memory of a request on its way through.
type passage struct {
	id     string
	sent   *url.URL // as the client sent it
	path   string   // canonical
	prefix string   // before that path
	route  string   // of the endpoint that was found
	uid    string   // of the caller that its guard admitted
	error  string   // the tokens of a refusal
	reason string   // of a Reasoned error, and its text
	detail string
	fault  bool // it is our own failure, an outage for one, for every caller
	base   context.Context
	start  time.Time
}

// answered notes the tokens of a refusal for the access line.
func (on *passage) answered(tokens ...string) { on.error = clip(strings.Join(tokens, ","), 256) }

// failed notes a failure of our own for the access line.
func (on *passage) failed() {
	on.answered(tokenInternal)
	on.fault = true
}

type passageKey struct{}

// passageOf is never nil.
func passageOf(ctx context.Context) *passage {
	if on, ok := ctx.Value(passageKey{}).(*passage); ok {
		return on
	}
	return &passage{}
}

// RequestID returns the id of the request that ctx belongs to, "" outside of one.
func RequestID(ctx context.Context) string { return passageOf(ctx).id }

// Path is the path of r below the prefix under which its endpoint is mounted: "/resource/api_keys/k1".
func Path(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Path, passageOf(r.Context()).prefix)
}

// Address is the address of a path and a query, under the prefix by which the request of ctx came.
func Address(ctx context.Context, path string, query url.Values) string {
	u := url.URL{Path: passageOf(ctx).prefix + path, RawQuery: query.Encode()}
	return u.String()
}

// requestID takes the caller's id when it is harmless in a log, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) > 0 && len(id) <= 64 && strings.Trim(id, idBytes) == "" {
		return id
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

const idBytes = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_."

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// recorder remembers the status and size of an answer, and keeps bodies off HEAD answers.
type recorder struct {
	http.ResponseWriter
	head   bool
	status int
	bytes  int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.head {
		return len(b), nil
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
