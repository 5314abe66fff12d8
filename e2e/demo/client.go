package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"barong/e2e"
)

// sessionCookie is the name of Barong's cookie.
const sessionCookie = "_barong_session"

// A client is one caller with its own session. It shows each request as it makes it. Cookies are
// kept by hand: the session cookie is Secure, and the demo speaks plain HTTP on loopback.
type client struct {
	base   string
	http   *http.Client
	cookie string // value of the session cookie
	csrf   string
}

// A reply is a response, read whole.
type reply struct {
	method, path string
	status       int
	body         string
}

func (r *reply) unexpected(want string) error {
	return fmt.Errorf("%s %s: got %d %s, want %s", r.method, r.path, r.status, r.body, want)
}

func (c *client) cookieHeader() string { return sessionCookie + "=" + c.cookie }

// do sends a request with the session (if there is one), a JSON body (if not nil) and further
// headers, and takes over a new session cookie.
func (c *client) do(ctx context.Context, method, path string, body map[string]string, headers map[string]string) (*reply, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	shown := []string{}
	req.Header.Set("User-Agent", "demo")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cookie != "" {
		req.Header.Set("Cookie", c.cookieHeader())
		shown = append(shown, "Cookie: "+sessionCookie+"=…")
	}
	if c.csrf != "" && method != http.MethodGet {
		req.Header.Set("X-CSRF-Token", c.csrf)
		shown = append(shown, "X-CSRF-Token: …")
	}
	for _, h := range []string{"X-Forwarded-For", "X-Auth-Apikey", "X-Auth-Nonce", "X-Auth-Signature"} {
		if v, ok := headers[h]; ok {
			req.Header.Set(h, v)
			if h == "X-Auth-Signature" && len(v) > 8 {
				v = v[:8] + "…"
			}
			shown = append(shown, h+": "+v)
		}
	}
	say("%s %s", method, path)
	for _, header := range shown {
		say("    %s", header)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for _, cookie := range resp.Cookies() {
		if cookie.Name == sessionCookie {
			c.cookie = cookie.Value
		}
	}
	return &reply{method: method, path: path, status: resp.StatusCode, body: strings.TrimSpace(string(text))}, nil
}

// forwardAuth stands in for a proxy where there is no Envoy: it asks Barong over forward-auth
// about each request, and sends it on with the answer's headers, or returns the denial.
type forwardAuth struct{ places e2e.Places }

func (f *forwardAuth) RoundTrip(req *http.Request) (*http.Response, error) {
	ask := req.Clone(req.Context())
	ask.Body, ask.ContentLength = nil, 0
	ask.URL.Scheme, ask.URL.Host, ask.URL.Path = "http", f.places.Barong.Forward, "/api/v2/auth"+req.URL.Path
	ask.Header.Del("Authorization")
	answer, err := http.DefaultTransport.RoundTrip(ask)
	if err != nil || answer.StatusCode != http.StatusOK {
		if req.Body != nil {
			req.Body.Close()
		}
		return answer, err
	}
	answer.Body.Close()

	on := req.Clone(req.Context())
	on.URL.Scheme, on.URL.Host = "http", f.places.Peatio
	if strings.HasPrefix(req.URL.Path, "/api/v2/barong/") {
		on.URL.Host = f.places.Barong.HTTP
	}
	on.Header.Del("Authorization")
	for _, name := range strings.Split(answer.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ",") {
		on.Header.Del(strings.TrimSpace(name))
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		if v := answer.Header.Get(name); v != "" {
			on.Header.Set(name, v)
		}
	}
	return http.DefaultTransport.RoundTrip(on)
}
