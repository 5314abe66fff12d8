package admin_test

import (
	"errors"
	"net/netip"
	"testing"

	"barong/admin"
	"barong/internal/expect"
	"barong/internal/view"
	"barong/policy/ability"
)

const explain = base + "/explain"

// The question reaches the decision, the answer comes back, with the rows behind it.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	var asked admin.ExplainRequest
	answer := view.Explanation{
		Allowed: false, Status: 401, Reason: "authz.invalid_permission", PolicyVersion: 7, Path: "api/v2/barong/admin/permissions",
		UID: "ACCOUNTANT", Role: "accountant", Steps: []view.ExplainedStep{{Rule: "permission", Outcome: "deny", Detail: "x"}},
	}
	w.explain = func(q admin.ExplainRequest) (view.Explanation, error) {
		asked = q
		return answer, nil
	}
	c := w.as("superadmin")
	head := w.head()
	a := c.JSON(t, "POST", explain, m{"path": "/api/v2/admin/permissions?x=1", "uid": "ACCOUNTANT", "user_agent": "curl"})
	if a.Status != 200 {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	if want := (admin.ExplainRequest{Method: "GET", Target: "/api/v2/admin/permissions?x=1", UID: "ACCOUNTANT", IP: home, UserAgent: "curl"}); asked != want {
		t.Errorf("asked %+v, want %+v", asked, want)
	}
	var raw m
	a.Into(t, &raw)
	expect.Equal(t, []any{raw["allowed"], raw["status"], raw["reason"], raw["policy_version"]}, []any{false, 401.0, "authz.invalid_permission", 7.0})
	var rows []string
	for _, p := range raw["permissions"].([]any) {
		p := p.(map[string]any)
		rows = append(rows, p["action"].(string)+" "+p["path"].(string))
	}
	expect.Equal(t, rows, []string{"ACCEPT api/v2/barong/admin", "DROP api/v2/barong/admin/permissions"})
	expect.Equal(t, w.head(), head)
	expect.Equal(t, len(w.journal()), 0)

	answer.Role = ""
	c.JSON(t, "POST", explain, m{"path": "/x", "method": "PUT", "kid": "k", "ip": "2001:db8::1"})
	if want := (admin.ExplainRequest{Method: "PUT", Target: "/x", Kid: "k", IP: netip.MustParseAddr("2001:db8::1")}); asked != want {
		t.Errorf("asked %+v, want %+v", asked, want)
	}
	c.JSON(t, "POST", explain, m{}).WantTokens(t, 400, "admin.explain.missing_path", "admin.explain.empty_path")
	c.JSON(t, "POST", explain, m{"path": "/x", "uid": "a", "kid": "b"}).WantTokens(t, 422, "admin.explain.one_of_uid_kid")
	c.JSON(t, "POST", explain, m{"path": "/x", "ip": "::1%eth0"}).WantTokens(t, 422, "admin.explain.invalid_ip")
	w.explain = func(admin.ExplainRequest) (view.Explanation, error) { return view.Explanation{}, errors.New("bug") }
	c.JSON(t, "POST", explain, m{"path": "/x"}).WantTokens(t, 500, "server.internal_error")
}

// Both abilities are needed: read Permission and read User.
func TestExplainNeedsBoth(t *testing.T) {
	w := newWorld(t)
	for _, one := range []string{"Permission", "User"} {
		w.Admin.Abilities = expect.Must(ability.Parse([]byte("admin_permissions:\n  admin:\n    read: [" + one + "]\n")))(t)
		w.as("admin").JSON(t, "POST", explain, m{"path": "/x"}).WantTokens(t, 401, "admin.ability.not_permitted")
	}
}
