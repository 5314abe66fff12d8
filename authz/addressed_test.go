package authz

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"barong/internal/testenv"
)

// REST behind a proxy: a request is refused before a handler sees it when a trusted hop sends
// something else than an address; all others go on.
func TestAddressed(t *testing.T) {
	s := gateServer(t)
	h := s.Addressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, test := range []struct {
		peer, list string
		status     int
	}{
		{"127.0.0.1:1", "198.51.100.1:80", http.StatusTeapot},
		{"127.0.0.1:1", "", http.StatusTeapot},
		{"203.0.113.9:1", "unknown", http.StatusTeapot},
		{"127.0.0.1:1", "unknown", http.StatusUnauthorized},
		{"127.0.0.1:1", "198.51.100.1, ", http.StatusUnauthorized},
	} {
		r := httptest.NewRequest("POST", "/api/v2/identity/sessions", nil)
		r.RemoteAddr = test.peer
		r.Header.Set("X-Forwarded-For", test.list)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%q from %s: got %d, want %d", test.list, test.peer, w.Code, test.status)
		}
		if w.Code == http.StatusUnauthorized && w.Body.String() != `{"errors":["authz.permission_denied"]}` {
			t.Errorf("got body %s", w.Body)
		}
	}
}

// counted is the value of the series of a metric that has the one given label.
func counted(t *testing.T, from prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no series %s{%s}", name, label)
	return 0
}

// A proxy that nobody trusts is counted each time and warned of once.
func TestSuspiciousAddressesAreCountedAndWarnedOf(t *testing.T) {
	var log testenv.Log
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	s := fakeServer(t, &fakes{w: small(t)}, func(_ *Config, p *Parts) {
		p.Metrics, p.Warnings = metrics, slog.New(slog.NewTextHandler(&log, nil))
	})
	ask := func(peer, list string) *decision {
		r, d := request{method: "GET", target: "/api/v2/peatio/x", peer: prefixes(peer + "/32")[0].Addr(), forwardedFor: list}, decision{}
		s.conclude(t.Context(), &r, &d, nil)
		return &d
	}
	for range 3 {
		ask("172.17.0.1", "198.51.100.1")
		ask("127.0.0.1", "198.51.100.1, 10.0.0.1")
		ask("127.0.0.1", "198.51.100.1")
		ask("203.0.113.9", "198.51.100.1")
		if d := ask("127.0.0.1", "-"); d.status != 401 || d.reason != reasonPermissionDenied {
			t.Errorf("an unreadable address: got %d %s", d.status, d.reason)
		}
	}
	for cause := suspectPeer; cause < suspicions; cause++ {
		if got := counted(t, registry, "barong_client_address_suspect_total", cause.String()); got != 3 {
			t.Errorf("%s: counted %v, want 3", cause, got)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for strings.Count(log.String(), "\n") < 3 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // one too many would come now
	said := log.String()
	if strings.Count(said, "\n") != 3 || !strings.Contains(said, "cause=untrusted_peer peer=172.17.0.1 judged=172.17.0.1") ||
		!strings.Contains(said, "cause=untrusted_hop peer=127.0.0.1 judged=10.0.0.1") {
		t.Errorf("got the log\n%swant one line for each cause", said)
	}
}
