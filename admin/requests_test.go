package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/factor"
	"barong/internal/rest/resttest"
	"barong/internal/view"
	"barong/policy"
)

const requests = base + "/requests"

// fourEyes switches the second member of the staff on for actions, and adds two more superadmins, SECOND
// and THIRD.
func (w *world) fourEyes(actions ...string) {
	w.T.Helper()
	for _, uid := range []string{"SECOND", "THIRD"} {
		w.AddUser(account.User{UID: uid, Email: strings.ToLower(uid) + "@barong.io", Role: "superadmin", State: account.StateActive})
	}
	w.eyes(account.FourEyes{Actions: actions})
}

// eyes restarts the service under rules.
func (w *world) eyes(rules account.FourEyes) {
	w.T.Helper()
	w.Account.FourEyes = rules
	w.Restart()
	w.Mount()
}

// shownRequest is a part of a request as the endpoints show it.
type shownRequest struct {
	ID        int64   `json:"id"`
	State     string  `json:"state"`
	AskedBy   string  `json:"asked_by"`
	Reason    *string `json:"reason"`
	DecidedBy *string `json:"decided_by"`
	DecidedAt *string `json:"decided_at"`
}

// ask has the superadmin ask for a role of a user, and returns the request's path.
func (w *world) ask(uid, role string) (path string) {
	w.T.Helper()
	a := w.as("superadmin").JSON(w.T, "POST", users+"/role", m{"uid": uid, "role": role})
	if a.Status != 202 {
		w.T.Fatalf("asked for %s of %s: %d %s", role, uid, a.Status, a.Body)
	}
	return a.Header.Get("Location")
}

func (w *world) requestAt(path string) (v shownRequest) {
	w.T.Helper()
	w.as("superadmin").Get(w.T, path).Into(w.T, &v)
	return v
}

// lapsed fails the test unless the request at path has lapsed for a reason.
func (w *world) lapsed(path, reason string) {
	w.T.Helper()
	v := w.requestAt(path)
	if v.State != account.RequestLapsed || v.Reason == nil || *v.Reason != reason {
		w.T.Errorf("%s: %s %v, want lapsed by %s", path, v.State, v.Reason, reason)
	}
}

// The grant of a staff role waits for another superadmin, and is made when that one confirms it.
func TestARoleWaitsForASecondPairOfEyes(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	w.News()
	before := w.User("MEMBER")
	a := w.as("superadmin").JSON(t, "POST", users+"/role", m{"uid": "MEMBER", "role": "support"})
	expires := w.Now.Add(24 * time.Hour).UTC().Format(time.RFC3339)
	path := a.Header.Get("Location")
	id := strings.TrimPrefix(path, requests+"/")
	a.Want(t, 202, fmt.Sprintf(`{"request_id":`+id+`,"action":"staff_role","expires_at":%q}`, expires))
	expect.Equal(t, w.User("MEMBER"), before)
	open := `{"id":` + id + `,"action":"staff_role","asker_kind":"user","asked_by":"SUPERADMIN","asker_role":"superadmin",
		"target_uid":"MEMBER","content":{"role":"support"},"seen":{"role":"member","state":"active"},"state":"open","reason":null,
		"decided_by":null,"created_at":%q,"expires_at":%q,"decided_at":null%s}`
	created := w.Now.UTC().Format(time.RFC3339)
	w.as("support").Get(t, path).Want(t, 200, fmt.Sprintf(open, created, expires, `,"preview":null,"preview_now":null`))
	w.as("technical").Get(t, requests+"?state=open&action=staff_role&asked_by=SUPERADMIN").
		Want(t, 200, "["+fmt.Sprintf(open, created, expires, "")+"]")
	w.as("technical").Get(t, requests+"?state=refused").Want(t, 200, "[]")
	w.as("superadmin").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 422, "admin.request.own")

	w.Now = w.Now.Add(time.Hour)
	var v shownRequest
	w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).Into(t, &v)
	expect.Equal(t, []string{v.State, *v.DecidedBy, *v.DecidedAt}, []string{"confirmed", "SECOND", w.Now.UTC().Format(time.RFC3339)})
	after := w.User("MEMBER")
	expect.Equal(t, []any{after.Role, after.SessionGeneration > before.SessionGeneration}, []any{"support", true})
	w.As("THIRD").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.not_open")
	w.As("THIRD").JSON(t, "POST", path+"/refuse", nil).WantTokens(t, 409, "admin.request.not_open")

	var deeds, news []string
	for _, x := range slices.Backward(w.journal()) {
		deeds = append(deeds, strings.Join([]string{x.ActorUID, x.Topic, x.Action, x.Result, x.TargetUID}, " "))
	}
	expect.Equal(t, deeds, []string{
		"SUPERADMIN requests ask succeed MEMBER", "SECOND requests confirm succeed MEMBER", "SECOND users update succeed MEMBER",
	})
	for _, e := range w.News() {
		news = append(news, e.UID+" "+e.Name)
	}
	expect.Equal(t, news, []string{"SUPERADMIN system.request.asked", "SUPERADMIN system.request.confirmed", "MEMBER model.user.updated"})
	for _, x := range w.Refused.Take() {
		if x.Action == "create" && x.Result == "failed" && strings.Contains(x.Data, `"role"`) {
			t.Errorf("a request that was taken is noted as a failure: %+v", x)
		}
	}
}

