package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// asked is the answer to a GET with headers, in pairs of name and value.
func asked(t *testing.T, url string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp
}

// A page of a listed origin can read why it was denied, wherever the denial is given; a page
// of another cannot.
func TestDenialsCanBeReadByListedPages(t *testing.T) {
	const page = "http://localhost:3000"
	p := serving(t, t.TempDir(), "BARONG_API_CORS_ORIGINS="+page, "BARONG_API_CORS_ALLOW_CREDENTIALS=true")
	for name, ask := range map[string]func(origin string) *http.Response{
		"an answer of REST": func(origin string) *http.Response {
			return asked(t, "http://"+p.http+"/api/v2/barong/identity/ping", "Origin", origin)
		},
		"the gate's denial": func(origin string) *http.Response {
			return asked(t, "http://"+p.http+"/api/v2/barong/resource/users/me", "Origin", origin)
		},
		"a denial for Traefik": func(origin string) *http.Response {
			return asked(t, "http://"+p.forward+"/verify/traefik", "Origin", origin,
				"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/api/v2/peatio/x")
		},
		"a denial for Caddy": func(origin string) *http.Response {
			return asked(t, "http://"+p.forward+"/verify/caddy", "Origin", origin,
				"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/api/v2/peatio/x")
		},
	} {
		h := ask(page).Header
		if h.Get("Access-Control-Allow-Origin") != page || h.Get("Access-Control-Allow-Credentials") != "true" ||
			!strings.Contains(h.Get("Access-Control-Expose-Headers"), "Retry-After") || h.Get("Vary") != "Origin" {
			t.Errorf("%s to a listed page: got %v", name, h)
		}
		if h := ask("http://evil.example").Header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("%s to another page: got %v", name, h)
		}
	}
}

// A proxy that asks the REST listener gets 404 for everything; the log says where to ask, once.
func TestAMisdirectedProxyIsToldWhereToAsk(t *testing.T) {
	p := serving(t, t.TempDir(), "BARONG_GATE=off")
	for range 3 {
		if resp := asked(t, "http://"+p.http+"/api/v2/auth/api/v2/peatio/public/markets"); resp.StatusCode != http.StatusNotFound {
			t.Fatalf("got %d", resp.StatusCode)
		}
	}
	const said = "a proxy asks the REST listener for decisions"
	p.eventually("the warning", func() bool { return strings.Contains(p.err.String(), said) })
	if n := strings.Count(p.err.String(), said); n != 1 {
		t.Errorf("it is said %d times, want once a minute", n)
	}
	if !strings.Contains(p.err.String(), "BARONG_FORWARD_ADDR") || !strings.Contains(p.err.String(), "127.0.0.1") {
		t.Errorf("the listener is not named:\n%s", p.err.String())
	}
}

// A refused request's line says why and whose it was.
func TestRefusedRequestsSayWhy(t *testing.T) {
	p := serving(t, t.TempDir())
	b := newBrowser(p).signIn(firstAdmin, p.password())
	b.want(422, "", "POST", "/api/v2/admin/permissions", map[string][]string{"role": {"nobody"}, "verb": {"GET"}, "path": {"x"}, "action": {"accept"}})
	p.eventually("the line of the refusal", func() bool {
		for _, line := range strings.Split(p.err.String(), "\n") {
			if strings.Contains(line, `"status":422`) && strings.Contains(line, `"error":"admin.`) && strings.Contains(line, `"uid":"ID`) {
				return true
			}
		}
		return false
	})
}
