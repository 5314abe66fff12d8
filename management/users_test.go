package management_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/rest/resttest"
	"barong/policy/ability"
)

const bcrypted = "$2a$04$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"

// found is the user of an address.
func (w world) found(email string) account.User {
	w.T.Helper()
	return expect.Must(w.DB.UserByEmail(w.T.Context(), email))(w.T)
}

func TestCreateUser(t *testing.T) {
	w := newWorld(t)
	w.News()
	w.Secret("Tecohvi0x")
	var made struct{ UID, Email, State, Role string }
	a := w.ask(t, "/users", m{"email": " New@Barong.io", "password": "Tecohvi0x", "referral_uid": "TRADER"})
	a.Into(t, &made)
	u := w.found("new@barong.io")
	if a.Status != 201 || made.UID != u.UID || made.Email != "new@barong.io" || made.State != "pending" || made.Role != "member" ||
		*u.ReferralUID != "TRADER" || u.Unproved || !strings.Contains(a.Body, `"profiles":[]`) {
		t.Errorf("got %d %s, row %+v", a.Status, a.Body, u)
	}
	if news := w.News(); len(news) != 1 || news[0].Name != "model.user.created" {
		t.Errorf("events %v, want that of the user", news)
	}
	deeds := w.Activities(audit.Query{TargetUID: u.UID})
	if len(deeds) != 1 || deeds[0].Action != "user create" || deeds[0].ActorRef != "alex,jeff" {
		t.Errorf("activities %+v", deeds)
	}
	for _, c := range []struct {
		params m
		want   string
	}{
		{m{}, `{"error":"email is missing, email is empty, password is missing, password is empty"}`},
		{m{"email": "new@barong.io", "password": apitest.Password, "referral_uid": " "}, `{"error":"referral_uid is empty"}`},
		{m{"email": "new@barong.io", "password": apitest.Password}, `{"error":["Email has already been taken"]}`},
		{m{"email": "new@", "password": "password"}, `{"error":["Email is invalid","Password requirements"]}`},
		{m{"email": "new@", "password": "Password1"}, `{"error":["Email is invalid","Password weak"]}`},
		{m{"email": "other@barong.io", "password": apitest.Password, "referral_uid": "ID404"}, `{"error":["Referral doesnt_exist"]}`},
		{m{"email": strings.Repeat("a", 260), "password": strings.Repeat("Aa1", 25)}, `{"error":["Password is too long (maximum is 72 characters)","Email is too long (maximum is 255 characters)"]}`},
	} {
		w.ask(t, "/users", c.params).Want(t, 422, c.want)
	}
}

func TestPatchUser(t *testing.T) {
	w := newWorld(t)
	patch := func(params m) (status int, body string) {
		t.Helper()
		a := w.ask(t, "/users/update", params)
		return a.Status, a.Body
	}
	w.ask(t, "/users/update", m{}).Want(t, 422, `{"error":"uid is missing, uid is empty, role, data are missing, at least one parameter must be provided"}`)
	w.ask(t, "/users/update", m{"uid": "MEMBER"}).Want(t, 422, `{"error":"role, data are missing, at least one parameter must be provided"}`)
	w.ask(t, "/users/update", m{"uid": "MEMBER", "role": " ", "data": ""}).Want(t, 422, `{"error":"role is empty, data is empty"}`)
	w.ask(t, "/users/update", m{"uid": "NOBODY", "role": "trader"}).Want(t, 422, `{"error":"user.doesnt_exist"}`)
	w.ask(t, "/users/update", m{"uid": "MEMBER", "role": "emperor", "data": "x"}).Want(t, 422, `{"error":["Role doesnt_exist","Data data is not json compatible string"]}`)
	w.ask(t, "/users/update", m{"uid": "MEMBER", "data": `{"a":"` + strings.Repeat("b", 1024) + `"}`}).Want(t, 422, `{"error":["Data is too long (maximum is 1024 characters)"]}`)

	generation := w.User("MEMBER").SessionGeneration
	if status, body := patch(m{"uid": "MEMBER", "role": "trader", "data": `{"language":"EN"}`}); status != 201 || !strings.Contains(body, `"role":"trader"`) || !strings.Contains(body, `"profiles":[]`) {
		t.Errorf("got %d %s", status, body)
	}
	if u := w.User("MEMBER"); u.Role != "trader" || *u.Data != `{"language":"EN"}` || u.SessionGeneration == generation {
		t.Errorf("got %+v, want another role and no session", u)
	}
	if deeds := w.Activities(audit.Query{TargetUID: "MEMBER"}); len(deeds) != 1 || deeds[0].Data != `{"former_role":"member","role":"trader"}` {
		t.Errorf("activities %+v", deeds)
	}
	if status, _ := patch(m{"uid": "MEMBER", "role": "superadmin"}); status != 201 || w.User("MEMBER").Role != "superadmin" {
		t.Errorf("with write_roles: %d, want a superadmin", status)
	}
}