// Roles of members, roles that are taken away and all other changes do not wait; each of the two rules
// about roles is for its own.
func TestWhatDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionSuperadmin)
	w.as("superadmin").JSON(t, "POST", users+"/role", m{"uid": "MEMBER", "role": "support"}).Want(t, 201, "201")
	w.ask("TRADER", "superadmin")
	w.eyes(account.FourEyes{Actions: []string{account.ActionStaffRole}})
	w.as("superadmin").JSON(t, "POST", users+"/role", m{"uid": "MEMBER", "role": "trader"}).Want(t, 201, "201")
	w.as("superadmin").JSON(t, "POST", users+"/update", m{"uid": "MEMBER", "state": "banned"}).Want(t, 201, "201")
	w.ask("TRADER", "superadmin") // a staff role, too
	w.eyes(account.FourEyes{})
	w.as("superadmin").JSON(t, "POST", users+"/role", m{"uid": "BROKER", "role": "superadmin"}).Want(t, 201, "201")
}

// A request that could not be made is refused when it is asked for.
func TestARequestIsJudgedWhenItIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	for body, token := range map[*m]string{
		{"uid": "SUPPORT", "role": "support"}:  "admin.user.role_no_change",
		{"uid": "MEMBER", "role": "king"}:      "role.doesnt_exist",
		{"uid": "SUPERADMIN", "role": "admin"}: "admin.user.update_himself",
	} {
		w.as("superadmin").JSON(t, "POST", users+"/role", *body).WantTokens(t, 422, token)
	}
	w.as("admin").JSON(t, "POST", users+"/role", m{"uid": "MEMBER", "role": "superadmin"}).WantTokens(t, 422, "admin.user.superadmin_change")
	w.as("superadmin").Get(t, requests).Want(t, 200, "[]")
}

