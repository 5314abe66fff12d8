package authz

import (
	"net/netip"
	"regexp"
	"strconv"
	"testing"
)

// parsed reads and parses the realistic request after change.
func parsed(t *testing.T, change func(*request)) (r request, status int, reason string) {
	t.Helper()
	if err := r.decode(marshalProto(t, realistic())); err != nil {
		t.Fatal(err)
	}
	change(&r)
	status, reason = r.parse(testParseConfig(t, nil, "none"))
	return r, status, reason
}

func TestParse(t *testing.T) {
	r, status, reason := parsed(t, func(r *request) {})
	if status != 0 || reason != "" {
		t.Fatalf("refused with %d %s", status, reason)
	}
	want := request{path: "api/v2/peatio/market/orders", bare: "api/v2/peatio/market/orders",
		query: "market=btcusd&limit=100", verb: "GET", ip: netip.MustParseAddr("203.0.113.9")}
	got := request{path: r.path, bare: r.bare, query: r.query, verb: r.verb, ip: r.ip}
	if got.path != want.path || got.bare != want.bare || got.query != want.query ||
		got.verb != want.verb || got.ip != want.ip {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c := r.sessionCookies(sessionName); c.n != 1 || c.more || c.value[0] != "0123456789abcdef0123456789abcdef" {
		t.Errorf("got the sessions %q (more: %v)", c.all(), c.more)
	}
}

// The seven methods are taken as the request line has them, and nothing else (FX-1, D5).
func TestParseMethods(t *testing.T) {
	for method, verb := range map[string]string{
		"GET": "GET", "HEAD": "GET", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH",
		"DELETE": "DELETE", "OPTIONS": "OPTIONS",
	} {
		r, status, _ := parsed(t, func(r *request) { r.method = method })
		if status != 0 || r.verb != verb || r.method != method {
			t.Errorf("%s: status %d, verb %s, want 0, %s", method, status, r.verb, verb)
		}
	}
	for _, method := range []string{"", "get", "Get", "TRACE", "CONNECT", "LINK", "PROPFIND", "GET ", "GETX"} {
		if _, status, reason := parsed(t, func(r *request) { r.method = method }); status != 405 || reason != "authz.invalid_method" {
			t.Errorf("%q: %d %s, want 405 authz.invalid_method", method, status, reason)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*request)
		status int
		reason string
	}{
		"an ambiguous path (D5)":          {func(r *request) { r.target = "/a/../b" }, 401, "authz.permission_denied"},
		"the method before the path (D5)": {func(r *request) { r.target, r.method = "/a/../b", "LINK" }, 405, "authz.invalid_method"},
		"no peer (D13)":                   {func(r *request) { r.peer = netip.Addr{} }, 400, "authz.invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, status, reason := parsed(t, c.change); status != c.status || reason != c.reason {
				t.Errorf("got %d %s, want %d %s", status, reason, c.status, c.reason)
			}
		})
	}
}

func TestSessionCookies(t *testing.T) {
	for name, c := range map[string]struct {
		cookie string
		repeat uint32
		n      int
		more   bool
	}{
		"equal ones":      {"_barong_session=a; _barong_session=a", 0, 1, false},
		"that differ":     {"_barong_session=a; _barong_session=b", 0, 2, false},
		"in two headers":  {"_barong_session=a", 1 << headerCookie, 1, true},
		"others repeated": {"_barong_session=a", 1 << headerCSRF, 1, false},
	} {
		r := request{cookie: c.cookie, hasCookie: true, repeat: c.repeat}
		if got := r.sessionCookies(sessionName); got.n != c.n || got.more != c.more || got.value[0] != "a" {
			t.Errorf("%s: got %q, %v, want %d values, %v", name, got.all(), got.more, c.n, c.more)
		}
	}
}

