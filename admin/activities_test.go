package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/internal/audit"
	"barong/internal/expect"
)

func (w *world) act(ref string, change func(*audit.Activity)) {
	w.T.Helper()
	a := audit.Activity{
		ActorUID: "MEMBER", ActorKind: "user", ActorRef: "MEMBER", Category: audit.CategoryUser, IP: "192.0.2.1",
		IPCountry: "Panama", UserAgent: "curl/8", Topic: "session", Action: "login", Result: audit.Succeed, CreatedAt: w.Now,
	}
	change(&a)
	expect.OK(w.T, w.DB.AddActivities(w.T.Context(), []audit.Entry{{Ref: ref, Activity: a}}))
}

const member = `{"email":"member@barong.io","uid":"MEMBER","role":"member","level":0,"otp":false,"state":"active",
	"referral_uid":null,"data":null,"username":null}`

// Users' own activities, newest first (T-ACTL-1).
func TestActivities(t *testing.T) {
	w := newWorld(t)
	w.act("a", func(a *audit.Activity) { a.Data = `{"reason":"x"}` })
	w.Now = w.Now.Add(time.Minute)
	w.act("b", func(a *audit.Activity) { a.ActorUID, a.Topic, a.Action = "TRADER", "otp", "enable" })
	w.act("c", func(a *audit.Activity) { a.Category, a.TargetUID = audit.CategoryAdmin, "TRADER" })
	w.act("d", func(a *audit.Activity) { a.ActorUID = "GONE" })
	w.act("e", func(a *audit.Activity) { a.ActorUID = "" })
	list := base + "/activities"
	c := w.as("admin")
	c.Get(t, list+"?uid=MEMBER").Want(t, 200, `[{"user_ip":"192.0.2.1","user_ip_country":"Panama","user_agent":"curl/8",
		"topic":"session","action":"login","result":"succeed","data":"{\"reason\":\"x\"}","user":`+member+`,
		"created_at":"2026-11-21T08:00:00Z"}]`)
	var both []struct{ Topic string }
	a := c.Get(t, list)
	a.Into(t, &both)
	expect.Equal(t, both, []struct{ Topic string }{{"otp"}, {"session"}})
	expect.Equal(t, a.Header.Get("Total"), "2")
	w.act("f", func(a *audit.Activity) { a.Topic, a.Result, a.ActorUID = "limit", audit.Denied, "TRADER" })
	w.act("g", func(a *audit.Activity) { a.Topic, a.Result, a.ActorUID = "limit", audit.Failed, "TRADER" })
	for query, want := range map[string]int{
		"?result=denied": 1, "?result=failed&topic=limit": 1, "?result=denied&uid=MEMBER": 0, "?result=succeed&topic=limit": 0,
	} {
		var got []m
		c.Get(t, list+query).Into(t, &got)
		if len(got) != want {
			t.Errorf("%s: got %d rows, want %d", query, len(got), want)
		}
	}
	c.Get(t, list+"?result=no").WantTokens(t, 422, "admin.activity.invalid_result")
	c.Get(t, list+"?result=").WantTokens(t, 422, "admin.activity.empty_result", "admin.activity.invalid_result")
	w.as("superadmin").Get(t, list+"/admin?result=no").WantTokens(t, 422, "admin.activity.invalid_result")
	w.as("superadmin").Get(t, list+"/admin?result=").WantTokens(t, 422, "admin.activity.empty_result", "admin.activity.invalid_result")
}

// The other filters, the range of time and the pages of activities of users.
func TestFindActivities(t *testing.T) {
	w := newWorld(t)
	start := w.Now
	w.act("a", func(*audit.Activity) {})
	w.Now = w.Now.Add(time.Minute)
	w.act("b", func(a *audit.Activity) { a.ActorUID, a.Topic, a.Action = "TRADER", "otp", "enable" })
	list := base + "/activities"
	c := w.as("admin")
	for query, want := range map[string]int{
		"?topic=otp": 1, "?topic=": 0, "?action=login": 1, "?uid=TRADER": 1, "?email=Trader@barong.io": 1,
		"?email=": 0, "?topic=otp&action=enable&uid=TRADER": 1, "?topic=otp&uid=MEMBER": 0,
		"?from=" + itoa(start.Unix()) + "&to=" + itoa(start.Unix()+1): 1,
		"?from=" + itoa(start.Unix()+1):                               1,
		"?to=" + itoa(start.Unix()):                                   0,
		"?target_uid=nobody":                                          2, // not declared here
		"?limit=1&page=2":                                             1, "?page=3&limit=1": 0,
	} {
		var got []m
		c.Get(t, list+query).Into(t, &got)
		if len(got) != want {
			t.Errorf("%s: got %d rows, want %d", query, len(got), want)
		}
	}
	for query, tokens := range map[string][]string{
		"?topic[]=a&action[]=b&uid[]=c&email[]=d": {"admin.activity.non_string_topic", "admin.activity.non_string_action",
			"admin.activity.non_string_uid", "admin.activity.non_string_email"},
		"?from=yesterday": {"invalid"},
		"?limit=101":      {"invalid_limit"},
	} {
		c.Get(t, list+query).WantTokens(t, 422, tokens...)
	}
}