// Nobody confirms a change that they could not ask for: by ability, permission, rank, second factor or as the target.
func TestWhoMayConfirm(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	role := w.ask("MEMBER", "support")
	admin := w.ask("SUPPORT", "admin")
	for name, test := range map[string]struct {
		as     *resttest.Client
		path   string
		status int
		token  string
	}{
		"without the ability":                        {w.as("compliance"), role, 401, "admin.ability.not_permitted"},
		"whose permissions do not admit to the role": {w.as("admin"), role, 401, "admin.ability.not_permitted"},
		"unknown": {w.As("SECOND"), requests + "/404", 404, "record.not_found"},
	} {
		for _, verb := range []string{"/confirm", "/refuse"} {
			t.Run(name+verb, func(t *testing.T) {
				test.as.JSON(t, "POST", test.path+verb, nil).WantTokens(t, test.status, test.token)
			})
		}
	}
	w.as("superadmin").Get(t, requests+"/404").WantTokens(t, 404, "record.not_found")

	// With the permission, the rank still decides.
	drop := w.permission("admin", "ALL", "api/v2/barong/admin/users/role", "DROP")
	expect.OK(t, w.DB.DeletePermission(t.Context(), drop.ID))
	w.Refresh()
	w.as("admin").JSON(t, "POST", admin+"/confirm", nil).WantTokens(t, 422, "admin.user.insufficient_rank")
	promoted := w.ask("TRADER", "superadmin")
	w.as("admin").JSON(t, "POST", promoted+"/confirm", nil).WantTokens(t, 422, "admin.user.superadmin_change")
	w.PutUser("MEMBER", func(u *account.User) { u.Role = "admin" })
	other := w.ask("BROKER", "technical")
	w.PutUser("BROKER", func(u *account.User) { u.Role = "accountant" })
	w.as("member").JSON(t, "POST", other+"/confirm", nil).WantTokens(t, 409, "admin.request.target_changed")

	// The target is superadmin by now, and may not confirm it.
	self := w.ask("SECOND", "admin")
	w.As("SECOND").JSON(t, "POST", self+"/confirm", nil).WantTokens(t, 422, "admin.user.update_himself")
}

// The rank counts for the target, too, and the role must be there still.
func TestRankOfConfirmation(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	expect.OK(t, w.DB.DeletePermission(t.Context(), w.permission("admin", "ALL", "api/v2/barong/admin/users/role", "DROP").ID))
	w.Refresh()
	w.AddUser(account.User{UID: "ADMIN2", Email: "admin2@barong.io", Role: "admin", State: account.StateActive})
	for path, token := range map[string]string{
		w.ask("ADMIN2", "support"):    "admin.user.insufficient_rank",
		w.ask("ADMIN", "support"):     "admin.user.update_himself",
		w.ask("TRADER", "superadmin"): "admin.user.superadmin_change",
	} {
		for _, verb := range []string{"/confirm", "/refuse"} {
			w.as("admin").JSON(t, "POST", path+verb, nil).WantTokens(t, 422, token)
		}
		expect.Equal(t, w.requestAt(path).State, "open")
	}
	path := w.ask("MEMBER", "technical")
	for _, p := range w.permissions() {
		if p.Role == "technical" {
			expect.OK(t, w.DB.DeletePermission(t.Context(), p.ID))
		}
	}
	w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 422, "role.doesnt_exist")
	expect.Equal(t, w.User("MEMBER").Role, "member")
}

func TestRequestParameters(t *testing.T) {
	w := newWorld(t)
	for query, token := range map[string]string{
		"state=":          "admin.request.empty_state admin.request.invalid_state",
		"state=closed":    "admin.request.invalid_state",
		"action=":         "admin.request.empty_action admin.request.invalid_action",
		"action=role":     "admin.request.invalid_action",
		"asked_by=":       "admin.request.empty_asked_by",
		"page=0":          "non_positive_page",
		"page=x&limit=x":  "non_integer_page non_positive_page non_integer_limit invalid_limit",
		"limit=101":       "invalid_limit",
		"asked_by=%FF%FE": "invalid",
	} {
		w.as("superadmin").Get(t, requests+"?"+query).WantTokens(t, 422, strings.Fields(token)...)
	}
	w.as("superadmin").Get(t, requests+"/x").WantTokens(t, 422, "invalid")
}

