package authz

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"barong/internal/hostile"
)

// The cost of a request is linear in its length: of every part that a decision reads, in
// every shape that a generator makes of the marks and words it knows.
func TestReadingTimeIsLinear(t *testing.T) {
	c := testParseConfig(t, []string{"10.0.0.0/8"}, "cloudflare")
	s := fakeServer(t, &fakes{w: small(t)}, func(c *Config, _ *Parts) { c.Origins = []string{"https://app.example.com"} })
	for name, place := range map[string]struct {
		hostile.Grammar
		into func(*request) *string
	}{
		"path": {hostile.Grammar{Head: "/", Words: []string{"api/v2/auth", "%D0%B9"}, Marks: []string{"/", ".", "%2e", "%25", "%", "й", "a"}, Longest: maxPath},
			func(r *request) *string { return &r.target }},
		"query": {hostile.Grammar{Head: "/a?", Words: []string{"a=b"}, Marks: []string{"&", "=", "#", "%", ";"}},
			func(r *request) *string { return &r.target }},
		"X-Forwarded-For": {hostile.Grammar{Words: []string{"10.0.0.1", "[::1]:80", "1.2.3.4"}, Marks: []string{",", " ", ":", "[", "]", ".", "%", "0"}},
			func(r *request) *string { return &r.forwardedFor }},
		"the edge's address": {hostile.Grammar{Words: []string{"1.2.3.4"}, Marks: []string{":", " ", "[", "%"}},
			func(r *request) *string { return &r.cfConnectingIP }},
		"API key":   {hostile.Grammar{Words: []string{"kid"}, Marks: []string{",", " ", "\t"}}, func(r *request) *string { return &r.apiKey }},
		"nonce":     {hostile.Grammar{Words: []string{"1"}, Marks: []string{",", " ", "0"}}, func(r *request) *string { return &r.nonce }},
		"signature": {hostile.Grammar{Words: []string{"ab"}, Marks: []string{",", " ", "0"}}, func(r *request) *string { return &r.signature }},
		"CSRF":      {hostile.Grammar{Words: []string{"ab"}, Marks: []string{",", " "}}, func(r *request) *string { return &r.csrf }},
		"upgrade":   {hostile.Grammar{Words: []string{"websocket"}, Marks: []string{",", " ", "\t"}}, func(r *request) *string { return &r.upgrade }},
		"origin": {hostile.Grammar{Words: []string{"https://app.example.com"}, Marks: []string{":", "/", ".", " "}},
			func(r *request) *string { return &r.origin }},
		"host":       {hostile.Grammar{Words: []string{"localhost", ":443"}, Marks: []string{":", "[", "]", "."}}, func(r *request) *string { return &r.host }},
		"method":     {hostile.Grammar{Words: []string{"GET"}, Marks: []string{" ", "\t"}}, func(r *request) *string { return &r.method }},
		"user agent": {hostile.Grammar{Words: []string{"Mozilla"}, Marks: []string{" ", "(", ";"}}, func(r *request) *string { return &r.userAgent }},
	} {
		t.Run(name, func(t *testing.T) {
			var scratch []byte
			hostile.Linear(t, place.Grammar, func(text string) {
				r := request{
					method: "GET", target: "/api/v2/peatio/x", host: "api.example.com", peer: prefixes("10.0.0.1/32")[0].Addr(),
					hasCSRF: true, hasAPIKey: true, hasNonce: true, hasSignature: true, apiKey: "k", nonce: "1", signature: "s", scratch: scratch[:0],
				}
				*place.into(&r) = text
				r.parse(c)
				r.apiKeyHeaders()
				r.csrfOnce()
				_, _ = parseNonce(r.nonce)
				signatureMatches(r.signature, [32]byte{})
				s.mayUpgrade(&r)
				s.sameOrigin(&r)
				isLoopbackHost(r.host)
				isAdminPath(r.target)
				withoutSuffix(r.path)
				scratch = r.scratch
			})
		})
	}
}

// The same of the message around it, whose parts are fields within fields.
func TestDecodeTimeIsLinear(t *testing.T) {
	extra := string(wireHTTP(wireEntry("x-auth-a", "b")))
	g := hostile.Grammar{
		Words: []string{string(wireHTTP(wireEntry("cookie", "a=b"))), extra, string(wireMetadata(wireNest(20, nil)))},
		Marks: []string{"\x0a\x00", "\x0a", "\x0b", "\x0c", "\x08\x01", "\xff", "\x80", "\x00", string(wireGroup(9, 20, nil))},
	}
	var r request
	hostile.Linear(t, g, func(text string) { _ = r.decode([]byte(text)) })
}

