package admin_test

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/policy"
	"barong/policy/editor"
)

const (
	restrictions = base + "/restrictions"
	access       = "/api/v2/identity/users/access"
)

func newRule(change m) m {
	row := m{"scope": "ip", "value": "192.0.2.1", "category": "blacklist"}
	for k, v := range change {
		if v == nil {
			delete(row, k)
		} else {
			row[k] = v
		}
	}
	return row
}

// Filters, the time range, exact members.
func TestListRestrictions(t *testing.T) {
	w := newWorld(t)
	seeded := len(w.restrictions())
	old := w.Now
	w.Now = w.Now.Add(48 * time.Hour)
	row := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "2001:db8::1", Code: 418})
	c := w.as("technical")
	c.Get(t, restrictions+"?scope=ip&category=blacklist&from="+itoa(w.Now.Unix())).Want(t, 200, fmt.Sprintf(
		`[{"id":%d,"category":"blacklist","scope":"ip","value":"2001:db8::1","code":418,"state":"enabled",
		"created_at":"2026-11-23T08:00:00Z","updated_at":"2026-11-23T08:00:00Z","lock_version":%d}]`, row.ID, row.LockVersion))
	for query, want := range map[string]int{
		"":                                           seeded + 1,
		"?scope=ip":                                  2,
		"?scope=country":                             2,
		"?category=blacklist&scope=continent":        1,
		"?from=" + itoa(w.Now.Unix()):                1,
		"?from=" + itoa(w.Now.Unix()+1):              0,
		"?to=" + itoa(old.Unix()+1):                  seeded,
		"?to=" + itoa(old.Unix()):                    0,
		"?range=updated&from=" + itoa(w.Now.Unix()):  1,
		"?from=9223372036854775807":                  0,
		"?value=2001:DB8:0:0::1":                     1,
		"?value=2001:db8::":                          0,
		"?code=418":                                  1,
		"?code=-9223372036854775808":                 0,
		"?state=enabled&scope=ip&category=blacklist": 1,
		"?state=disabled":                            seeded,
		"?id=" + itoa(row.ID):                        1,
		"?id=0":                                      0,
		"?to=9223372036854775807":                    seeded + 1,
		"?from=-9223372036854775808":                 seeded + 1,
		"?range=created&from=" + itoa(old.Unix()) + "&to=" + itoa(old.Unix()+1): seeded,
	} {
		var got []m
		c.Get(t, restrictions+query).Into(t, &got)
		if len(got) != want {
			t.Errorf("%s: got %d rows, want %d", query, len(got), want)
		}
	}
	var got []struct{ ID int64 }
	c.Get(t, restrictions+"?order_by=created_at&ordering=desc&limit=1").Into(t, &got)
	expect.Equal(t, got[0].ID, row.ID)
	a := c.Get(t, restrictions+"?limit=1")
	expect.Equal(t, a.Header.Get("Total"), fmt.Sprint(seeded+1))
	for query, tokens := range map[string][]string{
		"?scope=office":    {"admin.restriction.invalid_scope"},
		"?scope=":          {"admin.restriction.empty_scope", "admin.restriction.invalid_scope"},
		"?category=allow":  {"admin.restriction.invalid_category"},
		"?category=":       {"admin.restriction.empty_category", "admin.restriction.invalid_category"},
		"?state=":          {"admin.restriction.empty_state", "admin.restriction.invalid_state"},
		"?range=deleted":   {"admin.restriction.invalid_range"},
		"?order_by=geo":    {"restrictions.ordering.invalid_attribute"},
		"?ordering=up":     {"restrictions.ordering.invalid_ordering"},
		"?code=x&id=y":     {"invalid"},
		"?from=12abc&to=x": {"invalid"}, // read strictly
		"?limit=0":         {"invalid_limit"},
	} {
		c.Get(t, restrictions+query).WantTokens(t, 422, tokens...)
	}
}

