package rest_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

func TestRoutes(t *testing.T) {
	c := client(t)
	for _, prefix := range []string{"/api/v2", "/api/v2/barong", "/api/v2/auth"} {
		c.Get(t, prefix+"/resource/things?page=9").Want(t, 200, `[]`)
	}
	for name, path := range map[string]string{
		"trailing .json": "/api/v2/resource/things.json?page=9", "trailing slash": "/api/v2/resource/things/?page=9",
		"double slashes": "/api/v2//resource///things?page=9", "a plain path": "/api/v2/resource/things?page=9",
	} {
		t.Run(name, func(t *testing.T) { c.Get(t, path).Want(t, 200, `[]`) })
	}
	const notFound = `{"error":"Route is not found"}`
	c.Get(t, "/api/v2/resource/nothing").Want(t, 404, notFound)
	c.Get(t, "/").Want(t, 404, notFound)
	c.JSON(t, "PATCH", "/api/v2/resource/things", nil).Want(t, 404, notFound)
	c.JSON(t, "OPTIONS", "/api/v2/resource/things", nil).Want(t, 404, notFound)
	c.JSON(t, "POST", "/api/v2/resource%2Fthings", nil).Want(t, 404, notFound)
	c.Get(t, "/api/v2/resource/x/../things").Want(t, 404, notFound)

	a := c.Send(t, "POST", "/api/v2/resource/things/a+b%20c?code=1&need=n", "", "")
	var got seen
	a.Into(t, &got)
	if got.Key != "a+b c" {
		t.Errorf("path parameter: got %q, want %q", got.Key, "a+b c")
	}
	head := c.Send(t, "HEAD", "/api/v2/resource/things?page=9", "", "")
	if head.Status != 200 || head.Body != "" || head.Header.Get("Total") != "250" {
		t.Errorf("HEAD: got %d %q Total %q, want 200, no body, 250", head.Status, head.Body, head.Header.Get("Total"))
	}
	jwks := c.Get(t, "/.well-known/jwks.json")
	if jwks.Status != 200 || jwks.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("plain handler: got %d, Cache-Control %q", jwks.Status, jwks.Header.Get("Cache-Control"))
	}
}

func TestAccessLine(t *testing.T) {
	for path, want := range map[string]map[string]any{
		"GET //barong/resource/things.json?page=9&secret=hidden": {
			"path": "/api/v2/barong/resource/things", "route": "/resource/things", "status": 200.0, "bytes": 2.0},
		"DELETE /auth/resource/things/hidden": {
			"path": "/api/v2/auth/resource/things/{key}", "route": "/resource/things/{key}", "status": 400.0, "bytes": 84.0},
		// No endpoint answers these: the line has the part that a route declares.
		"PATCH /resource/things":              {"path": "/api/v2/resource/things"},
		"OPTIONS /resource/things/hidden":     {"path": "/api/v2/resource/things/…"},
		"GET /resource/things/hidden/more":    {"path": "/api/v2/resource/things/…"},
		"GET /resource/hidden/things":         {"path": "/api/v2/resource/…"},
		"GET /hidden":                         {"path": "/api/v2/…"},
		"GET /resource/things%2Fhidden":       {"path": "/api/v2/resource/…"},
		"GET /../../hidden":                   {"path": "/api/v2/…"},
		"GET /resource/things2?secret=hidden": {"path": "/api/v2/resource/…"},
	} {
		t.Run(path, func(t *testing.T) {
			var log strings.Builder
			s := newServer(t, &log, func(c *rest.Config) {
				c.ClientIP = func(*http.Request) netip.Addr { return netip.MustParseAddr("10.0.0.9") }
			})
			method, target, _ := strings.Cut(path, " ")
			resttest.New(t, s).With("X-Request-Id", "req-1").Send(t, method, "/api/v2"+target, "", "")
			var line map[string]any
			if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
				t.Fatalf("want one line of JSON, got %s: %v", log.String(), err)
			}
			delete(line, "time")
			delete(line, "took")
			if want["route"] == nil {
				want = map[string]any{"path": want["path"], "route": "", "status": 404.0, "bytes": 30.0, "error": "Route is not found"}
			}
			if line["status"] == 400.0 {
				delete(line, "error")
			}
			maps.Copy(want, map[string]any{
				"level": "INFO", "msg": "request", "request_id": "req-1", "method": method, "ip": "10.0.0.9",
			})
			expect.Equal(t, line, want)
		})
	}
}

func TestObserve(t *testing.T) {
	var got []string
	s := newServer(t, io.Discard, func(c *rest.Config) {
		c.Observe = func(method, route string, status int, _ time.Duration) {
			got = append(got, method+" "+route+" "+itoa(status))
		}
	})
	c := resttest.New(t, s)
	c.Send(t, "DELETE", "/api/v2/barong/resource/things/k1", "", "")
	c.Get(t, "/api/v2/nothing")
	c.JSON(t, "POST", "/api/v2/resource/things", map[string]any{"how": "panic"})
	expect.Equal(t, got, []string{"DELETE /resource/things/{key} 400", "GET  404", "POST /resource/things 500"})
}

func TestHeaders(t *testing.T) {
	a := client(t).With("X-Request-Id", "abc-1").Get(t, "/api/v2/resource/things")
	for name, want := range map[string]string{
		"X-Request-Id": "abc-1", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Type": "application/json",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	forged := client(t).With("X-Request-Id", "a b\"").Get(t, "/api/v2/resource/things")
	if got := forged.Header.Get("X-Request-Id"); len(got) != 32 {
		t.Errorf("a harmful request id: got %q, want one of ours", got)
	}
}

