package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barong/e2e"
)

// Every question of Caddy's reaches Barong, however often connections to it end. Caddy makes a
// connection to the address that a request was last sent to, which may be the component's by the time
// when the connection is made, and kept it for questions under Barong's.
func TestCaddyAsksBarongAlone(t *testing.T) {
	var questions atomic.Int64
	barong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if questions.Add(1)%4 == 0 {
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("X-Barong-Decision", "d-4711")
	}))
	defer barong.Close()
	var stray, passed atomic.Int64
	component := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/verify/") {
			stray.Add(1)
		} else {
			passed.Add(1)
		}
	}))
	defer component.Close()
	at := strings.TrimPrefix(component.URL, "http://")
	places, err := e2e.FreePlaces(e2e.Addresses{HTTP: at, Forward: strings.TrimPrefix(barong.URL, "http://")}, at)
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, "caddy", places)

	var failed atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(4 * time.Second)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for range 64 {
		all.Go(func() {
			for time.Now().Before(end) {
				resp, err := client.Get(p.URL() + "/api/v2/peatio/public/x")
				if err != nil {
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if stray.Load() > 0 || failed.Load() > 0 || passed.Load() != questions.Load() || passed.Load() < 500 {
		t.Errorf("%d questions reached a component, %d Barong; %d requests passed and %d failed, want none but as many requests as questions",
			stray.Load(), questions.Load(), passed.Load(), failed.Load())
	}
}

// A 200 of anything but Barong is no allow.
func TestCaddyTakesNoOtherAllow(t *testing.T) {
	authz := startForwardAuthorizer(t)
	echo := upstream(t)
	places, err := e2e.FreePlaces(e2e.Addresses{HTTP: echo, Forward: authz.addr()}, echo)
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, "caddy", places)
	authz.next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Authorization", "Bearer other")
		io.WriteString(w, "the page of a component")
	})
	got := raw(t, p, "GET /api/v2/peatio/account/balances HTTP/1.1")
	if got.status != 503 || got.body != reason("authz.unavailable") || got.header.Get("Content-Type") != "application/json" || got.header.Get("Authorization") != "" {
		t.Errorf("got %d %q %q, want a 503 of the gate's own", got.status, got.header, got.body)
	}
}
