package identity_test

import (
	"net/netip"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/policy"
)

const access = "/api/v2/identity/users/access"

func (w *world) whitelink() string {
	w.T.Helper()
	link, err := w.Rules.CreateWhitelink(w.T.Context(), account.Actor{UID: "ID0000000001"}, time.Hour)
	expect.OK(w.T, err)
	w.Secret(link)
	return link
}

// whitelisted are the addresses of the whitelist.
func (w *world) whitelisted() []string {
	w.T.Helper()
	rows, err := w.DB.Restrictions(w.T.Context())
	expect.OK(w.T, err)
	out := []string{}
	for _, r := range rows {
		if r.Category == policy.Whitelist && r.Scope == policy.ScopeIP && r.State == policy.Enabled {
			out = append(out, r.Value)
		}
	}
	return out
}

// The documented status is 200, and the link works once (D1, W-I13).
func TestAccess(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	link := w.whitelink()
	redeem := func() resttest.Answer { return c.JSON(t, "POST", access, body{"whitelink_token": link}) }
	redeem().Want(t, 200, `200`)
	expect.Equal(t, w.whitelisted(), []string{"10.0.0.1"})
	redeem().WantTokens(t, 422, "value.taken") // pages redeem twice: the first was good (D30)
	c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 422, "identity.user.access.invalid_token")
	w.IP = netip.MustParseAddr("10.0.0.9")
	redeem().WantTokens(t, 422, "identity.user.access.invalid_token") // used up, by another
	expect.Equal(t, w.whitelisted(), []string{"10.0.0.1"})
	w.IP = netip.MustParseAddr("10.0.0.1")

	link = w.whitelink()
	redeem().WantTokens(t, 422, "value.taken")
	w.IP = netip.MustParseAddr("2001:db8::7")
	redeem().Want(t, 200, `200`) // a refusal had not used it up; IPv6 is an address, too
	expect.Equal(t, w.whitelisted(), []string{"10.0.0.1", "2001:db8::7"})

	link = w.whitelink()
	w.IP = netip.Addr{}
	redeem().WantTokens(t, 422, "value.invalid")
	w.IP = netip.MustParseAddr("10.0.0.3")
	w.Now = w.Now.Add(time.Hour)
	redeem().WantTokens(t, 422, "identity.user.access.invalid_token") // too old
}

// A missing token is 400 (D2), tries are ten a minute (W-I13), an outage is 503 (D20).
func TestAccessRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.Browser()
	c.JSON(t, "POST", access, body{}).
		WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access+"?whitelink_token="+w.whitelink(), body{}). // D19
										WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access, body{"whitelink_token": " "}).WantTokens(t, 400, "identity.user.empty_whitelink_token")
	c.JSON(t, "POST", access, body{"whitelink_token": []int{1}}).WantTokens(t, 422, "invalid")
	w.Now = w.Now.Add(time.Minute) // refused for whatever reason, a try counts
	for range 10 {
		c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 422, "identity.user.access.invalid_token")
	}
	a := c.JSON(t, "POST", access, body{"whitelink_token": w.whitelink()})
	a.WantTokens(t, 429, "identity.user.too_many_requests")
	expect.Equal(t, a.Header.Get("Retry-After"), "6")
	expect.Equal(t, w.whitelisted(), []string{})
	w.IP = netip.MustParseAddr("10.0.0.2")
	w.Faults.Fail(apitest.ErrOutage, "ChangePolicy")
	c.JSON(t, "POST", access, body{"whitelink_token": "x"}).WantTokens(t, 503, "server.internal_error")
}