// Whatever has changed since makes the request lapse.
func TestARequestLapses(t *testing.T) {
	for name, test := range map[string]struct {
		change        func(w *world)
		token, reason string
	}{
		"the role of its target": {func(w *world) {
			w.PutUser("MEMBER", func(u *account.User) { u.Role = "trader" })
		}, "admin.request.target_changed", "target"},
		"the state of its target": {func(w *world) {
			w.PutUser("MEMBER", func(u *account.User) { u.State = account.StateBanned })
		}, "admin.request.target_changed", "target"},
		"the role of the asker": {func(w *world) {
			w.PutUser("SUPERADMIN", func(u *account.User) { u.Role = "admin" })
		}, "admin.request.asker_changed", "asker"},
		"the state of the asker": {func(w *world) {
			w.PutUser("SUPERADMIN", func(u *account.User) { u.State = account.StateBanned })
		}, "admin.request.asker_changed", "asker"},
		"the permission of the asker": {func(w *world) {
			w.PutUser("SECOND", func(u *account.User) { u.Role = "admin" })
			expect.OK(w.T, w.DB.DeletePermission(w.T.Context(), w.permission("admin", "ALL", "api/v2/barong/admin/users/role", "DROP").ID))
			expect.OK(w.T, w.DB.AddPermission(w.T.Context(), &policy.Permission{Role: "superadmin", Verb: "ALL", Path: "api/v2/barong/admin/users", Action: "DROP"}))
			w.Refresh()
		}, "admin.request.asker_changed", "asker"},
		"the rules": {func(w *world) {
			w.eyes(account.FourEyes{Actions: []string{account.ActionStaffRole, account.ActionSuperadmin}})
		}, "admin.request.rules_changed", "settings"},
		"that there are rules": {func(w *world) { w.eyes(account.FourEyes{}) }, "admin.request.rules_changed", "settings"},
		"the number of the rules": {func(w *world) {
			w.eyes(account.FourEyes{Actions: []string{account.ActionStaffRole}, Principals: 7})
		}, "admin.request.rules_changed", "settings"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fourEyes(account.ActionStaffRole)
			path := w.ask("MEMBER", "support")
			test.change(w)
			before := w.User("MEMBER")
			w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, test.token)
			w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.not_open")
			expect.Equal(t, w.User("MEMBER"), before)
			var v shownRequest
			w.As("THIRD").Get(t, path).Into(t, &v)
			expect.Equal(t, []string{v.State, *v.Reason}, []string{"lapsed", test.reason})
			last := w.journal()[0]
			expect.Equal(t, []string{last.Topic, last.Action}, []string{"requests", "lapse"})
		})
	}
}

// Where staff need a second factor, the asker needs it still.
func TestAnAskerWithoutASecondFactor(t *testing.T) {
	w := newWorld(t)
	w.Admin.Require2FA = true
	w.fourEyes(account.ActionStaffRole)
	for _, uid := range []string{"SUPERADMIN", "SECOND"} {
		w.PutUser(uid, func(u *account.User) { u.OTP = true })
	}
	codes, keys := w.ask("MEMBER", "support"), w.ask("TRADER", "support")
	w.PutUser("SUPERADMIN", func(u *account.User) { u.OTP = false })
	w.As("SECOND").JSON(t, "POST", codes+"/confirm", nil).WantTokens(t, 409, "admin.request.asker_changed")
	p := factor.Passkey{UserUID: "SUPERADMIN", CredentialID: []byte{1}, PublicKey: []byte("key")}
	expect.Must(w.DB.UserHandle(t.Context(), "SUPERADMIN", []byte("handle")))(t)
	expect.OK(t, w.DB.AddPasskey(t.Context(), &p, factor.MaxPasskeys))
	expect.Equal(t, w.As("SECOND").JSON(t, "POST", keys+"/confirm", nil).Status, 200)
	expect.Equal(t, w.User("TRADER").Role, "support")
}

