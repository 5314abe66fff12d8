// Package resttest drives a rest.Server in process and holds every answer against the
// server's own OpenAPI document: a status, token, header or field that the document does
// not promise fails the test.
package resttest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"barong/internal/rest"
)

// Client sends requests to one server.
type Client struct {
	server *rest.Server
	doc    *openapi3.T
	header http.Header
	seen   *Coverage
	before []func(*http.Request)
	after  []func(*http.Request, string, Answer)
}

// New makes a client, whose requests and answers Main sees; the server must be fully mounted.
func New(t testing.TB, s *rest.Server) *Client {
	t.Helper()
	doc, err := s.Document("test", "0")
	if err != nil {
		t.Fatalf("the document: %v", err)
	}
	return (&Client{server: s, doc: doc, header: http.Header{}}).Recording(&everything)
}

// With is a client that sends one more header.
func (c *Client) With(name, value string) *Client {
	d := *c
	d.header = c.header.Clone()
	d.header.Set(name, value)
	return &d
}

// Before returns a client that lets f change each request before it is sent.
func (c *Client) Before(f func(*http.Request)) *Client {
	d := *c
	d.before = append(slices.Clip(c.before), f)
	return &d
}

// After returns a client that shows f each request, the body sent and the answer.
func (c *Client) After(f func(r *http.Request, sent string, a Answer)) *Client {
	d := *c
	d.after = append(slices.Clip(c.after), f)
	return &d
}

// Recording returns a client that records every request and answer in seen.
func (c *Client) Recording(seen *Coverage) *Client {
	d := *c
	d.seen = seen
	seen.describe(c.doc)
	return &d
}

// Answer is the answer of the server.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON sends body encoded, or nothing when it is nil.
func (c *Client) JSON(t testing.TB, method, target string, body any) Answer {
	t.Helper()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	return c.Send(t, method, target, "application/json", string(b))
}

// Form sends urlencoded pairs.
func (c *Client) Form(t testing.TB, method, target string, form url.Values) Answer {
	t.Helper()
	return c.Send(t, method, target, "application/x-www-form-urlencoded", form.Encode())
}

// Get sends no body.
func (c *Client) Get(t testing.TB, target string) Answer {
	t.Helper()
	return c.Send(t, http.MethodGet, target, "", "")
}

// Send sends a body as it is; media "" sends no content type.
func (c *Client) Send(t testing.TB, method, target, media, body string) Answer {
	t.Helper()
	return c.send(t, method, target, media, strings.NewReader(body), body)
}

// Stream sends whatever body gives when it is read.
func (c *Client) Stream(t testing.TB, method, target, media string, body io.Reader) Answer {
	t.Helper()
	return c.send(t, method, target, media, body, "")
}

// An Endpoint is a documented one: its path without a prefix, with x for each parameter.
type Endpoint struct{ Method, Path string }

// Endpoints lists those of some namespaces, in order.
func (c *Client) Endpoints(namespaces ...string) (all []Endpoint) {
	for path, item := range c.doc.Paths.Map() {
		if !slices.Contains(namespaces, namespaceOf(path)) {
			continue
		}
		for method := range item.Operations() {
			all = append(all, Endpoint{method, pathParameter.ReplaceAllString(path, "x")})
		}
	}
	slices.SortFunc(all, func(a, b Endpoint) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return all
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// Prefixes are those under which the server mounts every path.
func (c *Client) Prefixes() (all []string) {
	for _, s := range c.doc.Servers {
		all = append(all, s.URL)
	}
	return all
}

func (c *Client) send(t testing.TB, method, target, media string, content io.Reader, body string) Answer {
	t.Helper()
	r := httptest.NewRequest(method, target, content)
	for k, v := range c.header {
		r.Header[k] = v
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for _, change := range c.before {
		change(r)
	}
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r)
	a := Answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	for _, show := range c.after {
		show(r, body, a)
	}
	c.hold(t, r, a, body)
	return a
}

// hold checks a against the document, if its request was for an endpoint.
func (c *Client) hold(t testing.TB, r *http.Request, a Answer, sent string) {
	t.Helper()
	if c.server.Handles(r.URL.Path) {
		return
	}
	at, ours := c.operation(r)
	op := at.op
	if op == nil {
		// OPTIONS stands in no document; it answers 204, or the refusal of its caller.
		if ours && a.Status != http.StatusNotFound && a.Status != http.StatusNoContent && r.Method != http.MethodOptions {
			t.Errorf("%s %s is not in the document but answers %d", r.Method, r.URL.Path, a.Status)
		}
		return
	}
	c.seen.note(at, r, sent, a)
	if op.Responses.Status(a.Status) == nil {
		t.Errorf("%s %s: status %d is not in the document; body %s", r.Method, r.URL.Path, a.Status, a.Body)
		return
	}
	if a.Status == http.StatusNoContent && a.Body != "" {
		t.Errorf("%s %s: 204 with body %q", r.Method, r.URL.Path, a.Body)
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: c.doc, Operation: op},
		},
		Status: a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader([]byte(a.Body))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		t.Errorf("%s %s: the answer is not as documented: %v", r.Method, r.URL.Path, err)
	}
}

// A place is where the document has an operation, and under which prefix it was asked for.
type place struct {
	op                       *openapi3.Operation
	prefix, method, template string
}

// operation finds the endpoint of r, none when it is not documented, and reports whether r is
// below a path that the document covers.
func (c *Client) operation(r *http.Request) (at place, ours bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := strings.TrimSuffix(r.URL.EscapedPath(), ".json")
	var parts []string
	for _, p := range strings.Split(path, "/") {
		if p != "" {
			parts = append(parts, p)
		}
	}
	for _, server := range c.doc.Servers {
		base := strings.Split(strings.Trim(server.URL, "/"), "/")
		if len(parts) <= len(base) || !reflect.DeepEqual(parts[:len(base)], base) {
			continue
		}
		ours = true
		if op, template := c.match(method, parts[len(base):]); op != nil {
			return place{op, server.URL, method, template}, true
		}
	}
	return place{}, ours
}

// match prefers the template with the fewest parameters.
func (c *Client) match(method string, parts []string) (found *openapi3.Operation, at string) {
	fewest := len(parts) + 1
	for template, item := range c.doc.Paths.Map() {
		want := strings.Split(strings.Trim(template, "/"), "/")
		if len(want) != len(parts) {
			continue
		}
		params, fits := 0, true
		for i, w := range want {
			if strings.HasPrefix(w, "{") {
				params++
			} else if w != parts[i] {
				fits = false
			}
		}
		if op := item.GetOperation(method); fits && op != nil && params < fewest {
			found, at, fewest = op, template, params
		}
	}
	return found, at
}

// Want checks status and JSON body; want "" means no body.
func (a Answer) Want(t testing.TB, status int, want string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("status: got %d, want %d; body %s", a.Status, status, a.Body)
	}
	if a.Body == want {
		return
	}
	var got, exp any
	if json.Unmarshal([]byte(a.Body), &got) != nil || json.Unmarshal([]byte(want), &exp) != nil ||
		!reflect.DeepEqual(got, exp) {
		t.Errorf("body:\n got %s\nwant %s", a.Body, want)
	}
}

// WantTokens checks a refusal: its status and all of its tokens in order.
func (a Answer) WantTokens(t testing.TB, status int, tokens ...string) {
	t.Helper()
	b, err := json.Marshal(rest.Errors{Errors: tokens})
	if err != nil {
		t.Fatal(err)
	}
	a.Want(t, status, string(b))
}

// Into decodes the body.
func (a Answer) Into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("decode %s: %v", a.Body, err)
	}
}