// A role above member is given and taken with the scope write_roles alone, which one may also lack
// signatures for.
func TestRolesNeedTheirScope(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		peers apitest.Peers
		want  string
	}{
		"not configured":         {apitest.Peers{Missing: []string{"write_roles"}}, `{"error":"Failed to verify JWT."}`},
		"too few of its signers": {apitest.Peers{Both: []string{"write_roles"}}, `{"error":"Not enough signatures for the action."}`},
	} {
		t.Run(name, func(t *testing.T) {
			w.Peers = c.peers
			w.Mount()
			one := w.Peer("alex")
			robot := account.ServiceAccount{UID: "SIHELP", Email: "help@barong.io", Role: "support", State: "active"}
			if err := w.DB.AddServiceAccount(t.Context(), &robot); err != nil && !errors.Is(err, account.ErrTaken) {
				t.Fatal(err)
			}
			one.JSON(t, "POST", base+"/service_accounts/update", m{"uid": "SIHELP", "owner_uid": "MEMBER"}).Want(t, 401, c.want)
			if a, err := w.DB.ServiceAccount(t.Context(), "SIHELP"); err != nil || a.OwnerUID != "" {
				t.Errorf("owner %q, %v: a member got keys of the role support", a.OwnerUID, err)
			}
			for _, params := range []m{
				{"uid": "MEMBER", "role": "superadmin"}, {"uid": "MEMBER", "role": "support"}, {"uid": "ADMIN", "role": "member"},
			} {
				one.JSON(t, "POST", base+"/users/update", params).Want(t, 401, c.want)
			}
			for _, params := range []m{{"uid": "MEMBER", "role": "trader"}, {"uid": "ADMIN", "data": "{}"}, {"uid": "ADMIN", "role": "admin"}} {
				if a := one.JSON(t, "POST", base+"/users/update", params); a.Status != 201 {
					t.Errorf("%v: %d %s, want it done", params, a.Status, a.Body)
				}
			}
			one.JSON(t, "POST", base+"/service_accounts/create", m{"service_account_role": "admin", "owner_uid": "MEMBER"}).Want(t, 401, c.want)
			one.JSON(t, "POST", base+"/api_keys", m{"uid": "ADMIN", "algorithm": "HS256", "scopes": "trade"}).Want(t, 401, c.want)
			if w.User("ADMIN").Role != "admin" {
				t.Error("the role was taken")
			}
			w.PutUser("MEMBER", func(u *account.User) { u.Role = "member" })
		})
	}
}

// A role that needs a second member of the staff waits for one, however many services have signed; a service
// account of such a role is refused.
func TestRolesUnderFourEyes(t *testing.T) {
	w := newWorld(t)
	w.Account.FourEyes = account.FourEyes{Actions: []string{account.ActionStaffRole}}
	w.Restart()
	w.Mount()
	both := w.Peer("alex", "jeff")
	support := m{"uid": "MEMBER", "role": "support"}
	a := both.JSON(t, "POST", base+"/users/update", support)
	idOf := func(a resttest.Answer) (id int64) {
		var v struct {
			ID int64 `json:"request_id"`
		}
		a.Into(t, &v)
		return v.ID
	}
	first := idOf(a)
	a.Want(t, 202, `{"request_id":`+strconv.FormatInt(first, 10)+`,"action":"staff_role","expires_at":"`+w.Now.Add(24*time.Hour).UTC().Format(time.RFC3339)+`"}`)
	a = both.JSON(t, "POST", base+"/users/update", support)
	second := idOf(a)
	if a.Status != 202 || w.User("MEMBER").Role != "member" {
		t.Errorf("got %d and a %s", a.Status, w.User("MEMBER").Role)
	}
	both.JSON(t, "POST", base+"/users/update", m{"uid": "MEMBER", "role": "support", "data": "{}"}).Want(t, 422, `{"error":"role.four_eyes"}`)
	both.JSON(t, "POST", base+"/service_accounts/create", m{"service_account_role": "admin", "owner_uid": "MEMBER"}).
		Want(t, 422, `{"error":"role.four_eyes"}`)
	expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{UID: "SIHELP", Email: "help@barong.io", Role: "support", State: "active"}))
	both.JSON(t, "POST", base+"/service_accounts/update", m{"uid": "SIHELP", "owner_uid": "MEMBER"}).Want(t, 422, `{"error":"role.four_eyes"}`)

	// Staff confirm the first; before the second, one of the signers loses the right.
	confirm := func(id int64) error {
		_, err := w.Admin.Requests.Confirm(t.Context(), account.Actor{UID: "SUPERADMIN", Role: "superadmin"}, id)
		return err
	}
	w.Admin.Abilities = expect.Must(ability.Parse(w.Builtin("abilities")))(t)
	w.Refresh()
	expect.OK(t, confirm(first))
	expect.Equal(t, w.User("MEMBER").Role, "support")
	w.PutUser("MEMBER", func(u *account.User) { u.Role = "member" })
	w.Peers = apitest.Peers{Missing: []string{"write_roles"}}
	w.Mount()
	expect.Error(t, confirm(second), account.ErrAskerLost)
	expect.Equal(t, w.User("MEMBER").Role, "member")

	w.Peers = apitest.Peers{}
	w.Mount()
	for range account.MostRequests {
		expect.Equal(t, both.JSON(t, "POST", base+"/users/update", support).Status, 202)
	}
	both.JSON(t, "POST", base+"/users/update", support).Want(t, 422, `{"error":"request.too_many_open"}`)
}

