package outbound_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/provider/outbound"
)

// refused makes every connection fail.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnswersAreReadWhole(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("User-Agent")+" "+string(body))
	}))
	defer srv.Close()
	c := outbound.New(0, nil)
	status, body, err := c.PostForm(t.Context(), srv.URL, url.Values{"a": {"b c"}}, 100)
	if want := "POST application/x-www-form-urlencoded barong a=b+c"; err != nil || status != 418 || string(body) != want {
		t.Errorf("got %d %q (%v), want 418 %q", status, body, err, want)
	}
	status, body, err = c.Get(t.Context(), srv.URL, 100)
	if want := "GET  barong "; err != nil || status != 418 || string(body) != want {
		t.Errorf("got %d %q (%v), want 418 %q", status, body, err, want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	status, _, err := outbound.New(0, nil).PostForm(t.Context(), srv.URL, url.Values{"secret": {"s"}}, 1000)
	if err != nil || status != http.StatusTemporaryRedirect || followed {
		t.Errorf("got %d (%v), followed %v; want the redirect itself", status, err, followed)
	}
}

func TestLongAnswersAreRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 11))
	}))
	defer srv.Close()
	c := outbound.New(0, nil)
	if _, body, err := c.Get(t.Context(), srv.URL, 11); err != nil || len(body) != 11 {
		t.Errorf("as long as allowed: %d bytes (%v), want 11", len(body), err)
	}
	if _, _, err := c.Get(t.Context(), srv.URL, 10); err == nil {
		t.Error("longer than allowed: no error")
	}
}

func TestErrorsHoldNoAddress(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "hunter2")
	}))
	defer cut.Close()
	for name, address := range map[string]string{
		"nobody listens":    gone.URL + "/hunter2",
		"a broken answer":   cut.URL + "/hunter2",
		"a broken address":  "http://host/%zz-hunter2",
		"an unknown scheme": "hunter2://host/",
	} {
		c := outbound.New(0, nil)
		_, _, err := c.Get(t.Context(), address, 1000)
		if err == nil || strings.Contains(err.Error(), "hunter2") && name != "an unknown scheme" {
			t.Errorf("%s: %v, want an error without the address", name, err)
		}
		if _, _, err = c.PostForm(t.Context(), address, nil, 1000); err == nil {
			t.Errorf("%s: posting gave no error", name)
		}
	}
}

func TestCallsEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begin := time.Now()
		_, _, err := outbound.New(0, hangs).Get(t.Context(), "https://example.com", 10)
		if took := time.Since(begin); err == nil || took != 3*time.Second {
			t.Errorf("no answer: %v after %v, want an error after 3s", err, took)
		}

		server, client := net.Pipe()
		defer server.Close()
		drips := transport(func(r *http.Request) (*http.Response, error) { // headers, then nothing
			context.AfterFunc(r.Context(), func() { client.Close() })
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: client}, nil
		})
		begin = time.Now()
		_, _, err = outbound.New(5*time.Second, drips).Get(t.Context(), "https://example.com", 10)
		if took := time.Since(begin); err == nil || took != 5*time.Second {
			t.Errorf("half an answer: %v after %v, want an error after 5s", err, took)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := outbound.New(0, hangs).Get(ctx, "https://example.com", 10); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who left: %v, want context.Canceled", err)
		}
	})
}

func TestCheckAddress(t *testing.T) {
	for address, want := range map[string]bool{
		"https://example.com":       true,
		"https://example.com/a/b":   true,
		"http://127.0.0.1:80/":      true,
		"http://[::1]/":             true,
		"http://localhost:8080":     true,
		"http://example.com":        false,
		"http://localhost.evil.com": false,
		"ftp://example.com":         false,
		"https://u:p@example.com":   false,
		"https://example.com?a=b":   false,
		"https://example.com?":      false,
		"https://example.com#a":     false,
		"https:example.com":         false,
		"example.com":               false,
		"/path":                     false,
		"https://":                  false,
		"":                          false,
		"https://a\x7f":             false,
	} {
		if err := outbound.CheckAddress(address); (err == nil) != want {
			t.Errorf("%q: %v, want it good %v", address, err, want)
		}
	}
}
