package resource_test

import (
	"net/http"
	"testing"
)

// One's own changes are bounded by account, whatever comes of them: codes that are off, an end
// of sessions that there are none of, keys that nobody has. Reads go on.
func TestOwnChangesAreBounded(t *testing.T) {
	for _, e := range every {
		if e.method == http.MethodGet {
			continue
		}
		t.Run(e.method+" "+e.path, func(t *testing.T) {
			w := newWorld()
			w.user.OTP = false
			b := signedIn(t, w)
			passed := 0
			for range 200 {
				a := b.JSON(t, e.method, "/api/v2/resource"+e.path, map[string]any{"code": "123456", "totp_code": "123456"})
				if a.Status != http.StatusTooManyRequests {
					passed++
				} else if a.Header.Get("Retry-After") == "" {
					t.Fatal("no Retry-After")
				}
			}
			if passed != 60 {
				t.Errorf("%d of 200 passed, want 60", passed)
			}
			if a := b.Get(t, "/api/v2/resource/users/me"); a.Status != http.StatusOK {
				t.Errorf("reading one's own account: %d, want 200", a.Status)
			}
		})
	}
}

// A page that asks for its user's account every three seconds, in ten tabs, never waits.
func TestPollingIsNotBounded(t *testing.T) {
	b := signedIn(t, newWorld())
	for range 10 * 20 {
		if a := b.Get(t, "/api/v2/resource/users/me"); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
}
