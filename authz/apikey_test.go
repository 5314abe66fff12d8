package authz

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
		// What a refusal explains is of the request and the clock: nothing of a key, and nothing at all to
		// somebody who names none.
		right := hex.EncodeToString(mac.Sum(nil))
		switch {
		case d.detail == "":
		case kid != good.apiKey, !json.Valid([]byte(d.detail)), strings.Contains(d.detail, authztest.Secret),
			strings.Contains(strings.ToLower(d.detail), right):
			t.Fatalf("%q %q %q: %s explains itself by %s", kid, nonce, signature, d.reason, d.detail)
		}
	})
}

// The numbers and words by which refusals help.
func TestRefusalsExplainThemselves(t *testing.T) {
	w := small(t)
	s := worldServer(t, w)
	now := w.Now()
	s.Now = func() time.Time { return now }
	ms := now.UnixMilli()
	for name, c := range map[string]struct {
		sign authztest.Sign
		ip   string
		late time.Duration
		want string
	}{
		"too old":      {authztest.Sign{Kid: "bound", Nonce: "now-6012"}, "", 0, fmt.Sprintf(`{"unit":"ms","now":%d,"skew":-6012,"window":5000}`, ms)},
		"too new":      {authztest.Sign{Kid: "bound", Nonce: "now+5000"}, "", 0, fmt.Sprintf(`{"unit":"ms","now":%d,"skew":5000,"window":5000}`, ms)},
		"in seconds":   {authztest.Sign{Kid: "bound", Nonce: fmt.Sprint(ms / 1000)}, "", 0, fmt.Sprintf(`{"unit":"ms","now":%d,"skew":%d,"window":5000}`, ms, ms/1000-ms)},
		"no number":    {authztest.Sign{Kid: "bound", Nonce: "1.5"}, "", 0, fmt.Sprintf(`{"unit":"ms","now":%d,"window":5000}`, ms)},
		"wrong secret": {authztest.Sign{Kid: "bound", Secret: "x"}, "", 0, fmt.Sprintf(`{"algorithm":"HMAC-SHA256","encoding":"hex, lower case","signed":"%dbound"}`, ms)},
		"elsewhere":    {authztest.Sign{Kid: "bound"}, "198.51.100.7", 0, `{"address":"198.51.100.7"}`},
		"too late": {authztest.Sign{Kid: "bound"}, "", time.Hour,
			fmt.Sprintf(`{"expires_at":%d,"now":%d}`, ms+3600_000, ms+3600_000)},
		"unknown key": {authztest.Sign{Kid: "unknown", Nonce: "1"}, "", 0, ""},
		"fine":        {authztest.Sign{Kid: "bound"}, "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			at := now.Add(c.late)
			s.Now = func() time.Time { return at }
			q, err := w.File.Question(authztest.Request{Path: "/api/v2/peatio/market/orders", Client: c.ip, Sign: &c.sign}, at)
			if err != nil {
				t.Fatal(err)
			}
			r := fromProto(authztest.CheckRequest(q))
			var d decision
			s.conclude(t.Context(), &r, &d, nil)
			if d.detail != c.want || (d.reason == "") != (name == "fine") {
				t.Errorf("%d %s explains itself by %s, want %s", d.status, d.reason, d.detail, c.want)
			}
			if body := denialBody(d.reason, d.detail); !json.Valid([]byte(body)) {
				t.Errorf("the body %s is no JSON", body)
			}
		})
	}
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
