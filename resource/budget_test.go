package resource_test

import (
	"cmp"
	"net/http"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/limit"
)

func TestEveryEndpointIsCounted(t *testing.T) { apitest.TestBudgets(t, "resource") }

// dearer are the endpoints with a smaller budget, as they hash a password, mail the owner or ask a provider.
var dearer = map[string]int{
	"DELETE /resource/users/me": 20, "PUT /resource/users/password": 20,
	"POST /resource/passkeys/begin": 20, "POST /resource/passkeys": 20, "DELETE /resource/passkeys/x": 20,
	"POST /resource/phones": 30, "POST /resource/phones/send_code": 30, "POST /resource/phones/verify": 30,
	"POST /resource/documents": 20, "POST /resource/addresses": 20,
}

// One's own changes are bounded by account, whatever comes of them: codes that are off, an end
// of sessions that there are none of, keys that nobody has. Reads go on.
func TestOwnChangesAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, e := range w.mine().Endpoints("resource") {
		if e.Method == http.MethodGet {
			continue
		}
		t.Run(e.Method+" "+e.Path, func(t *testing.T) {
			w := newWorld(t)
			often := limit.Rule{Burst: 1000, Period: time.Minute}
			w.Account.Code, w.Account.QR = often, often
			w.Restart()
			b := w.mine()
			passed := 0
			for range 200 {
				a := b.JSON(t, e.Method, "/api/v2"+e.Path, map[string]any{"code": "123456", "totp_code": "123456"})
				if a.Status != http.StatusTooManyRequests {
					passed++
				} else if a.Header.Get("Retry-After") == "" {
					t.Fatal("no Retry-After")
				}
			}
			want := cmp.Or(dearer[e.Method+" "+e.Path], 60)
			if passed != want {
				t.Errorf("%d of 200 passed, want %d", passed, want)
			}
			if a := b.Get(t, base+"/users/me"); a.Status != http.StatusOK {
				t.Errorf("reading one's own account: %d, want 200", a.Status)
			}
		})
	}
}

// A page that asks for its user's account every three seconds, in ten tabs, never waits.
func TestPollingIsNotBounded(t *testing.T) {
	b := newWorld(t).mine()
	for range 10 * 20 {
		if a := b.Get(t, base+"/users/me"); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
}