// Activities of staff, with the person each is about (T-ACTL-1).
func TestAdminActivities(t *testing.T) {
	w := newWorld(t)
	admin := func(target string) func(*audit.Activity) {
		return func(a *audit.Activity) {
			a.Category, a.ActorUID, a.TargetUID, a.Topic, a.Action = audit.CategoryAdmin, "ADMIN", target, "users", "update"
		}
	}
	w.act("a", admin("MEMBER"))
	w.act("b", admin(""))
	w.act("c", func(*audit.Activity) {})
	list := base + "/activities/admin"
	c := w.as("superadmin")
	who := `{"email":"admin@barong.io","uid":"ADMIN","role":"admin","level":0,"otp":false,"state":"active",
		"referral_uid":null,"data":null,"username":null}`
	row := `{"user_ip":"192.0.2.1","user_ip_country":"Panama","user_agent":"curl/8","topic":"users","action":"update",
		"result":"succeed","data":null,"admin":` + who + `,"target":%s,"created_at":"2026-11-21T08:00:00Z"}`
	c.Get(t, list).Want(t, 200, fmt.Sprintf("["+row+","+row+"]", "null", member))
	c.Get(t, list+"?target_uid=MEMBER&range=created").Want(t, 200, fmt.Sprintf("["+row+"]", member))
	c.Get(t, list+"?target_uid=").Want(t, 200, `[]`)
	c.Get(t, list+"?range=updated").WantTokens(t, 422, "admin.activity.invalid_range")
	c.Get(t, list+"?target_uid[]=a").WantTokens(t, 422, "admin.activity.non_string_target_uid")
	// So are those of other services and of the command line, by their names.
	w.Now = w.Now.Add(time.Minute)
	for kind, name := range map[string]string{"service": "applogic,peatio", "operator": "root"} {
		w.act(kind, func(a *audit.Activity) {
			a.Category, a.ActorUID, a.ActorKind, a.ActorRef, a.TargetUID, a.Topic = audit.CategoryAdmin, "", kind, name, "MEMBER", kind
		})
		var got []struct {
			Admin  struct{ Email, UID, Role string }
			Target struct{ UID string }
		}
		c.Get(t, list+"?topic="+kind).Into(t, &got)
		if len(got) != 1 || got[0].Admin.Email != name || got[0].Admin.Role != kind || got[0].Admin.UID != "" || got[0].Target.UID != "MEMBER" {
			t.Errorf("of the %s %s: got %+v", kind, name, got)
		}
	}
	// Activities that this API writes are to be read here.
	c.JSON(t, "POST", permissions, newRow(nil)).Want(t, 201, `201`)
	var got []struct{ Topic, Action string }
	c.Get(t, list+"?topic=permissions").Into(t, &got)
	expect.Equal(t, got, []struct{ Topic, Action string }{{"permissions", "create"}})
}

// A change leaves one activity, with its outcome: the row of one that was made comes with
// it, that of a refused one says so, and a preview is no change.
func TestChangesLeaveOneActivityOfTheirOutcome(t *testing.T) {
	w := newWorld(t)
	row := w.permission("member", "GET", "api/v2/ranger", "ACCEPT")
	for name, x := range map[string]struct {
		as, method, path string
		body             m
		header           string
		status           int
		result, about    string // of the one row; "" for none
		holds            string
	}{
		"a role that nobody has": {"superadmin", "POST", users + "/role", m{"uid": "MEMBER", "role": "nobodys"}, "", 422, "failed", "MEMBER", `"role":"nobodys"`},
		"a row that has changed": {"superadmin", "PUT", permissions, m{"id": row.ID, "verb": "PUT"}, "77", 412, "failed", "", `"verb":"PUT"`},
		"nobody":                 {"superadmin", "PUT", users, m{"uid": "NOBODY", "state": "banned"}, "", 404, "failed", "", `"uid":"NOBODY"`},
		"a missing parameter":    {"superadmin", "PUT", users, m{"uid": "MEMBER"}, "", 422, "failed", "MEMBER", `"uid":"MEMBER"`},
		"without the ability":    {"technical", "PUT", users, m{"uid": "MEMBER", "state": "banned"}, "", 401, "denied", "", `"path":"api/v2/barong/admin/users"`},
		"a secret":               {"superadmin", "PUT", users, m{"uid": "MEMBER", "email": "hunter2"}, "", 422, "failed", "MEMBER", `"members":["email"]`},
		"a preview":              {"superadmin", "POST", permissions + "/preview", m{"role": "member", "verb": "GET", "path": "api/v2/peatio/market", "action": "DROP"}, "", 200, "", "", ""},
		"a preview of nonsense":  {"superadmin", "POST", permissions + "/preview", m{"role": "member"}, "", 422, "", "", ""},
		"a list that may not":    {"member", "GET", permissions, nil, "", 401, "", "", ""},
		"a change that was made": {"superadmin", "PUT", permissions, m{"id": row.ID, "verb": "PUT"}, "", 200, "succeed", "", `"before":{`},
		"a ban that was made":    {"superadmin", "PUT", users, m{"uid": "TRADER", "state": "banned"}, "", 200, "succeed", "TRADER", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.Refused.Take()
			before := len(w.journal())
			as := w.as(x.as)
			if x.header != "" {
				as = as.With("If-Match", x.header)
			}
			if a := as.JSON(t, x.method, x.path, x.body); a.Status != x.status {
				t.Fatalf("got %d %s, want %d", a.Status, a.Body, x.status)
			}
			all := w.journal()
			rows := append(all[:len(all)-before:len(all)-before], w.Refused.Take()...)
			if x.result == "" {
				expect.Equal(t, len(rows), 0)
				return
			}
			if len(rows) != 1 {
				t.Fatalf("got %d rows, want one: %+v", len(rows), rows)
			}
			r := rows[0]
			expect.Equal(t, []string{r.Result, r.TargetUID, r.ActorUID, r.Category}, []string{x.result, x.about, strings.ToUpper(x.as), "admin"})
			if !strings.Contains(r.Data, x.holds) || strings.Contains(r.Data, "hunter2") {
				t.Errorf("data %s, want %s and no secret", r.Data, x.holds)
			}
		})
	}
}