func TestLastSuperadminStays(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "/users/update", m{"uid": "SUPERADMIN", "role": "member"}).WantTokens(t, 422, "management.user.last_superadmin")
	w.addLabel("SUPERADMIN", "email", "verified", account.ScopePrivate)
	of := func(key, value string) m { return m{"user_uid": "SUPERADMIN", "key": key, "value": value} }
	w.ask(t, "/labels", of("ban", "fraud")).WantTokens(t, 422, "management.user.last_superadmin")
	w.peers().JSON(t, "PUT", base+"/labels", of("email", "rejected")).WantTokens(t, 422, "management.user.last_superadmin")
	w.ask(t, "/labels/delete", of("email", "")).WantTokens(t, 422, "management.user.last_superadmin")
	u := w.User("SUPERADMIN")
	expect.Equal(t, []string{u.Role, u.State}, []string{"superadmin", "active"})
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	all := m{
		"email": "in@barong.io", "password_digest": bcrypted, "referral_uid": "TRADER", "phone": "+44 7418 084106", "first_name": "Ada", "last_name": "Lovelace",
		"dob": "1990-12-10", "address": "1 Street", "postcode": "MT-1", "city": "Valletta", "country": "MLT", "state": "verified",
	}
	with := func(name string, v any) m {
		out := m{}
		for k, v := range all {
			out[k] = v
		}
		out[name] = v
		return out
	}
	count := func() int { return expect.Must(w.DB.CountUsers(t.Context(), "", ""))(t) }
	before := count()
	for _, c := range []struct {
		params m
		want   string
	}{
		{m{}, `{"error":"email is missing, email is empty, password_digest is missing, password_digest is empty"}`},
		{with("dob", "soon"), `{"error":"dob is invalid"}`},
		{with("first_name", ""), `{"error":"first_name is empty"}`},
		{with("email", "member@barong.io"), `{"error":"User already exists by this email"}`},
		{with("email", "in@"), `{"error":["Email is invalid"]}`},
		{with("password_digest", "hunter2"), `{"error":["Password digest is invalid"]}`},
		{with("password_digest", bcrypted[:59]+"!"), `{"error":["Password digest is invalid"]}`},
		{with("password_digest", "$2a$31$"+bcrypted[7:]), `{"error":["Password digest is invalid"]}`},
		{with("referral_uid", "ID404"), `{"error":["Referral doesnt_exist"]}`},
		{with("phone", "12"), `{"error":["Number is invalid"]}`},
		{with("country", "a"), `{"error":["Country must have alpha2 or alpha3 format"]}`},
		{with("state", "famous"), `{"error":["State is not included in the list"]}`},
		{with("postcode", "!"), `{"error":["Postcode only allows letters, digits \"-\" and space"]}`},
		{with("dob", "2999-01-01"), `{"error":["Dob cant be in future"]}`},
	} {
		w.ask(t, "/users/import", c.params).Want(t, 422, c.want)
	}
	expect.Equal(t, count(), before) // nothing of any of them is left

	a := w.ask(t, "/users/import", all)
	u := w.found("in@barong.io")
	phones := expect.Must(w.DB.Phones(t.Context(), u.UID))(t)
	if a.Status != 201 || u.PasswordDigest != bcrypted || u.State != "pending" || *u.ReferralUID != "TRADER" || len(phones) != 1 || phones[0].Number != "447418084106" || phones[0].ProvedAt.IsZero() {
		t.Errorf("got %d %s, %+v, phones %v", a.Status, a.Body, u, phones)
	}
	for _, want := range []string{`"last_name":"Lovelace"`, `"dob":"1990-12-10"`, `"state":"verified"`} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the answer lacks %s: %s", want, a.Body)
		}
	}
	expect.Equal(t, w.labels(u.UID), []string{"profile:verified private"})
	w.ask(t, "/users/import", with("email", "two@barong.io")).Want(t, 422, `{"error":["Number has already been taken"]}`)
	// Without a statement there is a draft all the same.
	a = w.ask(t, "/users/import", m{"email": "two@barong.io", "password_digest": bcrypted})
	if a.Status != 201 || !strings.Contains(a.Body, `"state":"drafted"`) {
		t.Errorf("got %d %s, want a draft", a.Status, a.Body)
	}
}

