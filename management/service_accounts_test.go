package management_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/expect"
)

const memberView = `{"email":"member@barong.io","uid":"MEMBER","role":"member","level":0,"otp":false,"state":"active","referral_uid":null,"data":null,"username":null}`

// robot is the JSON of a service account.
func robot(email, uid, level, state, user string) string {
	return `{"email":"` + email + `","uid":"` + uid + `","role":"service_account","level":` + level + `,"state":"` + state + `","user":` + user +
		`,"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`
}

func TestServiceAccounts(t *testing.T) {
	w := newWorld(t)
	w.Allow("service_account")
	create := func(pairs ...string) m {
		out := m{"service_account_role": "service_account"}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	first := create("owner_uid", "MEMBER", "service_account_uid", "SI0000000001", "service_account_email", "One@barong.io", "service_account_state", "banned")
	w.ask(t, "/service_accounts/create", first).Want(t, 201, robot("one@barong.io", "SI0000000001", "0", "active", memberView))
	orphan := create("service_account_email", "two@barong.io", "service_account_uid", "SI0000000002")
	orphan["service_account_level"] = 2
	w.ask(t, "/service_accounts/create", orphan).Want(t, 201, robot("two@barong.io", "SI0000000002", "2", "pending", "null"))
	w.ask(t, "/service_accounts/create", create("service_account_email", "three@barong.io", "service_account_uid", "SI0000000003", "service_account_state", "active")).Want(t, 201,
		robot("three@barong.io", "SI0000000003", "0", "active", "null"))
	var made struct{ UID, Email string }
	w.ask(t, "/service_accounts/create", create("owner_uid", "MEMBER")).Into(t, &made)
	if !regexp.MustCompile(`^SI[0-9A-F]{10}$`).MatchString(made.UID) || made.Email != "member+"+strings.ToLower(made.UID)+"@barong.io" {
		t.Errorf("made %+v", made)
	}
	for _, c := range []struct {
		params m
		want   string
	}{
		{m{}, `{"error":"service_account_role is missing, service_account_role is empty"}`},
		{m{"service_account_role": "service_account", "service_account_level": "x"}, `{"error":"service_account_level is invalid"}`},
		{m{"service_account_role": "service_account", "service_account_level": -1}, `{"error":"service_account_level is invalid"}`},
		{create("service_account_email", "x@"), `{"error":["Email is invalid"]}`},
		{create("service_account_email", strings.Repeat("x", 256)), `{"error":["Email is too long (maximum is 255 characters)"]}`},
		{create(), `{"error":["Email can't be blank"]}`},
		{m{"service_account_role": "invalid", "service_account_email": "x@barong.io", "service_account_state": "tired", "service_account_uid": "a b"}, `{"error":["Role doesnt_exist","State is not included in the list","Uid is invalid"]}`},
		{create("service_account_email", "x@barong.io", "service_account_uid", "MEMBER"), `{"error":["Email or uid not_uniq"]}`},
		{create("service_account_email", "member@barong.io"), `{"error":["Email or uid not_uniq"]}`},
		{first, `{"error":["Email has already been taken","Uid has already been taken"]}`},
		{create("owner_uid", "NOBODY"), `{"error":"user.doesnt_exist"}`},
	} {
		w.ask(t, "/service_accounts/create", c.params).Want(t, 422, c.want)
	}

	w.ask(t, "/service_accounts/get", m{"uid": "SI0000000001"}).Want(t, 200, robot("one@barong.io", "SI0000000001", "0", "active", memberView))
	w.ask(t, "/service_accounts/get", m{"email": "TWO@barong.io"}).Want(t, 200, robot("two@barong.io", "SI0000000002", "2", "pending", "null"))
	for _, at := range []m{{"uid": "SI404"}, {"email": "x@barong.io"}} {
		w.ask(t, "/service_accounts/get", at).Want(t, 404, `{"error":"Record is not found"}`)
	}
	w.ask(t, "/service_accounts/get", m{}).Want(t, 422, `{"error":"uid, email are missing, exactly one parameter must be provided"}`)
	w.ask(t, "/service_accounts/get", m{"uid": "a", "email": ""}).Want(t, 422, `{"error":"email is empty, uid, email are mutually exclusive"}`)

	list := func(params m) (uids []string, total string) {
		t.Helper()
		a := w.ask(t, "/service_accounts/list", params)
		var all []struct{ UID string }
		a.Into(t, &all)
		for _, one := range all {
			uids = append(uids, one.UID)
		}
		return uids, a.Header.Get("Total")
	}
	for _, c := range []struct {
		params m
		want   []string
		total  string
	}{
		{nil, []string{"SI0000000001", "SI0000000002", "SI0000000003", made.UID}, "4"},
		{m{"limit": 2}, []string{"SI0000000001", "SI0000000002"}, "4"},
		{m{"limit": 2, "page": 2}, []string{"SI0000000003", made.UID}, "4"},
		{m{"owner_uid": "MEMBER"}, []string{"SI0000000001", made.UID}, "2"},
		{m{"owner_email": "Member@barong.io"}, []string{"SI0000000001", made.UID}, "2"},
		{m{"owner_uid": "NOBODY"}, nil, "0"}, {m{"owner_email": "nobody@barong.io"}, nil, "0"},
	} {
		uids, total := list(c.params)
		expect.Equal(t, uids, c.want)
		expect.Equal(t, total, c.total)
	}
	w.ask(t, "/service_accounts/list", m{"page": 0, "limit": 1001, "owner_uid": "", "owner_email": " "}).Want(t, 422,
		`{"error":"owner_uid is empty, owner_email is empty, page non_positive_page, limit invalid_limit"}`)
}

func TestChangeServiceAccounts(t *testing.T) {
	w := newWorld(t)
	w.PutUser("TRADER", func(u *account.User) { u.Level = 3 })
	for _, a := range []account.ServiceAccount{
		{UID: "SI1", Email: "one@barong.io", Role: "service_account", State: "pending"},
		{UID: "SI2", Email: "two@barong.io", Role: "service_account", State: "pending", OwnerUID: "MEMBER"},
	} {
		expect.OK(t, w.DB.AddServiceAccount(t.Context(), &a))
	}
	trader := strings.NewReplacer("member", "trader", "MEMBER", "TRADER", `"level":0`, `"level":3`).Replace(memberView)
	change := func(params m, want string) {
		t.Helper()
		w.ask(t, "/service_accounts/update", params).Want(t, 201, want)
	}
	change(m{"uid": "SI1"}, robot("one@barong.io", "SI1", "0", "pending", "null"))
	change(m{"uid": "SI2"}, robot("two@barong.io", "SI2", "0", "active", memberView))
	change(m{"uid": "SI1", "owner_uid": "MEMBER"}, robot("one@barong.io", "SI1", "0", "active", memberView))
	change(m{"uid": "SI1", "owner_uid": "TRADER"}, robot("one@barong.io", "SI1", "3", "active", trader))
	w.ask(t, "/service_accounts/update", m{}).Want(t, 422, `{"error":"uid is missing, uid is empty"}`)
	w.ask(t, "/service_accounts/update", m{"uid": "SI404"}).Want(t, 422, `{"error":"Service account doesnt exist"}`)
	w.ask(t, "/service_accounts/update", m{"uid": "SI1", "owner_uid": "NOBODY"}).Want(t, 422, `{"error":"user.doesnt_exist"}`)

	key := apikey.Key{Kid: "aaaaaaaaaaaaaaaa", Algorithm: "HS256", State: "active", HolderUID: "SI1", Secret: "s"}
	expect.OK(t, w.DB.AddAPIKey(t.Context(), &key))
	w.ask(t, "/service_accounts/delete", m{"uid": "SI1"}).Want(t, 200, robot("one@barong.io", "SI1", "3", "disabled", trader))
	expect.Equal(t, expect.Must(w.DB.APIKey(t.Context(), "SI1", key.Kid))(t).State, "inactive")
	change(m{"uid": "SI1", "owner_uid": "MEMBER"}, robot("one@barong.io", "SI1", "0", "disabled", memberView)) // it stays so
	w.ask(t, "/service_accounts/delete", m{}).Want(t, 422, `{"error":"uid is missing, uid is empty"}`)
	w.ask(t, "/service_accounts/delete", m{"uid": "SI404"}).Want(t, 404, `{"error":"Record is not found"}`)
}

// The members come in the order of the published entity.
func TestMembersOfServiceAccounts(t *testing.T) {
	w := newWorld(t)
	expect.OK(t, w.DB.AddServiceAccount(t.Context(), &account.ServiceAccount{UID: "SI1", Email: "one@barong.io", Role: "service_account", State: "pending"}))
	d := json.NewDecoder(strings.NewReader(w.ask(t, "/service_accounts/get", m{"uid": "SI1"}).Body))
	var names []string
	for d.More() {
		token, err := d.Token()
		expect.OK(t, err)
		if name, ok := token.(string); ok && len(names) < 8 {
			names = append(names, name)
			_, err = d.Token()
			expect.OK(t, err)
		}
	}
	expect.Equal(t, names, []string{"email", "uid", "role", "level", "state", "user", "created_at", "updated_at"})
}