// Refusals and defaults of new restrictions (D2, D6, FX-22, FX-23, FX-57, AZ-49).
func TestAddRestriction(t *testing.T) {
	w := newWorld(t)
	before := w.restrictions()
	const prefix = "admin.restriction."
	for name, test := range map[string]struct {
		body   m
		status int
		tokens []string
	}{
		"nothing": {m{}, 400, []string{
			prefix + "missing_scope", prefix + "empty_scope", prefix + "invalid_scope",
			prefix + "missing_value", prefix + "empty_value",
			prefix + "missing_category", prefix + "invalid_category", prefix + "empty_category"}},
		"blanks": {newRule(m{"scope": "", "value": " ", "category": ""}), 400, []string{
			prefix + "empty_scope", prefix + "invalid_scope", prefix + "empty_value",
			prefix + "invalid_category", prefix + "empty_category"}},
		"an unknown scope and state": {newRule(m{"scope": "office", "state": "running"}), 422, []string{prefix + "invalid_scope", prefix + "invalid_state"}},
		"an unknown category":        {newRule(m{"category": "allow"}), 422, []string{prefix + "invalid_category"}},
		"no address":                 {newRule(m{"value": "127.a.b.c"}), 422, []string{"value.invalid"}},
		"FX-22":                      {newRule(m{"scope": "ip_subnet", "value": "300.1.1.0/24"}), 422, []string{"value.invalid"}},
		"no country":                 {newRule(m{"scope": "country", "value": "Atlantis"}), 422, []string{"value.invalid"}},
		"a value too long":           {newRule(m{"scope": "all", "value": strings.Repeat("a", 65)}), 422, []string{"value.too_long"}},
		"a blank state":              {newRule(m{"state": ""}), 422, []string{prefix + "empty_state", prefix + "invalid_state"}},
		"a blank code":               {newRule(m{"code": ""}), 422, []string{prefix + "empty_code"}},
		"a code that is no number":   {newRule(m{"code": "x"}), 422, []string{"invalid"}},
		"a code that allows (FX-23)": {newRule(m{"code": 200}), 422, []string{"code.invalid"}},
		"code 0":                     {newRule(m{"code": 0}), 422, []string{"code.invalid"}},
		"a code above 499 (FX-23)":   {newRule(m{"code": 522}), 422, []string{"code.invalid"}},
		"an equal row":               {newRule(m{"value": "164.116.47.255"}), 422, []string{"value.taken"}},
		"an equal row, in IPv6":      {newRule(m{"value": "::ffff:164.116.47.255"}), 422, []string{"value.taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.as("superadmin").JSON(t, "POST", restrictions, test.body).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, w.restrictions(), before)
	expect.Equal(t, len(w.journal()), 0)

	for _, test := range []struct {
		body  m
		value string
		code  int
		state string
	}{
		{newRule(nil), "192.0.2.1", 401, "enabled"},
		{newRule(m{"value": "2001:DB8:0::1", "state": "disabled"}), "2001:db8::1", 401, "disabled"},
		{newRule(m{"scope": "ip_subnet", "value": "192.0.2.9/28", "code": 499}), "192.0.2.0/28", 499, "enabled"},
		{newRule(m{"scope": "country", "value": "panama"}), "PA", 423, "enabled"},
		{newRule(m{"scope": "continent", "value": "South America", "state": "disabled", "category": "maintenance"}), "SA", 471, "disabled"},
		{newRule(m{"category": "whitelist", "code": 418}), "192.0.2.1", 401, "enabled"},
	} {
		test.body["id"], test.body["lock_version"], test.body["created_at"] = 1, 9, "2001-01-01"
		a := w.as("superadmin").JSON(t, "POST", restrictions, test.body)
		a.Want(t, 201, `201`)
		expect.Equal(t, a.Header.Get("X-Policy-Version"), w.head().String())
		rows := w.restrictions()
		r := rows[len(rows)-1]
		expect.Equal(t, []any{r.Value, r.Code, r.State, r.CreatedAt}, []any{test.value, test.code, test.state, w.Now})
		expect.Equal(t, []bool{r.ID != 1, r.LockVersion > 0 && r.LockVersion != 9}, []bool{true, true})
	}
	rows := w.restrictions()
	expect.Equal(t, w.journal()[0].Data, fmt.Sprintf(
		`{"id":%d,"before":null,"after":{"category":"whitelist","scope":"ip","value":"192.0.2.1","code":401,"state":"enabled"}}`, rows[len(rows)-1].ID))
}

// Changes field by field (T-ADMR-5).
func TestChangeRestriction(t *testing.T) {
	w := newWorld(t)
	row := w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "192.0.2.1", Code: 418})
	w.addRestriction(policy.Restriction{Category: "blacklist", Scope: "ip", Value: "192.0.2.2"})
	c := w.as("superadmin")
	put := func(change m) int {
		t.Helper()
		change["id"] = row.ID
		return c.JSON(t, "PUT", restrictions, change).Status
	}
	now := func() policy.Restriction {
		for _, r := range w.restrictions() {
			if r.ID == row.ID {
				return r
			}
		}
		t.Fatal("gone")
		return row
	}
	expect.Equal(t, put(m{"state": "disabled"}), 200)
	expect.Equal(t, now().State, "disabled")
	expect.Equal(t, put(m{"category": "maintenance"}), 200)
	expect.Equal(t, now().Code, 418) // keeps the old code
	expect.Equal(t, put(m{"category": "whitelist", "code": 499}), 200)
	expect.Equal(t, now().Code, 401)
	expect.Equal(t, put(m{"category": "blacklist", "scope": "country", "value": "CHL"}), 200)
	expect.Equal(t, []any{now().Scope, now().Value, now().Code}, []any{"country", "CL", 401})
	c.JSON(t, "PUT", restrictions, m{"id": row.ID, "scope": "ip"}).WantTokens(t, 422, "value.invalid")
	c.JSON(t, "PUT", restrictions, m{"id": row.ID, "scope": "ip", "value": "192.0.2.2"}).WantTokens(t, 422, "value.taken")
	c.JSON(t, "PUT", restrictions, m{"id": row.ID, "category": ""}).
		WantTokens(t, 422, "admin.restriction.invalid_category", "admin.restriction.empty_category")
	c.JSON(t, "PUT", restrictions, m{}).WantTokens(t, 400, "admin.restriction.missing_id", "admin.restriction.empty_id")
	c.JSON(t, "PUT", restrictions, m{"id": 404404}).WantTokens(t, 404, "admin.restriction.doesnt_exist")
	c.JSON(t, "PUT", restrictions, m{"id": 0}).WantTokens(t, 404, "admin.restriction.doesnt_exist")
	c.With("If-Match", itoa(row.LockVersion)).JSON(t, "PUT", restrictions, m{"id": row.ID, "state": "enabled"}).
		WantTokens(t, 412, "admin.restriction.stale")
	c.With("If-Match", `"`+itoa(now().LockVersion)+`"`).JSON(t, "DELETE", restrictions+"?id="+itoa(row.ID), nil).Want(t, 204, "")
	c.JSON(t, "DELETE", restrictions+"?id="+itoa(row.ID), nil).WantTokens(t, 404, "admin.restriction.doesnt_exist")
	c.JSON(t, "DELETE", restrictions, nil).WantTokens(t, 400, "admin.restriction.missing_id", "admin.restriction.empty_id")
	expect.Equal(t, w.journal()[0].Topic, "restrictions")
}

// Callers that would shut themselves out must say so.
func TestRestrictionLockOut(t *testing.T) {
	white := policy.Restriction{Category: "whitelist", Scope: "ip", Value: home.String()}
	for name, test := range map[string]struct {
		there   []policy.Restriction
		change  m
		refused bool
	}{
		"maintenance for all":            {nil, m{"category": "maintenance", "scope": "all", "value": "everything"}, true},
		"disabled, it shuts nobody out":  {nil, m{"category": "maintenance", "scope": "all", "value": "everything", "state": "disabled"}, false},
		"maintenance behind a whitelist": {[]policy.Restriction{white}, m{"category": "maintenance", "scope": "all", "value": "everything"}, false},
		"a blacklist of the own network": {nil, m{"category": "blacklist", "scope": "ip_subnet", "value": "203.0.113.0/24"}, true},
		"a blacklist of another":         {nil, m{"category": "blacklist", "scope": "ip_subnet", "value": "198.51.100.0/24"}, false},
		"blocklogin of the own address":  {nil, m{"category": "blocklogin", "scope": "ip", "value": home.String()}, true},
		"blocklogin of all":              {nil, m{"category": "blocklogin", "scope": "all", "value": "everything"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, r := range test.there {
				w.addRestriction(r)
			}
			before := len(w.restrictions())
			a := w.as("admin").JSON(t, "POST", restrictions, test.change)
			if !test.refused {
				a.Want(t, 201, `201`)
				return
			}
			a.WantTokens(t, 422, "admin.restriction.would_lock_out")
			expect.Equal(t, len(w.restrictions()), before)
			test.change["force"] = true
			for _, role := range []string{"technical", "admin"} { // roles that cannot undo it may not force it
				w.as(role).JSON(t, "POST", restrictions, test.change).WantTokens(t, 422, "admin.restriction.would_lock_out")
			}
			expect.Equal(t, len(w.restrictions()), before)
			w.as("superadmin").JSON(t, "POST", restrictions, test.change).Want(t, 201, `201`)
			expect.Equal(t, jsonField(t, w.journal()[0].Data, "force"), true)
		})
	}
	w := newWorld(t)
	row := w.addRestriction(white)
	w.addRestriction(policy.Restriction{Category: "maintenance", Scope: "all", Value: "everything"})
	c := w.as("superadmin")
	c.JSON(t, "DELETE", restrictions+"?id="+itoa(row.ID), nil).WantTokens(t, 422, "admin.restriction.would_lock_out")
	c.JSON(t, "PUT", restrictions, m{"id": row.ID, "state": "disabled"}).WantTokens(t, 422, "admin.restriction.would_lock_out")
	w.IP = netip.MustParseAddr("198.51.100.1") // was shut out before: nothing gets worse
	c.JSON(t, "DELETE", restrictions+"?id="+itoa(row.ID), nil).Want(t, 204, "")
}

// The token is shown once and kept as a hash (AZ-60, FX-25).
func TestWhitelink(t *testing.T) {
	w := newWorld(t)
	c := w.as("superadmin")
	for name, test := range map[string]struct {
		body   m
		tokens []string
	}{
		"a month and a day": {m{"expire_time": 31}, []string{"invalid_expire"}},
		"too short":         {m{"expire_time": 0}, []string{"invalid_expire"}},
		"no number":         {m{"expire_time": "x"}, []string{"invalid", "invalid_expire"}},
		"blank":             {m{"expire_time": "", "range": ""}, []string{"admin.restriction.empty_expire_time", "admin.restriction.empty_range", "invalid_range"}},
		"another range":     {m{"range": "week"}, []string{"invalid_range"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.JSON(t, "POST", restrictions+"/whitelink", test.body).WantTokens(t, 422, test.tokens...)
		})
	}
	for _, test := range []struct {
		body m
		life time.Duration
	}{
		{nil, 24 * time.Hour}, {m{"expire_time": 30}, 30 * 24 * time.Hour}, {m{"expire_time": 2, "range": "hour"}, 2 * time.Hour},
	} {
		made := w.Now
		token := w.whitelink(test.body)
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(token) {
			t.Errorf("got token %q, want 64 hex digits", token)
		}
		if data := w.journal()[0].Data; strings.Contains(data, token) || !strings.Contains(data, made.Add(test.life).Format(time.RFC3339Nano)) {
			t.Errorf("activity says %s, want the end and no token", data)
		}
		w.Now = made.Add(test.life)
		w.redeem(token, "198.51.100.9").WantTokens(t, 422, "identity.user.access.invalid_token")
		w.Now = made.Add(test.life - time.Microsecond)
		w.IP = netip.AddrFrom4([4]byte{198, 51, 100, byte(len(w.restrictions()))})
		w.redeem(token, w.IP.String()).Want(t, 200, `200`)
	}
}

func (w *world) whitelink(body m) string {
	w.T.Helper()
	var out struct {
		Token string `json:"whitelink_token"`
	}
	a := w.as("superadmin").JSON(w.T, "POST", restrictions+"/whitelink", body)
	expect.Equal(w.T, a.Status, 201)
	a.Into(w.T, &out)
	return out.Token
}

// A whitelink puts the address of its user on the whitelist, once (AZ-61, FX-22, FX-25, D1, D2).
func TestRedeemWhitelink(t *testing.T) {
	w := newWorld(t)
	token := w.whitelink(nil)
	w.Client().JSON(t, "POST", access, m{}).
		WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	w.Client().JSON(t, "POST", access, m{"whitelink_token": " "}).WantTokens(t, 400, "identity.user.empty_whitelink_token")
	w.Client().JSON(t, "POST", access+"?whitelink_token="+token, nil). // D19
										WantTokens(t, 400, "identity.user.missing_whitelink_token", "identity.user.empty_whitelink_token")
	for _, wrong := range []string{strings.Repeat("0", 64), token[:63], strings.ToUpper(token), "policy"} {
		w.redeem(wrong, "198.51.100.1").WantTokens(t, 422, "identity.user.access.invalid_token")
	}
	// A row that cannot be made leaves the link alone.
	taken := w.addRestriction(policy.Restriction{Category: "whitelist", Scope: "ip", Value: "198.51.100.1"})
	w.redeem(token, taken.Value).WantTokens(t, 422, "value.taken")
	w.redeem(token, "").WantTokens(t, 422, "value.invalid")

	version := w.head()
	w.redeem(token, "2001:db8::7").Want(t, 200, `200`)
	expect.Equal(t, w.head().Seq, version.Seq+1)
	rows := w.restrictions()
	r := rows[len(rows)-1]
	expect.Equal(t, []any{r.Category, r.Scope, r.Value, r.State, r.Code}, []any{"whitelist", "ip", "2001:db8::7", "enabled", 401})
	x := w.journal()[0]
	expect.Equal(t, []string{x.ActorUID, x.Action, x.IP, x.Data}, []string{"SUPERADMIN", "whitelink::redeem", "2001:db8::7", fmt.Sprintf(
		`{"id":%d,"before":null,"after":{"category":"whitelist","scope":"ip","value":"2001:db8::7","code":401,"state":"enabled"}}`, r.ID)})
	w.redeem(token, "198.51.100.2").WantTokens(t, 422, "identity.user.access.invalid_token")
}

func (w *world) redeem(token, ip string) resttest.Answer {
	w.T.Helper()
	if w.IP = (netip.Addr{}); ip != "" {
		w.IP = netip.MustParseAddr(ip)
	}
	return w.Client().Form(w.T, "POST", access, url.Values{"whitelink_token": {token}})
}

// Of many redemptions at once one gets in (FX-25).
func TestRedeemRace(t *testing.T) {
	w := newWorld(t)
	token := w.whitelink(nil)
	before := len(w.restrictions())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := account.Client{IP: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
			if _, err := w.Rules.RedeemWhitelink(t.Context(), c, token); err != nil && !errors.Is(err, editor.ErrWhitelink) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	expect.Equal(t, len(w.restrictions()), before+1)
}

// Enabling blocklogin ends sessions (AZ-50, design D11); the store's suite has the details.
func TestBlockloginEndsSessions(t *testing.T) {
	w := newWorld(t)
	epoch := expect.Must(w.DB.Epoch(t.Context()))(t)
	w.as("superadmin").JSON(t, "POST", restrictions,
		m{"category": "blocklogin", "scope": "all", "value": "everything", "force": true}).Want(t, 201, `201`)
	expect.Equal(t, expect.Must(w.DB.Epoch(t.Context()))(t) > epoch, true)
}