func TestPaging(t *testing.T) {
	const base = "<http://example.com/api/v2/resource/things?"
	for query, test := range map[string]struct{ items, page, perPage, link string }{
		"":                  {"100", "1", "100", base + `page=3>; rel="last", ` + base + `page=2>; rel="next"`},
		"page=2&limit=100":  {"100", "2", "100", base + `limit=100&page=1>; rel="first", ` + base + `limit=100&page=1>; rel="prev", ` + base + `limit=100&page=3>; rel="last", ` + base + `limit=100&page=3>; rel="next"`},
		"page=3":            {"50", "3", "100", base + `page=1>; rel="first", ` + base + `page=2>; rel="prev"`},
		"page=9":            {"0", "9", "100", base + `page=1>; rel="first", ` + base + `page=8>; rel="prev"`},
		"z=1&a=2&limit=250": {"", "", "", ""},
		"z=1&a=2&page=3":    {"50", "3", "100", base + `a=2&page=1&z=1>; rel="first", ` + base + `a=2&page=2&z=1>; rel="prev"`},
		"page=9223372036854775807": {"0", "9223372036854775807", "100",
			base + `page=1>; rel="first", ` + base + `page=9223372036854775806>; rel="prev"`},
	} {
		t.Run(query, func(t *testing.T) {
			a := client(t).Get(t, "/api/v2/resource/things?"+query)
			if test.page == "" {
				a.WantTokens(t, 422, "invalid_limit")
				return
			}
			var items []int
			a.Into(t, &items)
			got := []string{itoa(len(items)), a.Header.Get("Page"), a.Header.Get("Per-Page"), a.Header.Get("Link"), a.Header.Get("Total")}
			expect.Equal(t, got, []string{test.items, test.page, test.perPage, test.link, "250"})
		})
	}
	secure := client(t).With("X-Forwarded-Proto", "https").Get(t, "/api/v2/resource/things?page=3")
	if got := secure.Header.Get("Link"); !strings.HasPrefix(got, "<https://example.com/") {
		t.Errorf("behind a TLS proxy: got %q", got)
	}
}

func TestCORS(t *testing.T) {
	listed := func(c *rest.Config) {
		c.CORS = rest.CORS{Origins: []string{"https://a.example"}, Credentials: true, MaxAge: time.Minute}
	}
	c := resttest.New(t, newServer(t, io.Discard, listed)).With("Origin", "https://a.example")
	a := c.Get(t, "/api/v2/resource/nothing")
	expect.Equal(t, []string{a.Header.Get("Access-Control-Allow-Origin"), a.Header.Get("Access-Control-Allow-Credentials"), a.Header.Get("Vary")},
		[]string{"https://a.example", "true", "Origin"})
	pre := c.With("Access-Control-Request-Method", "DELETE").With("Access-Control-Request-Headers", "x-csrf-token").
		Send(t, "OPTIONS", "/api/v2/resource/things", "", "")
	expect.Equal(t, []string{itoa(pre.Status), pre.Header.Get("Access-Control-Allow-Methods"), pre.Header.Get("Access-Control-Allow-Headers"), pre.Header.Get("Access-Control-Max-Age")},
		[]string{"204", "GET, POST, DELETE, PUT, PATCH, OPTIONS, HEAD", "x-csrf-token", "60"})
	for _, other := range []string{"https://b.example", "null", "https://a.example.evil"} {
		if got := c.With("Origin", other).Get(t, "/api/v2/resource/things").Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("AZ-354: origin %s got %q, want no header", other, got)
		}
	}
	star := newServer(t, io.Discard, func(c *rest.Config) { c.CORS.Origins = []string{"https://x.example", "*"} })
	if got := resttest.New(t, star).With("Origin", "https://b.example").Get(t, "/api/v2/resource/things").
		Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("AZ-355: one * makes all: got %q", got)
	}
	for name, bad := range map[string]rest.CORS{
		"a bare name":          {Origins: []string{"a.example"}},
		"a path":               {Origins: []string{"https://a.example/x"}},
		"* with credentials":   {Origins: []string{"*"}, Credentials: true},
		"an unsuitable scheme": {Origins: []string{"ftp://a.example"}},
	} {
		if _, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20, CORS: bad}); err == nil {
			t.Errorf("AZ-355: %s was accepted", name)
		}
	}
}

// Successes have the status of the reference, with the body that belongs to it (D28).
func TestReferenceStatus(t *testing.T) {
	type text struct {
		Text string `json:"text"`
	}
	for _, c := range []struct {
		reference bool
		path      string
		status    int
		body      string
	}{
		{false, "/bare", 204, ""}, {true, "/bare", 200, "200"},
		{false, "/number", 201, "201"}, {true, "/number", 200, "200"},
		{false, "/text", 200, `{"text":"x"}`}, {true, "/text", 201, `{"text":"x"}`},
		{false, "/same", 200, `{"text":"x"}`}, {true, "/same", 200, `{"text":"x"}`},
	} {
		s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20, ReferenceStatus: c.reference})
		if err != nil {
			t.Fatal(err)
		}
		g := rest.NewGroup(s, "x", nobody)
		op := func(path string, status, reference int) rest.Op {
			return rest.Op{Method: "POST", Path: path, Status: status, Reference: reference, Summary: "x", Cost: limit.Answer}
		}
		none := func(context.Context, struct{}, rest.None) (rest.None, error) { return rest.None{}, nil }
		some := func(context.Context, struct{}, rest.None) (text, error) { return text{"x"}, nil }
		rest.Add(g, op("/bare", 204, 200), none)
		rest.Add(g, op("/number", 201, 200), none)
		rest.Add(g, op("/text", 200, 201), some)
		rest.Add(g, op("/same", 200, 0), some)
		resttest.New(t, s).JSON(t, "POST", "/api/v2/x"+c.path, nil).Want(t, c.status, c.body)
	}
}
