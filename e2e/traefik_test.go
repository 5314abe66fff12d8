package e2e_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"testing"
)

// traefikAsks is the request that Traefik's forwardAuth makes of a client's request, by its
// documentation: a GET without body to the address, with the client's headers but the
// hop-by-hop ones (Upgrade among them), and five of its own that replace the client's.
func traefikAsks(method, uri string, client http.Header) http.Header {
	h := client.Clone()
	for _, hop := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailers",
		"Transfer-Encoding", "Upgrade", "Content-Length"} {
		h.Del(hop)
	}
	h.Set("X-Forwarded-For", "127.0.0.1")
	h.Set("X-Forwarded-Method", method)
	h.Set("X-Forwarded-Proto", "http")
	h.Set("X-Forwarded-Host", "gateway.test")
	h.Set("X-Forwarded-Uri", uri)
	// Its entry point has already added these.
	h.Set("X-Forwarded-Port", "80")
	h.Set("X-Forwarded-Server", "traefik")
	h.Set("X-Real-Ip", "127.0.0.1")
	return h
}

// TestTraefik asks the forward listener of the built binary as Traefik would: Traefik itself is
// not run.
func TestTraefik(t *testing.T) {
	s := startStack(t, "BARONG_TRUSTED_PROXIES=127.0.0.1/32")
	member := signIn(t, listener(s.barong.HTTP), "member")
	verify := func(from string, header http.Header) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.barong.Forward+"/verify/traefik", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		resp, err := (&http.Transport{DialContext: dial.DialContext, DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	}
	client := http.Header{"User-Agent": {"e2e"}, "Cookie": {"theme=dark; " + member.cookie}, "Accept": {"*/*"}}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}

	t.Run("an allow has the token and the cookies that are left", func(t *testing.T) {
		got := verify("127.0.0.1", traefikAsks("GET", "/api/v2/peatio/account/balances?limit=1", client))
		if got.status != 200 || got.header.Get("Authorization") == "" || got.header.Get("Cookie") != "theme=dark" {
			t.Errorf("got %d %s with %v, want 200, a token and theme=dark", got.status, got.body, got.header)
		}
	})
	t.Run("a pass has neither token nor session", func(t *testing.T) {
		got := verify("127.0.0.1", traefikAsks("GET", "/api/v2/peatio/public/markets", client))
		if got.status != 200 || got.header.Get("Authorization") != "" || got.header.Get("Cookie") != "theme=dark" {
			t.Errorf("got %d %s with %v, want 200, no token and theme=dark", got.status, got.body, got.header)
		}
	})
	t.Run("a denial is the client's answer as it is", func(t *testing.T) {
		for name, ask := range map[string]struct {
			header http.Header
			want   answer
		}{
			"by role":    {traefikAsks("GET", "/api/v2/barong/admin/users", client), answer{status: 401, body: reason("authz.invalid_permission")}},
			"by CSRF":    {traefikAsks("POST", "/api/v2/peatio/market/orders", client), answer{status: 401, body: reason("authz.missing_csrf_token")}},
			"by headers": {traefikAsks("GET", "/api/v2/peatio/account", with(client, "X-Auth-Nonce", "1")), answer{status: 422, body: reason("authz.invalid_api_key_headers")}},
			"by path":    {traefikAsks("GET", "/api/v2/peatio/public/..%2Faccount", client), answer{status: 401, body: reason("authz.permission_denied")}},
			"by restriction": {with(traefikAsks("GET", "/api/v2/peatio/account", client), "X-Forwarded-For", "198.51.100.7"),
				answer{status: 433, body: reason("authz.restrict.blacklist")}},
		} {
			got := verify("127.0.0.1", ask.header)
			if got.status != ask.want.status || got.body != ask.want.body || got.header.Get("Authorization") != "" ||
				got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: got %d %s with %v, want %d %s", name, got.status, got.body, got.header, ask.want.status, ask.want.body)
			}
		}
	})
	t.Run("without X-Forwarded-Uri or X-Forwarded-Method it is 400", func(t *testing.T) {
		for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Method"} {
			h := traefikAsks("GET", "/api/v2/peatio/public/markets", client)
			h.Del(name)
			if got := verify("127.0.0.1", h); got.status != 400 {
				t.Errorf("without %s: got %d %s, want 400", name, got.status, got.body)
			}
		}
	})
	t.Run("FX-7: a peer that is no trusted proxy is not believed", func(t *testing.T) {
		got := verify("127.0.0.2", traefikAsks("GET", "/api/v2/peatio/public/markets", client))
		if got.status != 403 || got.body != reason("authz.untrusted_proxy") {
			t.Errorf("got %d %s, want 403 authz.untrusted_proxy", got.status, got.body)
		}
	})
	t.Run("D23: an upgrade cannot be told, which is why the file says where websockets open", func(t *testing.T) {
		open := maps.Clone(client)
		open["Upgrade"], open["Connection"], open["Origin"] = []string{"websocket"}, []string{"Upgrade"}, []string{"http://evil.test"}
		if asked := traefikAsks("GET", "/api/v2/ranger/private", open); asked.Get("Upgrade") != "" || asked.Get("Connection") != "" {
			t.Errorf("asked with %v, want neither Upgrade nor Connection", asked)
		} else if got := verify("127.0.0.1", asked); got.status != 200 {
			t.Errorf("got %d %s; if Barong can tell now, deploy/traefik.yaml need not", got.status, got.body)
		}
	})
}

// A listener is the host:port of something that speaks HTTP without a gateway.
type listener string

func (l listener) URL() string { return "http://" + string(l) }
