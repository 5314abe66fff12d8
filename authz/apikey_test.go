package authz

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"barong/authz/authztest"
	"barong/internal/account"
)

// FuzzAPIKeyHeaders puts any three headers to the decision: only a key that exists, a nonce
// that is now and exactly its signature are allowed, and every refusal is one of the codes
// of AZ-81 and AZ-116…120.
func FuzzAPIKeyHeaders(f *testing.F) {
	w := small(f)
	s := worldServer(f, w)
	now := w.Now()
	s.Now = func() time.Time { return now }
	good := asked(f, w, "by API key")
	f.Add(good.apiKey, good.nonce, good.signature)
	f.Add(good.apiKey, good.nonce, strings.ToUpper(good.signature))
	f.Add(good.apiKey, "0"+good.nonce, good.signature)
	f.Add(good.apiKey, good.nonce, " ")
	f.Add("", "", "")
	f.Add(good.apiKey+","+good.apiKey, good.nonce, good.signature)
	f.Add("unknown", "-1", "zz")
	f.Fuzz(func(t *testing.T, kid, nonce, signature string) {
		r := good
		r.apiKey, r.nonce, r.signature = kid, nonce, signature
		var d decision
		s.conclude(t.Context(), &r, &d, nil)
		mac := hmac.New(sha256.New, []byte(authztest.Secret))
		mac.Write([]byte(nonce + kid))
		ms, ok := parseNonce(nonce)
		want := kid == good.apiKey && ok && signature == hex.EncodeToString(mac.Sum(nil)) &&
			max(ms-now.UnixMilli(), now.UnixMilli()-ms) < s.NonceLifetime.Milliseconds()
		if d.allowed() != want {
			t.Fatalf("%q %q %q: allowed %v (%s), want %v", kid, nonce, signature, d.allowed(), d.reason, want)
		}
		switch d.reason {
		case "", reasonAPIKeyHeaders, reasonUnknownAPIKey, reasonNonceInvalid, reasonNonceExpired, reasonInvalidSignature:
		default:
			t.Fatalf("%q %q %q: got %d %s", kid, nonce, signature, d.status, d.reason)
		}
	})
}

// usedNonces says that every nonce was used before.
type usedNonces struct{ asked int }

func (n *usedNonces) UseNonce(context.Context, string, string, time.Time) (bool, error) {
	n.asked++
	return false, nil
}

// Design D9: the keys of staff may not replay, whatever the setting is for the others.
func TestStaffKeysNeverReplay(t *testing.T) {
	for mode, memberMay := range map[Replay]bool{ReplayOff: true, "": true, ReplayMonitor: true, ReplayEnforce: false} {
		for role, may := range map[string]bool{"support": false, "superadmin": false, "member": memberMay} {
			used := &usedNonces{}
			s := fakeServer(t, &fakes{w: small(t)}, func(c *Config, p *Parts) {
				c.Replay, c.StaffRoles, p.Nonces = mode, []string{"superadmin", "support"}, used
			})
			var d decision
			r := request{nonce: "1"}
			who := credential{principal: &account.Principal{Role: role}, via: viaAPIKey}
			if got := s.nonceFresh(t.Context(), &r, &d, who, time.Now()); got != may {
				t.Errorf("mode %q, role %s: a repeated nonce passes %t, want %t", mode, role, got, may)
			}
			if !may && (d.reason != reasonReplayed || used.asked != 1) {
				t.Errorf("mode %q, role %s: reason %q after %d questions", mode, role, d.reason, used.asked)
			}
		}
	}
}
