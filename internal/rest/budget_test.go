package rest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// counter is a store that lets a number of requests of each key pass.
type counter struct {
	limit.Memory
	left  map[string]int
	err   error
	taken []string
}

func (c *counter) Take(_ context.Context, key string, _ limit.Rule, _ time.Time) (time.Duration, error) {
	c.taken = append(c.taken, key)
	if n, ok := c.left[key]; ok && n == 0 {
		return 90 * time.Second, c.err
	}
	c.left[key]--
	return 0, c.err
}

// A request is counted by network before the guard looks and by principal before anything is
// read of it; one too many is answered 429 with its own token.
func TestRequestsAreCountedBeforeTheyCost(t *testing.T) {
	store := &counter{left: map[string]int{}}
	admitted, read := 0, 0
	s, err := rest.New(rest.Config{
		Log: discard(), MaxBody: 1 << 20, Budget: limit.NewBudget(store, store, nil), Outages: []error{errOutage},
		ClientIP: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.9") },
	})
	if err != nil {
		t.Fatal(err)
	}
	guard := rest.Guard[string]{
		Admit:     func(*http.Request) (string, error) { admitted++; return "ID1", nil },
		Principal: func(uid string) string { return uid },
	}
	handler := func(context.Context, string, rest.None) (rest.None, error) { return rest.None{}, nil }
	g := rest.NewGroup(s, "resource", guard)
	rest.Add(g.At("/things", "thing"), rest.Op{
		Method: "POST", Status: 201, Summary: "Make.", Cost: limit.Write,
	}, handler)
	rest.Add(g.At("/others", "other"), rest.Op{
		Method: "POST", Status: 201, Summary: "Make.", Cost: limit.Write,
		Errors: rest.TooMany().Under("resource.old_name"),
	}, handler)
	s.Handle("/keys", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	c := resttest.New(t, s)

	body := &counting{read: &read}
	post := func(path string) resttest.Answer {
		t.Helper()
		return c.Stream(t, "POST", "/api/v2/resource/"+path, "application/json", body)
	}
	post("things").Want(t, 201, "201")
	if admitted != 1 || read == 0 {
		t.Fatalf("admitted %d, read %d times: the test sees nothing", admitted, read)
	}
	want := []string{"write from 192.0.2.9/32", "write from all of 192.0.2.0/24", "write by ID1"}
	if strings.Join(store.taken, "|") != strings.Join(want, "|") {
		t.Errorf("counted %q, want %q", store.taken, want)
	}
	for n, key := range want {
		store.left, admitted, read = map[string]int{key: 0}, 0, 0
		a := post("things")
		a.WantTokens(t, 429, "resource.thing.too_many_requests")
		if got := a.Header.Get("Retry-After"); got != "90" {
			t.Errorf("%s: Retry-After %q, want 90", key, got)
		}
		if byPrincipal := n == 2; read != 0 || (admitted > 0) != byPrincipal {
			t.Errorf("%s: the guard looked %d times, the body was read %d times", key, admitted, read)
		}
		post("others").WantTokens(t, 429, "resource.old_name.too_many_requests")
	}
	store.left, store.err = map[string]int{}, errOutage
	if a := post("things"); a.Status != 503 || admitted > 0 && read > 0 {
		t.Errorf("without the store: %d, want 503", a.Status)
	}
	store.left, store.err = map[string]int{"answer from 192.0.2.9/32": 0}, nil
	for _, path := range []string{"/api/v2/resource/nothing", "/", "/keys"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if body := w.Body.String(); w.Code != 429 || w.Header().Get("Retry-After") != "90" ||
			body != `{"errors":["server.too_many_requests"]}` {
			t.Errorf("%s: %d %s, want 429", path, w.Code, body)
		}
	}
}

// A preflight is answered from memory and written to the log like everything else, so it counts.
func TestPreflightsAreCounted(t *testing.T) {
	store := &counter{left: map[string]int{"answer from 192.0.2.9/32": 2}}
	s, err := rest.New(rest.Config{
		Log: discard(), MaxBody: 1 << 20, Budget: limit.NewBudget(store, store, nil), CORS: rest.CORS{Origins: []string{"https://page.example"}},
		ClientIP: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.9") },
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{204, 204, 429, 429} {
		r := httptest.NewRequest(http.MethodOptions, "/api/v2/resource/things", nil)
		r.Header.Set("Origin", "https://page.example")
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("preflight %d: %d, want %d", n+1, w.Code, want)
		}
	}
}

// counting notes that a body is read.
type counting struct{ read *int }

func (c *counting) Read([]byte) (int, error) { *c.read++; return 0, io.EOF }

func TestABudgetNeedsAddresses(t *testing.T) {
	_, err := rest.New(rest.Config{Log: discard(), MaxBody: 1 << 20, Budget: limit.NewBudget(new(limit.Memory), nil, nil)})
	if err == nil || errors.Is(err, errOutage) {
		t.Errorf("a budget without addresses: %v", err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
