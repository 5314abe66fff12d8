package admin_test

import (
	"testing"

	"barong/internal/expect"
	"barong/policy"
)

type seen struct {
	PolicyVersion int64    `json:"policy_version"`
	LocksOut      bool     `json:"locks_out"`
	LockedOut     []string `json:"locked_out"`
	Refused       *string  `json:"refused"`
	EndsSessions  string   `json:"ends_sessions"`
	Flips         []struct {
		Role   string   `json:"role"`
		Verbs  []string `json:"verbs"`
		Path   string   `json:"path"`
		Client string   `json:"client"`
		Before verdict  `json:"before"`
		After  verdict  `json:"after"`
	} `json:"flips"`
	More     int      `json:"more"`
	Warnings []string `json:"warnings"`
}

type verdict struct {
	Allows bool   `json:"allows"`
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Audit  bool   `json:"audit"`
	Topic  string `json:"topic"`
}

// preview asks, and fails when anything was written.
func (w *world) preview(of string, role string, body m) seen {
	w.T.Helper()
	head, rows, rules := w.head(), w.permissions(), w.restrictions()
	a := w.as(role).JSON(w.T, "POST", base+of+"/preview", body)
	if a.Status != 200 {
		w.T.Fatalf("got %d %s", a.Status, a.Body)
	}
	expect.Equal(w.T, w.head(), head)
	expect.Equal(w.T, w.permissions(), rows)
	expect.Equal(w.T, w.restrictions(), rules)
	expect.Equal(w.T, len(w.journal()), 0)
	var out seen
	a.Into(w.T, &out)
	expect.Equal(w.T, out.PolicyVersion, head.Seq)
	return out
}

// Which roles and paths flip, and nothing changes.
func TestPreviewPermission(t *testing.T) {
	w := newWorld(t)
	p := w.preview("/permissions", "admin", m{"role": "member", "verb": "all", "path": "/api/v2/finex/market/", "action": "drop"})
	if len(p.Flips) == 0 || p.LocksOut || p.Refused != nil || p.EndsSessions != "none" {
		t.Fatalf("got %+v, want flips and no lock-out", p)
	}
	f := p.Flips[0]
	expect.Equal(t, []any{f.Role, f.Path, f.Before, f.After, f.Client}, []any{"member", "api/v2/finex/market", verdict{Allows: true}, verdict{}, ""})
	expect.Equal(t, f.Verbs, []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

	// An AUDIT row flips no verdict, only the activities.
	p = w.preview("/permissions", "admin", m{"role": "member", "verb": "get", "path": "api/v2/finex/market", "action": "audit", "topic": "m"})
	expect.Equal(t, p.Flips[0].After, verdict{Allows: true, Audit: true, Topic: "m"})
	expect.Equal(t, p.Flips[0].Verbs, []string{"GET", "HEAD"})

	way := w.wayIn()
	p = w.preview("/permissions", "admin", m{"id": way.ID, "operation": "delete"})
	if !p.LocksOut || p.Refused == nil || *p.Refused != "admin.permission.would_lock_out" {
		t.Errorf("got %+v, want a lock-out", p)
	}
	expect.Equal(t, p.LockedOut, []string{"superadmin"})
	p = w.preview("/permissions", "superadmin", m{"id": way.ID, "operation": "delete", "force": true})
	expect.Equal(t, *p.Refused, "admin.permission.last_superadmin")
	p = w.preview("/permissions", "superadmin", m{"id": way.ID, "topic": "x"})
	expect.Equal(t, len(p.Flips), 0)

	p = w.preview("/permissions", "superadmin", m{"role": "member", "verb": "get", "path": "api/v2/nowhere", "action": "accept"})
	expect.Equal(t, len(p.Flips), 0)
	if len(p.Warnings) != 1 {
		t.Errorf("got warnings %q, want one of a component that is not there", p.Warnings)
	}

	c, url := w.as("superadmin"), base+"/permissions/preview"
	c.JSON(t, "POST", url, m{"id": 404404}).WantTokens(t, 404, "admin.permission.doesnt_exist")
	c.JSON(t, "POST", url, m{"operation": "delete"}).WantTokens(t, 404, "admin.permission.doesnt_exist")
	c.JSON(t, "POST", url, m{"operation": "drop"}).WantTokens(t, 422, "admin.preview.invalid_operation")
	c.JSON(t, "POST", url, m{"verb": "x", "role": "member"}).
		WantTokens(t, 422, "admin.permissions.invalid_verb", "admin.permission.empty_path", "admin.permission.empty_action")
	c.JSON(t, "POST", url, m{"role": "member", "verb": "all", "path": "api/v2/applogic", "action": "accept"}).
		WantTokens(t, 422, "path.taken")
}

func TestPreviewRestriction(t *testing.T) {
	w := newWorld(t)
	w.addRestriction(policy.Restriction{Category: "whitelist", Scope: "ip", Value: "203.0.113.9"})
	p := w.preview("/restrictions", "technical", m{"category": "blacklist", "scope": "ip_subnet", "value": "203.0.113.9/24"})
	expect.Equal(t, []any{p.LocksOut, p.LockedOut, *p.Refused, p.EndsSessions, len(p.Flips)},
		[]any{true, []string{"*"}, "admin.restriction.would_lock_out", "none", 1})
	f := p.Flips[0]
	expect.Equal(t, []any{f.Role, f.Path, f.Client, f.Before, f.After}, []any{"*", "*", "203.0.113.0/24",
		verdict{Allows: true}, verdict{Status: 403, Reason: "authz.restrict.blacklist"}})

	p = w.preview("/restrictions", "technical", m{"category": "blocklogin", "scope": "ip", "value": "198.51.100.1"})
	expect.Equal(t, []any{p.LocksOut, p.Refused == nil, p.EndsSessions, len(p.Flips)}, []any{false, true, "matching", len(policy.SignInPaths())})
	expect.Equal(t, p.Flips[0].Path, "api/v2/barong/identity/sessions")

	for role, may := range map[string]bool{"technical": false, "admin": false, "superadmin": true} {
		p = w.preview("/restrictions", role, m{"category": "maintenance", "scope": "all", "value": "night", "force": true})
		expect.Equal(t, []any{p.LocksOut, p.Refused == nil, len(p.Flips), p.Flips[0].Client}, []any{true, may, 1, "elsewhere"})
	}

	p = w.preview("/restrictions", "technical", m{"category": "blacklist", "scope": "country", "value": "PA"})
	expect.Equal(t, len(p.Flips), 0)
	expect.Equal(t, p.Warnings, []string{"never matches, there is no GeoIP database"})

	c, url := w.as("technical"), base+"/restrictions/preview"
	c.JSON(t, "POST", url, m{"id": 404404}).WantTokens(t, 404, "admin.restriction.doesnt_exist")
	c.JSON(t, "POST", url, m{"scope": "x"}).WantTokens(t, 422, "admin.restriction.invalid_scope")
	c.JSON(t, "POST", url, m{}).WantTokens(t, 422, "category.blank", "scope.blank", "value.blank")
	c.JSON(t, "POST", url, newRule(m{"value": "164.116.47.255"})).WantTokens(t, 422, "value.taken")
}
