package session_test

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/config"
	"barong/internal/hostile"
	"barong/internal/session"
)

// AZ-245: the store knows the SHA-256 of the cookie text.
func TestIDOf(t *testing.T) {
	id, ok := session.IDOf("4cff598ee40d3d2ec38875ddc904fc46")
	const want = "334cae31cf245ca001169f1b5df0e092aa380d5cbcd4efa9096e6020f7e9af24"
	if got := hex.EncodeToString(id[:]); !ok || got != want {
		t.Errorf("id = %s (%v), want %s", got, ok, want)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"31 digits":        strings.Repeat("a", 31),
		"33 digits":        strings.Repeat("a", 33),
		"upper case":       strings.Repeat("A", 32),
		"no hex":           strings.Repeat("g", 32),
		"a NUL at the end": strings.Repeat("a", 31) + "\x00",
	} {
		if _, ok := session.IDOf(bad); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzIDOf(f *testing.F) {
	f.Add("4cff598ee40d3d2ec38875ddc904fc46")
	f.Fuzz(func(t *testing.T, cookie string) {
		_, ok := session.IDOf(cookie)
		raw, err := hex.DecodeString(cookie)
		want := err == nil && len(raw) == 16 && strings.ToLower(cookie) == cookie
		if ok != want {
			t.Errorf("IDOf(%q) = %v, want %v", cookie, ok, want)
		}
	})
}

// shippedCookies are those of the default settings.
var shippedCookies = session.Cookies{Name: config.Default().Session.Name}

// AZ-241, FX-47.
func TestCookieIsReadByBrowsersAsMeant(t *testing.T) {
	now := time.Date(2020, 12, 2, 7, 50, 30, 0, time.UTC)
	line := shippedCookies.Set("4cff598ee40d3d2ec38875ddc904fc46", now)
	c, err := http.ParseSetCookie(line)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "_barong_session" || c.Value != "4cff598ee40d3d2ec38875ddc904fc46" || c.Path != "/" ||
		!c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" ||
		c.MaxAge != 86400 || !c.Expires.Equal(now.Add(24*time.Hour)) {
		t.Errorf("%s\nreads as %+v", line, c)
	}
	if !strings.Contains(line, "; path=/; expires=Thu, 03 Dec 2020 07:50:30 GMT") {
		t.Errorf("%s lacks the expiry as the reference writes it", line)
	}
	if plain := (session.Cookies{Name: "s", Insecure: true}).Set("v", now); strings.Contains(plain, "Secure") {
		t.Errorf("%s is secure, want not", plain)
	}
	gone, err := http.ParseSetCookie(shippedCookies.Clear())
	if err != nil || gone.Value != "" || gone.MaxAge >= 0 || gone.Path != "/" || !gone.Secure {
		t.Errorf("the deletion cookie reads as %+v (%v)", gone, err)
	}
}

// twice is a request that came with two session cookies called s.
func twice(host, path string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.URL.Path = host, path
	r.Header.Set("Cookie", "s=a; s=a")
	return r
}

// D8b: cookies of an older deployment under another path or domain go, ours stays.
func TestClearTwinsClearsAllButOurOwn(t *testing.T) {
	for name, test := range map[string]struct {
		host, path string
		want       []string // path and domain
	}{
		"below a name": {"www.example.com:8443", "/api/v2/identity/sessions", []string{
			"/api ", "/api/v2 ", "/api/v2/identity ",
			"/ www.example.com", "/api www.example.com", "/api/v2 www.example.com", "/api/v2/identity www.example.com",
			"/ example.com", "/api example.com", "/api/v2 example.com", "/api/v2/identity example.com",
		}},
		"an address has no domain": {"127.0.0.1:8001", "/api/x", []string{"/api "}},
		"nor has localhost":        {"localhost:8001", "/api/x", []string{"/api "}},
		"IPv6":                     {"[2001:db8::1]:8001", "/api/x", []string{"/api "}},
		"a host that is none":      {"a.b; path=/x", "/api/x", []string{"/api "}},
	} {
		var got []string
		for _, line := range (session.Cookies{Name: "s"}).ClearTwins(twice(test.host, test.path)) {
			c, err := http.ParseSetCookie(line)
			if err != nil || c.Name != "s" || c.Value != "" || c.MaxAge >= 0 || !c.HttpOnly || !c.Secure {
				t.Fatalf("%s: %q (%v) deletes nothing", name, line, err)
			}
			got = append(got, c.Path+" "+c.Domain)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	long := session.Cookies{Name: "s", Insecure: true}.ClearTwins(twice(strings.Repeat("a.", 120)+"com", strings.Repeat("/x", 1000)))
	if len(long) > 25 {
		t.Errorf("%d lines for a long host and path, want few", len(long))
	}
}

// One session cookie has no twins.
func TestOneCookieHasNoTwins(t *testing.T) {
	r := twice("www.example.com", "/api/v2/identity/sessions")
	r.Header.Set("Cookie", "s=a; t=b")
	if lines := (session.Cookies{Name: "s"}).ClearTwins(r); lines != nil {
		t.Errorf("got %q, want none", lines)
	}
}

func TestCookiesOfARequest(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		want   []string
	}{
		"none":                            {"a=1", nil},
		"one":                             {"a=1; s=x", []string{"x"}},
		"the same twice":                  {"s=x; s=x", []string{"x"}},
		"two that differ":                 {"s=x; a=1; s=y", []string{"x", "y"}},
		"an empty one is none":            {"s=; s=y", []string{"y"}},
		"four":                            {"s=1; s=2; s=3; s=4; s=1", []string{"1", "2", "3", "4"}},
		"five":                            {"s=1; s=2; s=3; s=4; s=5", nil},
		"in a header as long as may be":   {"s=x; a=" + strings.Repeat("a", 16<<10-7), []string{"x"}},
		"in a header that is longer":      {"s=x; a=" + strings.Repeat("a", 16<<10-6), nil},
		"a name that ends like the other": {"as=x", nil},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", test.header)
		if got := (session.Cookies{Name: "s"}).Of(r); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// A cookie's value and a user agent cost as much as their length.
func TestReadingTimeIsLinear(t *testing.T) {
	hostile.Linear(t, hostile.Grammar{
		Words: []string{"4cff598ee40d3d2ec38875ddc904fc46", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}, Marks: []string{" ", "(", ";", "/", "\xff"},
	}, func(text string) {
		session.IDOf(text)
		session.Device(text)
	})
}
