package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHeaderLines: a header may come in several lines, and HTTP/2 cuts Cookie into crumbs. The
// session must be found and cut out all the same, and the last address count.
func TestHeaderLines(t *testing.T) {
	s := startStack(t)
	for _, kind := range gateways {
		t.Run(kind, func(t *testing.T) {
			p := s.gateway(t, kind)
			member := signIn(t, p, "member")
			balances := "GET /api/v2/peatio/account/balances HTTP/1.1\nUser-Agent: e2e\n"
			left := func(seen map[string][]string) string { return strings.Join(seen["Cookie"], "; ") }

			t.Run("RFC 9113 §8.2.3: Cookie lines are one list", func(t *testing.T) {
				for _, lines := range []string{
					"Cookie: theme=dark; " + member.cookie + "\nCookie: lang=en",
					"Cookie: theme=dark\nCookie: " + member.cookie + "; lang=en",
					"Cookie: theme=dark\nCookie: " + member.cookie + "\nCookie: lang=en",
				} {
					answered := raw(t, p, balances+lines)
					seen := answered.echoed(t)
					if got := left(seen.Headers); seen.Claims["uid"] != member.uid || got != "theme=dark; lang=en" {
						t.Errorf("upstream got cookie %q and claims %v, want theme=dark; lang=en and %s", got, seen.Claims, member.uid)
					}
				}
			})
			t.Run("D12: no Cookie line takes the session to a public path", func(t *testing.T) {
				for _, lines := range []string{
					"Cookie: theme=dark\nCookie: " + member.cookie,
					"Cookie: " + member.cookie + "\nCookie: theme=dark",
				} {
					seen := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\n"+lines).echoed(t)
					if got := left(seen.Headers); got != "theme=dark" {
						t.Errorf("%q: upstream got cookie %q, want theme=dark", lines, got)
					}
				}
			})
			t.Run("D8b: of several session cookies in lines of their own the live one counts, of two none", func(t *testing.T) {
				stale := "_barong_session=" + strings.Repeat("0", 32)
				for _, lines := range []string{
					"Cookie: " + member.cookie + "\nCookie: " + stale, "Cookie: " + stale + "\nCookie: " + member.cookie,
				} {
					seen := raw(t, p, balances+lines).echoed(t)
					if got := left(seen.Headers); seen.Claims["uid"] != member.uid || got != "" {
						t.Errorf("upstream got cookie %q and claims %v, want none and %s", got, seen.Claims, member.uid)
					}
				}
				other := signIn(t, p, "member")
				got := raw(t, p, balances+"Cookie: "+member.cookie+"\nCookie: "+other.cookie)
				if got.status != 401 || got.body != reason("authz.invalid_session") {
					t.Errorf("two live ones: got %d %s, want 401 authz.invalid_session", got.status, got.body)
				}
			})
			t.Run("D13: X-Forwarded-For lines are one list, the last entry is the nearest", func(t *testing.T) {
				markets := "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\n"
				for lines, want := range map[string]int{
					"X-Forwarded-For: 192.0.2.77\nX-Forwarded-For: 198.51.100.7":                                  433,
					"X-Forwarded-For: 198.51.100.7\nX-Forwarded-For: 192.0.2.77":                                  200,
					"X-Forwarded-For: 192.0.2.77, 192.0.2.78\nX-Forwarded-For: 198.51.100.7, 127.0.0.1":           433,
					"X-Forwarded-For: 198.51.100.7\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-For: 127.0.0.1":       433,
					"X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 198.51.100.7, 192.0.2.77":                     200,
					"X-Forwarded-For: 198.51.100.7\nX-Forwarded-For: 203.0.113.9\nX-Forwarded-For:   127.0.0.1  ": 471,
				} {
					if got := raw(t, p, markets+lines); got.status != want {
						t.Errorf("%q: got %d %s, want %d", lines, got.status, got.body, want)
					}
				}
			})
			t.Run("as many cookies as the proxy takes fit through the question and back", func(t *testing.T) {
				for _, lines := range []int{1, 2, 3} {
					for _, size := range []int{2 << 10, 3 << 10, 5 << 10, 7 << 10} {
						cookies := ""
						for i := range lines {
							cookies += fmt.Sprintf("Cookie: c%d=%s\n", i, strings.Repeat("x", size))
						}
						if lines*size < 16<<10 { // above that Barong finds no session, see maxCookie
							answered := raw(t, p, balances+cookies+"Cookie: "+member.cookie)
							if seen := answered.echoed(t); len(left(seen.Headers)) < lines*size || seen.Claims["uid"] != member.uid {
								t.Errorf("%d cookies of %d bytes: upstream got %d bytes and claims %v", lines, size, len(left(seen.Headers)), seen.Claims)
							}
						}
						answered := raw(t, p, "GET /api/v2/peatio/public/markets HTTP/1.1\nUser-Agent: e2e\n"+cookies+"Cookie: "+member.cookie)
						if got := left(answered.echoed(t).Headers); len(got) < lines*size || strings.Contains(got, member.cookie) {
							t.Errorf("%d cookies of %d bytes, a public path: upstream got %d bytes", lines, size, len(got))
						}
					}
				}
			})
			if strings.HasPrefix(kind, "envoy") { // the others speak HTTP/2 over TLS only
				t.Run("RFC 9113 §8.2.3: cookie crumbs of HTTP/2", func(t *testing.T) {
					// Go's client sends each cookie as a field of its own.
					for _, cookies := range [][]string{
						{"theme=dark; " + member.cookie + "; lang=en"}, {"theme=dark", member.cookie, "lang=en"},
					} {
						got := overHTTP2(t, p, "/api/v2/peatio/account/balances", http.Header{"User-Agent": {"e2e"}, "Cookie": cookies})
						seen := got.echoed(t)
						if left := left(seen.Headers); seen.Claims["uid"] != member.uid || left != "theme=dark; lang=en" {
							t.Errorf("upstream got cookie %q and claims %v, want theme=dark; lang=en and %s", left, seen.Claims, member.uid)
						}
					}
					got := overHTTP2(t, p, "/api/v2/barong/admin/users", http.Header{"User-Agent": {"e2e"}, "Cookie": {member.cookie}})
					if got.status != 401 || got.body != reason("authz.invalid_permission") {
						t.Errorf("got %d %s, want 401 authz.invalid_permission", got.status, got.body)
					}
				})
			}
		})
	}
}

// overHTTP2 sends a GET over HTTP/2 without TLS, by prior knowledge.
func overHTTP2(t *testing.T, p serving, path string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: only}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("got %s, want HTTP/2", resp.Proto)
	}
	body, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}