func FuzzReading(f *testing.F) {
	g := hostile.Grammar{Words: []string{"websocket", "[::1]:80", "10.0.0.1", "https://a.b"}, Marks: []string{",", " ", ":", "/", "%"}}
	for s := range g.Samples(30) {
		f.Add(s, s)
	}
	c, err := newParseConfig(prefixes("10.0.0.0/8"), "cloudflare", nil, false)
	if err != nil {
		f.Fatal(err)
	}
	s := fakeServer(f, &fakes{w: small(f)}, func(*Config, *Parts) {})
	f.Fuzz(func(t *testing.T, one, other string) {
		r := request{
			method: "GET", target: "/" + one, host: other, origin: one, upgrade: other, forwardedFor: one, cfConnectingIP: other,
			peer: prefixes("10.0.0.1/32")[0].Addr(), cookie: one, hasCookie: true,
		}
		status, reason := r.parse(c)
		if status == 0 && (!r.ip.IsValid() || r.path == "" || r.suspect == suspectUnreadable) {
			t.Errorf("passed with path %q, address %v", r.path, r.ip)
		}
		if status != 0 && reason == "" {
			t.Errorf("refused with %d and no reason", status)
		}
		if s.mayUpgrade(&r) && strings.Trim(other, " \t") != "" && !strings.EqualFold(strings.Trim(other, " \t"), "websocket") {
			t.Errorf("may become %q", other)
		}
	})
}

// Oversized and malformed input takes little memory, and nothing panics.
func TestHostileInputTakesLittleMemory(t *testing.T) {
	c := testParseConfig(t, []string{"10.0.0.0/8"}, "cloudflare")
	big := strings.Repeat("a", 100_000)
	with := func(change func(h *authv3.AttributeContext_HttpRequest)) []byte {
		m := realistic()
		m.Attributes.Source = socketPeer("10.0.0.1")
		change(m.Attributes.Request.Http)
		return marshalProto(t, m)
	}
	header := func(name, value string) []byte {
		return with(func(h *authv3.AttributeContext_HttpRequest) { h.Headers[name] = value })
	}
	path := func(p string) []byte {
		return with(func(h *authv3.AttributeContext_HttpRequest) { h.Path = p })
	}
	many := func(format string) []byte {
		return with(func(h *authv3.AttributeContext_HttpRequest) {
			for i := range 10_000 {
				h.Headers[fmt.Sprintf(format, i)] = "x"
			}
		})
	}
	for name, msg := range map[string][]byte{
		"no attributes":                 nil,
		"a path of 100 kB of escapes":   path("/" + strings.Repeat("%61", 33_000)),
		"a query of 1 MB":               path("/a?" + strings.Repeat(big, 10)),
		"a session of 1 MB":             header("cookie", "_barong_session="+strings.Repeat("%61", 333_000)),
		"100,000 cookies":               header("cookie", strings.Repeat("_barong_session=a;", 100_000)),
		"100,000 other cookies":         header("cookie", "_barong_session=a"+strings.Repeat(";a=b", 100_000)),
		"10,000 hops":                   header("x-forwarded-for", strings.Repeat("10.0.0.1,", 9_999)+"10.0.0.1"),
		"a header of 1 MB of bad UTF-8": wireHTTP(wireEntry("accept", strings.Repeat("\xff", 1_000_000))),
		"10,000 headers":                many("header-%d"),
		"10,000 x-auth- headers":        many("x-auth-%d"),
		"10,000 headers in upper case":  many("X-AUTH-%d"),
		"a Value nested 9,000 deep":     wireMetadata(wireNest(4500, nil)),
		"a Value nested too deep":       wireMetadata(wireNest(100_000, nil)),
		"groups nested 9,000 deep":      wireGroup(9, 9000, nil),
		"groups nested too deep":        wireGroup(9, 500_000, nil),
		"a message cut in the middle":   with(func(*authv3.AttributeContext_HttpRequest) {})[:300],
		"100,000 empty attributes":      []byte(strings.Repeat("\x0a\x00", 100_000)),
		"zeroes":                        make([]byte, 1_000_000),
		"ones":                          []byte(strings.Repeat("\xff", 1_000_000)),
	} {
		t.Run(name, func(t *testing.T) {
			const tries = 3
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range tries {
				var r request
				if r.decode(msg) == nil {
					r.parse(c)
					r.apiKeyHeaders()
					r.sessionCookies(sessionName)
					r.stripOwn(sessionName)
				}
			}
			runtime.ReadMemStats(&after)
			if got := (after.TotalAlloc - before.TotalAlloc) / tries; got > 4<<20 {
				t.Errorf("allocated %d bytes, want at most 4 MiB", got)
			}
		})
	}
}