// A request lives for a day by the database's clock. Whichever process looks first closes it, once.
func TestALateConfirmation(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	path := w.ask("MEMBER", "support")
	expect.Equal(t, expect.Must(w.Admin.Requests.LapseOverdue(t.Context()))(t), 0)
	w.Now = w.Now.Add(24*time.Hour - time.Microsecond)
	expect.Equal(t, w.requestAt(path).State, "open")
	w.Now = w.Now.Add(time.Microsecond)
	w.lapsed(path, "time")
	w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.not_open")
	w.As("SECOND").JSON(t, "POST", path+"/refuse", nil).WantTokens(t, 409, "admin.request.not_open")
	expect.Equal(t, w.User("MEMBER").Role, "member")
	w.News()
	expect.Equal(t, expect.Must(w.Admin.Requests.LapseOverdue(t.Context()))(t), 1)
	expect.Equal(t, expect.Must(w.Admin.Requests.LapseOverdue(t.Context()))(t), 0)
	w.lapsed(path, "time")
	last := w.journal()[0]
	expect.Equal(t, []string{last.Topic, last.Action, last.ActorKind, last.TargetUID}, []string{"requests", "lapse", "operator", "MEMBER"})
	news := w.News()
	expect.Equal(t, []any{len(news), news[0].Name}, []any{1, "system.request.lapsed"})
}

// Another may refuse a request, and the asker withdraw it.
func TestRefuse(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionStaffRole)
	w.News()
	for _, uid := range []string{"SECOND", "SUPERADMIN"} {
		path := w.ask("MEMBER", "support")
		var v shownRequest
		w.As(uid).JSON(t, "POST", path+"/refuse", nil).Into(t, &v)
		expect.Equal(t, []any{v.State, *v.DecidedBy, v.Reason == nil}, []any{"refused", uid, true})
		w.As("THIRD").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.not_open")
		last := w.journal()[0]
		expect.Equal(t, []string{last.ActorUID, last.Topic, last.Action}, []string{uid, "requests", "refuse"})
		expect.Equal(t, w.News()[1].Name, "system.request.refused")
	}
	expect.Equal(t, w.User("MEMBER").Role, "member")
}

// An asker has a bounded number of open requests.
func TestTooManyRequests(t *testing.T) {
	w := newWorld(t)
	w.Account.Unlimited = true
	w.fourEyes(account.ActionStaffRole)
	first := ""
	for range account.MostRequests {
		first = w.ask("MEMBER", "support")
	}
	body := m{"uid": "MEMBER", "role": "support"}
	w.as("superadmin").JSON(t, "POST", users+"/role", body).WantTokens(t, 422, "admin.request.too_many_open")
	expect.Equal(t, w.As("SECOND").JSON(t, "POST", users+"/role", body).Status, 202)
	expect.Equal(t, w.as("superadmin").JSON(t, "POST", first+"/refuse", nil).Status, 200)
	w.ask("MEMBER", "support")
}

// Of several confirmations of a request at once, one succeeds, on each engine.
func TestConfirmationsAtOnce(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *apitest.World{"sqlite": apitest.New, "postgres": apitest.NewPostgres} {
		t.Run(name, func(t *testing.T) {
			w := &world{World: open(t)}
			w.IP, w.roles = home, w.Shipped()
			w.Account.Unlimited = true
			w.fourEyes(account.ActionStaffRole)
			for range 5 {
				w.PutUser("MEMBER", func(u *account.User) { u.Role = "member" })
				before := w.User("MEMBER")
				path := w.ask("MEMBER", "support")
				id := w.requestAt(path).ID
				errs := make([]error, 6)
				var wg sync.WaitGroup
				for i := range errs {
					uid := []string{"SECOND", "THIRD"}[i%2]
					wg.Go(func() {
						_, errs[i] = w.Admin.Requests.Confirm(context.WithoutCancel(t.Context()),
							account.Actor{UID: uid, Role: "superadmin"}, id)
					})
				}
				wg.Wait()
				made := 0
				for _, err := range errs {
					if err == nil {
						made++
					} else {
						expect.Error(t, err, account.ErrRequestClosed)
					}
				}
				after := w.User("MEMBER")
				expect.Equal(t, []any{made, after.Role, after.LockVersion}, []any{1, "support", before.LockVersion + 1})
			}
		})
	}
}