func TestAPIKeyHeaders(t *testing.T) {
	whole := request{hasAPIKey: true, hasNonce: true, hasSignature: true, apiKey: "k", nonce: "1", signature: "s"}
	for name, c := range map[string]struct {
		change      func(*request)
		present, ok bool
	}{
		"all three":                {func(r *request) {}, true, true},
		"none":                     {func(r *request) { *r = request{} }, false, false},
		"one, empty (AZ-80)":       {func(r *request) { *r = request{hasNonce: true} }, true, false},
		"the key is missing":       {func(r *request) { r.apiKey, r.hasAPIKey = "", false }, true, false},
		"the nonce is empty":       {func(r *request) { r.nonce = "" }, true, false},
		"only blanks (AZ-81)":      {func(r *request) { r.signature = " \t" }, true, false},
		"joined repeats (FX-45)":   {func(r *request) { r.apiKey = "k,k" }, true, false},
		"a comma in the nonce":     {func(r *request) { r.nonce = "1," }, true, false},
		"a comma in the signature": {func(r *request) { r.signature = ",s" }, true, false},
		"unjoined repeats (FX-45)": {func(r *request) { r.repeat = 1 << headerNonce }, true, false},
		"others may repeat":        {func(r *request) { r.repeat = 1 << headerOrigin }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := whole
			c.change(&r)
			if present, ok := r.apiKeyHeaders(); present != c.present || ok != c.ok {
				t.Errorf("got %v, %v, want %v, %v", present, ok, c.present, c.ok)
			}
		})
	}
}

// A CSRF token counts when it is sent once, in one header (FX-45).
func TestCSRFOnce(t *testing.T) {
	for name, c := range map[string]struct {
		r    request
		want bool
	}{
		"once":     {request{csrf: "a", hasCSRF: true}, true},
		"absent":   {request{}, false},
		"joined":   {request{csrf: "a,a", hasCSRF: true}, false},
		"unjoined": {request{csrf: "a", hasCSRF: true, repeat: 1 << headerCSRF}, false},
	} {
		if got := c.r.csrfOnce(); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

var nonceShape = regexp.MustCompile(`\A[1-9][0-9]{0,15}\z`)

// A nonce is a whole number of milliseconds in plain digits; nothing else is read as one (FX-11).
func FuzzParseNonce(f *testing.F) {
	for _, s := range []string{"1584524005143", "1", "9999999999999999", "10000000000000000", "0", "01", "",
		"-1", "+1", " 1", "1 ", "1_0", "1a", "1\n", "１"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ms, ok := parseNonce(s)
		if want := nonceShape.MatchString(s); ok != want {
			t.Fatalf("parseNonce(%q) = %d, %v, want %v", s, ms, ok, want)
		}
		if ok && strconv.FormatInt(ms, 10) != s {
			t.Fatalf("parseNonce(%q) = %d", s, ms)
		}
	})
}

// The hot half of every decision allocates nothing.
func TestDecodeAndParseAllocateNothing(t *testing.T) {
	c := testParseConfig(t, nil, "none")
	m := realistic()
	for name, target := range map[string]string{
		"a plain path": "/api/v2/peatio/market/orders?limit=1", "a folded path": "/api/v2/resource/users/me",
		"an escaped path": "/api/v2/%70eatio/a%20b",
	} {
		m.Attributes.Request.Http.Path = target
		m.Attributes.Request.Http.Headers["cookie"] = "a=b; _barong_session=%61; c=d"
		msg := marshalProto(t, m)
		var r request
		n := testing.AllocsPerRun(100, func() {
			if err := r.decode(msg); err != nil {
				t.Fatal(err)
			}
			if status, reason := r.parse(c); status != 0 {
				t.Fatal(status, reason)
			}
			if c := r.sessionCookies(sessionName); c.n != 1 {
				t.Fatal(c.n)
			}
			if fate, _ := r.stripOwn(sessionName); fate != cookieReplace {
				t.Fatal(fate)
			}
			r.apiKeyHeaders()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	msg := marshalProto(b, realistic())
	var r request
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if err := r.decode(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	c := testParseConfig(b, nil, "none")
	var r request
	if err := r.decode(marshalProto(b, realistic())); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if status, _ := r.parse(c); status != 0 {
			b.Fatal(status)
		}
	}
}
