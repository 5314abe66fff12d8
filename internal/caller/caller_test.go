package caller_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"barong/internal/caller"
)

// A user agent goes into events that wait for a broker, so no request makes one long.
func TestClientsHaveShortUserAgents(t *testing.T) {
	resolver := caller.Resolver{ClientIP: func(*http.Request) netip.Addr { return netip.Addr{} }}
	for sent, want := range map[string]int{"": 0, "Firefox/120.0": 13, strings.Repeat("x", 512): 512, strings.Repeat("x", 100_000): 512} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", sent)
		if got := resolver.Client(r).UserAgent; len(got) != want || !strings.HasPrefix(sent, got) {
			t.Errorf("of %d bytes %d are kept, want the first %d", len(sent), len(got), want)
		}
	}
}