// A command that ends every session waits for a superadmin.
func TestRevokeAllWaits(t *testing.T) {
	w := newWorld(t)
	w.fourEyes(account.ActionRevokeAll)
	before := expect.Must(w.DB.Epoch(t.Context()))(t)
	revoke := func() account.Request {
		t.Helper()
		_, err := w.Admin.Accounts.RevokeAllSessions(t.Context(), account.Operator("sessions revoke"))
		asked, waits := errors.AsType[account.Asked](err)
		if !waits {
			t.Fatalf("got %v, want a request", err)
		}
		return asked.Request
	}
	path := requests + "/" + itoa(revoke().ID)
	expect.Equal(t, expect.Must(w.DB.Epoch(t.Context()))(t), before)
	w.as("admin").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 422, "admin.user.superadmin_change")
	expect.Equal(t, w.as("superadmin").JSON(t, "POST", path+"/confirm", nil).Status, 200)
	if after := expect.Must(w.DB.Epoch(t.Context()))(t); after == before {
		t.Error("no session has ended")
	}
	expect.Equal(t, w.requestAt(path).AskedBy, "sessions revoke")
}

// waitsAt sends a change of the policy that is to wait, and returns the request's path.
func (w *world) waitsAt(c *resttest.Client, method, path string, body m) string {
	w.T.Helper()
	a := c.JSON(w.T, method, path, body)
	if a.Status != 202 {
		w.T.Fatalf("%s %s: %d %s, want it to wait", method, path, a.Status, a.Body)
	}
	return a.Header.Get("Location")
}

// Changes of permissions wait that turn verdicts for more principals than the rules allow one; others are
// made at once. The previews of then and of now are shown side by side.
func TestPermissionsUnderFourEyes(t *testing.T) {
	w := newWorld(t)
	w.fourEyes()
	w.eyes(account.FourEyes{Actions: []string{account.ActionPermissions}, Principals: 1})
	permissions := base + "/permissions"
	drop := m{"role": "superadmin", "verb": "get", "path": "api/v2/peatio/vault", "action": "drop"}
	path := w.waitsAt(w.as("superadmin"), "POST", permissions, drop) // three superadmins
	one := m{"role": "trader", "verb": "get", "path": "api/v2/peatio/vault", "action": "drop"}
	w.as("superadmin").JSON(t, "POST", permissions, one).Want(t, 201, "201")

	var v struct {
		Content, Seen        map[string]any
		Preview, Preview_now *struct{ Flips []view.Flip }
	}
	w.As("SECOND").Get(t, path).Into(t, &v)
	expect.Equal(t, v.Content["operation"], any("create"))
	if v.Preview == nil || v.Preview_now == nil || len(v.Preview.Flips) == 0 || len(v.Preview_now.Flips) != len(v.Preview.Flips) {
		t.Errorf("previews %+v and %+v, want the same flips", v.Preview, v.Preview_now)
	}
	rows := len(w.permissions())
	w.as("superadmin").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 422, "admin.request.own")
	w.as("admin").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 401, "admin.ability.not_permitted")
	expect.Equal(t, w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).Status, 200)
	expect.Equal(t, len(w.permissions()), rows+1)
	w.Refresh()
	if w.Holder.Load().Permission("superadmin", "GET", "api/v2/peatio/vault").Allows {
		t.Error("the confirmed row does not count")
	}

	// The same again is taken by now; a row that has changed since is not the one that was seen.
	row := w.permission("superadmin", "GET", "api/v2/peatio/vault", "DROP")
	gone := w.waitsAt(w.as("superadmin"), "DELETE", permissions+"?id="+itoa(row.ID), nil)
	changed := w.waitsAt(w.as("superadmin"), "PUT", permissions, m{"id": row.ID, "path": "api/v2/peatio/other"})
	row.Topic = "vault"
	expect.OK(t, w.DB.PutPermission(t.Context(), &row))
	for _, path := range []string{gone, changed} {
		w.As("SECOND").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.target_changed")
		w.lapsed(path, "target")
	}
	again := w.waitsAt(w.as("superadmin"), "DELETE", permissions+"?id="+itoa(row.ID), nil)
	expect.OK(t, w.DB.DeletePermission(t.Context(), row.ID))
	var after map[string]any
	w.As("SECOND").Get(t, again).Into(t, &after)
	expect.Equal(t, []any{after["preview"] != nil, after["preview_now"]}, []any{true, nil})
	w.As("SECOND").JSON(t, "POST", again+"/confirm", nil).WantTokens(t, 409, "admin.request.target_changed")
	for _, x := range w.journal() {
		if x.Topic == "permissions" && x.Action == "delete" {
			t.Errorf("a row was deleted by %s", x.ActorUID)
		}
	}
}

