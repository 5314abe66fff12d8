package identity_test

import (
	"net/netip"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/rest/resttest"
	"barong/policy"
)

const access = "/api/v2/identity/users/access"

func (w *world) whitelink() string {
	w.t.Helper()
	link, err := w.rules.CreateWhitelink(w.t.Context(), account.Actor{UID: "ID0000000001"}, time.Hour)
	w.must(err)
	w.secrets = append(w.secrets, link)
	return link
}

// whitelisted are the addresses of the whitelist.
func (w *world) whitelisted() []string {
	w.t.Helper()
	rows, err := w.db.Restrictions(w.t.Context())
	w.must(err)
	out := []string{}
	for _, r := range rows {
		if r.Category == policy.Whitelist && r.Scope == policy.ScopeIP && r.State == policy.Enabled {
			out = append(out, r.Value)
		}
	}
	return out
}

// 9.10, D1: 200, not 201; W-I13, ID7.
func TestAccess(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	link := w.whitelink()
	redeem := func() resttest.Answer { return c.JSON(t, "POST", access, body{"whitelink_token": link}) }
	redeem().Want(t, 200, `200`)
	diff(t, w.whitelisted(), []string{"10.0.0.1"})
	redeem().WantTokens(t, 422, "value.taken") // pages redeem twice: the first was good (D30)
	c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 422, "identity.user.access.invalid_token")
	w.ip = netip.MustParseAddr("10.0.0.9")
	redeem().WantTokens(t, 422, "identity.user.access.invalid_token") // used up, by another
	diff(t, w.whitelisted(), []string{"10.0.0.1"})
	w.ip = netip.MustParseAddr("10.0.0.1")

	link = w.whitelink()
	redeem().WantTokens(t, 422, "value.taken")
	w.ip = netip.MustParseAddr("2001:db8::7")
	redeem().Want(t, 200, `200`) // a refusal had not used it up; IPv6 is an address, too
	diff(t, w.whitelisted(), []string{"10.0.0.1", "2001:db8::7"})

	link = w.whitelink()
	w.ip = netip.Addr{}
	redeem().WantTokens(t, 422, "value.invalid")
	w.ip = netip.MustParseAddr("10.0.0.3")
	w.now = w.now.Add(time.Hour)
	redeem().WantTokens(t, 422, "identity.user.access.invalid_token") // too old
}

// 14.3 #3 under D2 (400, not 422), #4; W-I13: ten tries a minute; D20.
func TestAccessRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.browser()
	c.JSON(t, "POST", access, body{}).
		WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access+"?whitelink_token="+w.whitelink(), body{}). // D19
										WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access, body{"whitelink_token": " "}).WantTokens(t, 400, "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access, body{"whitelink_token": []int{1}}).WantTokens(t, 422, "invalid")
	w.now = w.now.Add(time.Minute) // refused for whatever reason, a try counts
	for range 10 {
		c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 422, "identity.user.access.invalid_token")
	}
	a := c.JSON(t, "POST", access, body{"whitelink_token": w.whitelink()})
	a.WantTokens(t, 429, "identity.user.too_many_requests")
	diff(t, a.Header.Get("Retry-After"), "6")
	diff(t, w.whitelisted(), []string{})
	w.ip, w.fail.redeem = netip.MustParseAddr("10.0.0.2"), errOutage
	c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 503, "server.internal_error")
}
