package admin_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"barong/internal/apitest"
)

func TestEveryEndpointIsCounted(t *testing.T) { apitest.TestBudgets(t, "admin") }

// Staff are bounded by account, each kind of work for itself; a minute later they go on.
func TestStaffIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		method, path string
		body         any
		most         int
	}{
		"changes of the policy": {"POST", "/api/v2/admin/restrictions", map[string]any{"scope": "ip", "value": "x", "category": "blacklist"}, 120},
		"changes of people":     {"PUT", "/api/v2/admin/users", map[string]any{"uid": "ID0000000000", "state": "banned"}, 120},
		"previews":              {"POST", "/api/v2/admin/explain", map[string]any{"path": "/"}, 60},
		"lists":                 {"GET", "/api/v2/admin/activities", nil, 300},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			boss := w.as("superadmin")
			passed := 0
			for range 400 {
				a := boss.JSON(t, c.method, c.path, c.body)
				if a.Status != http.StatusTooManyRequests {
					passed++
				}
			}
			if passed != c.most {
				t.Errorf("%d of 400 passed, want %d", passed, c.most)
			}
			w.IP = netip.MustParseAddr("203.0.113.8") // a desk away: its requests are counted by network, too
			if a := w.as("admin").JSON(t, c.method, c.path, c.body); a.Status == http.StatusTooManyRequests {
				t.Error("another account must wait, too")
			}
			w.Now = w.Now.Add(time.Minute)
			if a := boss.JSON(t, c.method, c.path, c.body); a.Status == http.StatusTooManyRequests {
				t.Error("a minute later: 429")
			}
		})
	}
}