// A restriction counts by its addresses, and by everybody where it names no address.
func TestRestrictionsUnderFourEyes(t *testing.T) {
	w := newWorld(t)
	w.fourEyes()
	w.eyes(account.FourEyes{Actions: []string{account.ActionRestrictions}, Principals: 4})
	restrictions := base + "/restrictions"
	block := func(scope, value string) m {
		return m{"category": "blacklist", "scope": scope, "value": value}
	}
	w.as("technical").JSON(t, "POST", restrictions, block("ip", "192.0.2.1")).Want(t, 201, "201")
	w.as("technical").JSON(t, "POST", restrictions, block("ip_subnet", "198.51.100.0/30")).Want(t, 201, "201")
	path := w.waitsAt(w.as("technical"), "POST", restrictions, block("ip_subnet", "198.51.100.0/29"))
	rows := len(w.restrictions())
	w.as("technical").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 401, "admin.ability.not_permitted")
	expect.Equal(t, w.as("admin").JSON(t, "POST", path+"/confirm", nil).Status, 200)
	expect.Equal(t, len(w.restrictions()), rows+1)

	// The asker has lost the right.
	path = w.waitsAt(w.as("technical"), "POST", restrictions, block("ip_subnet", "2001:db8::/32"))
	w.PutUser("TECHNICAL", func(u *account.User) { u.Role = "support" })
	w.as("admin").JSON(t, "POST", path+"/confirm", nil).WantTokens(t, 409, "admin.request.asker_changed")
	expect.Equal(t, len(w.restrictions()), rows+1)
}

// Each change of the policy waits, and is refused to an asker with too many open requests.
func TestEveryChangeOfThePolicyWaits(t *testing.T) {
	w := newWorld(t)
	w.Account.Unlimited = true
	w.fourEyes()
	w.eyes(account.FourEyes{Actions: []string{account.ActionPermissions, account.ActionRestrictions}})
	row := w.addRestriction(policy.Restriction{Category: policy.Blacklist, Scope: policy.ScopeIP, Value: "192.0.2.1", State: policy.Enabled})
	permission := w.permission("superadmin", "GET", "api/v2/ranger", "ACCEPT")
	changes := []struct {
		method, path string
		body         m
	}{
		{"POST", "/restrictions", m{"category": "blacklist", "scope": "ip", "value": "192.0.2.2"}},
		{"PUT", "/restrictions", m{"id": row.ID, "state": "disabled"}},
		{"DELETE", "/restrictions?id=" + itoa(row.ID), nil},
		{"POST", "/permissions", m{"role": "superadmin", "verb": "get", "path": "api/v2/ranger/x", "action": "drop"}},
		{"PUT", "/permissions", m{"id": permission.ID, "action": "drop"}},
		{"DELETE", "/permissions?id=" + itoa(w.permission("trader", "GET", "api/v2/ranger", "ACCEPT").ID), nil},
	}
	permissions, restrictions := w.permissions(), w.restrictions()
	for _, c := range changes {
		w.waitsAt(w.as("superadmin"), c.method, base+c.path, c.body)
	}
	for range account.MostRequests - len(changes) {
		w.waitsAt(w.as("superadmin"), changes[0].method, base+changes[0].path, changes[0].body)
	}
	for _, c := range changes {
		w.as("superadmin").JSON(t, c.method, base+c.path, c.body).WantTokens(t, 422, "admin.request.too_many_open")
	}
	expect.Equal(t, w.permissions(), permissions)
	expect.Equal(t, w.restrictions(), restrictions)
}
