package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"barong/authz"
	"barong/e2e"
)

// TestForbiddenHeaders sends each header that no client may say to an upstream, in each
// spelling, through every proxy; and again while Connection names one of them, or one that the
// proxy or Barong says, which must not take that away. It checks the headers that the upstream got.
func TestForbiddenHeaders(t *testing.T) {
	s := startStack(t)
	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) {
			places, err := e2e.FreePlaces(s.barong.Addresses, s.echo)
			must(t, err)
			places.Barong.HTTP = s.echo // takes the requests for Barong's own API
			places.Edit = func(kind string, file []byte) []byte { return balanced(t, kind, file) }
			p := startProxy(t, kind, places)
			// The session belongs to a network: both the sign-in and the requests come from there.
			const from = "X-Forwarded-For: 192.0.2.77"
			member := signIn(t, listener(s.barong.HTTP), "member", from)

			for _, path := range []string{"/api/v2/peatio/account/balances", "/api/v2/ranger/private", "/api/v2/barong/resource/users/me"} {
				barong := strings.HasPrefix(path, "/api/v2/barong/")
				cookie := "theme=dark; lang=en"
				if barong {
					cookie = "theme=dark; " + member.cookie + "; lang=en"
				}
				// marked are the lines of all listed headers in the i-th spelling.
				marked := func(i int) (lines string, names []string) {
					for _, h := range authz.ForbiddenHeaders() {
						if h.Read && barong {
							continue
						}
						name := spellings(example(h.Name))[i]
						lines += name + ": marked-" + example(h.Name) + "\n"
						names = append(names, name)
					}
					return lines, names
				}
				ask := func(t *testing.T, lines string) answer {
					t.Helper()
					return raw(t, p, "GET "+path+" HTTP/1.1\n"+from+"\n"+member.lines()+"\n"+lines)
				}
				sound := func(t *testing.T, got answer) {
					t.Helper()
					seen := got.echoed(t)
					for name, values := range seen.Headers {
						if v := strings.Join(values, "|"); strings.Contains(v, "marked-") {
							t.Errorf("the upstream got %s: %s", name, v)
						}
					}
					if seen.Claims["uid"] != member.uid || len(seen.Headers["Authorization"]) != 1 {
						t.Errorf("the upstream got %d tokens, of %v, want one of %s", len(seen.Headers["Authorization"]), seen.Claims["uid"], member.uid)
					}
					if got := strings.Join(seen.Headers["Cookie"], "; "); got != cookie {
						t.Errorf("the upstream got Cookie %q, want %q", got, cookie)
					}
					for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id"} {
						if seen.Headers[name] == nil {
							t.Errorf("the upstream got no %s of the proxy's", name)
						}
					}
					if seen.Host != "gateway.test" {
						t.Errorf("the upstream got Host %q", seen.Host)
					}
				}
				for i, spelling := range []string{"x-y", "x_y", "x.y", "X-Y"} {
					t.Run(path+" in the spelling "+spelling, func(t *testing.T) {
						lines, _ := marked(i)
						got := ask(t, lines)
						if got.status == http.StatusBadRequest && spelling == "x_y" && strings.HasPrefix(kind, "envoy") {
							return // it refuses underscores altogether
						}
						sound(t, got)
					})
				}
				t.Run(path+" and Connection", func(t *testing.T) {
					lines, names := marked(0)
					refused := 0
					for _, name := range append(names, "cookie", "host", "x-forwarded-for", "close, authorization") {
						got := ask(t, lines+"Connection: "+name)
						if got.status == http.StatusBadRequest && strings.HasPrefix(kind, "envoy") {
							refused++ // it knows some names that nobody may take away
							continue
						}
						if name == "cookie" && got.status == http.StatusUnauthorized {
							continue // taken away before Barong was asked
						}
						sound(t, got)
					}
					t.Logf("%d of %d refused by the proxy itself", refused, len(names)+4)
				})
			}
		})
	}
}