func TestReadUser(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "/phones", m{"uid": "MEMBER", "number": "447418084106"})
	expect.OK(t, w.DB.AddPhone(t.Context(), &person.Phone{UserUID: "BROKER", Country: "GB", Number: "447418084107"}))
	w.ask(t, "/profiles", m{"uid": "MEMBER", "last_name": "Lovelace", "dob": "1990-12-10"})
	for _, by := range []m{{"uid": "MEMBER"}, {"email": "Member@barong.io"}, {"phone_num": "447418084106"}} {
		a := w.ask(t, "/users/get", by)
		for _, want := range []string{`"uid":"MEMBER"`, `"last_name":"Lovelace"`, `"dob":"1990-12-10"`, `"number":"447418084106"`, `"labels":[`, `"documents":[]`, `"comments":[]`, `"data_storages":[]`} {
			if a.Status != 201 || !strings.Contains(a.Body, want) {
				t.Errorf("%v: got %d %s, want %s", by, a.Status, a.Body, want)
			}
		}
	}
	if a := w.ask(t, "/users/get", m{"phone_num": "447418084107"}); a.Status != 201 || !strings.Contains(a.Body, `"uid":"BROKER"`) {
		t.Errorf("a phone that awaits its proof: %d %s", a.Status, a.Body)
	}
	w.ask(t, "/phones", m{"uid": "TRADER", "number": "447418084107"})
	if a := w.ask(t, "/users/get", m{"phone_num": "447418084107"}); !strings.Contains(a.Body, `"uid":"TRADER"`) {
		t.Errorf("got %s, want the one that has proved it", a.Body)
	}
	for _, by := range []m{{"uid": "NOBODY"}, {"email": "nobody@barong.io"}, {"phone_num": "447418084108"}, {"phone_num": "x"}} {
		w.ask(t, "/users/get", by).Want(t, 404, `{"error":"Record is not found"}`)
	}
	w.ask(t, "/users/get", m{}).Want(t, 422, `{"error":"uid, email, phone_num are missing, exactly one parameter must be provided"}`)
	w.ask(t, "/users/get", m{"uid": "a", "email": "b", "phone_num": "1"}).Want(t, 422, `{"error":"uid, email, phone_num are mutually exclusive"}`)
}

func TestListUsers(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "/profiles", m{"uid": "TRADER", "last_name": "Hopper", "country": "MT", "state": "verified"})
	find := func(params m) (n int, body string) {
		t.Helper()
		a := w.ask(t, "/users/list", params)
		var all []m
		a.Into(t, &all)
		return len(all), a.Body
	}
	all, _ := find(nil)
	now := apitest.Start.Unix()
	for _, c := range []struct {
		params m
		want   int
	}{
		{m{"limit": 2}, 2}, {m{"limit": 2, "page": 2}, 2}, {m{"uid": "MEMBER"}, 1}, {m{"email": "member@barong.io"}, 1}, {m{"role": "admin"}, 1},
		{m{"country": "MT"}, 1}, {m{"level": 7}, 0}, {m{"state": "banned"}, 0}, {m{"from": now, "to": now + 1}, all}, {m{"to": now}, 0},
		{m{"range": "updated", "from": now + 1}, 0}, {m{"uid": ""}, 0},
	} {
		if n, body := find(c.params); n != c.want {
			t.Errorf("%v: %d users, want %d: %s", c.params, n, c.want, body)
		}
	}
	w.ask(t, "/users/list", m{"uid": "MEMBER"}).Want(t, 201, `[`+memberView+`]`)
	if _, body := find(m{"uid": "TRADER", "extended": true}); !strings.Contains(body, `"last_name":"Hopper"`) {
		t.Errorf("got %s, want clear profiles", body)
	}
	w.ask(t, "/users/list", m{"extended": "x", "range": "never", "from": "x", "to": "y", "page": 0, "limit": 0, "level": "z"}).Want(t, 422,
		`{"error":"extended is invalid, range Non positive page, from is invalid, to is invalid, page non_positive_page, limit invalid_limit, level is invalid"}`)
}
