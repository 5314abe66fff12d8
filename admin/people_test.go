package admin_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/session"
	"barong/policy/ability"
)

// uids lists whom a page shows.
func (w *world) uids(as, target string) (all []string) {
	w.T.Helper()
	var page []struct{ UID string }
	a := w.as(as).Get(w.T, target)
	if a.Status != 200 {
		w.T.Fatalf("%s: got %d %s", target, a.Status, a.Body)
	}
	a.Into(w.T, &page)
	all = []string{}
	for _, u := range page {
		all = append(all, u.UID)
	}
	return all
}

// crowd is a world with a few users more, made a minute after all others.
func crowd(t *testing.T) (w *world, start int64) {
	w = newWorld(t)
	start = w.Now.Unix()
	w.Now = w.Now.Add(time.Minute)
	for _, u := range []account.User{
		{UID: "ANN", Email: "ann@barong.io", Role: "vip", State: "pending", Level: 2, Username: new("zoe"), OTP: true},
		{UID: "BEN", Email: "ben@barong.io", Role: "vip", State: "active", Level: 3, Username: new("abe")},
		{UID: "CAT", Email: "a.cat@barong.io", Role: "otc", State: "active", Level: 3},
	} {
		w.AddUser(u)
	}
	for _, p := range []person.Profile{
		{UserUID: "ANN", State: person.ProfileRejected, Country: new("MLT"), FirstName: new("Old")},
		{UserUID: "ANN", State: person.ProfileSubmitted, Country: new("MLT"), FirstName: new("Ann"), LastName: new("Berezniy"), DOB: new("2007-05-12")},
		{UserUID: "BEN", State: person.ProfileDrafted, Country: new("gb")},
	} {
		expect.OK(t, w.DB.AddProfile(t.Context(), &p))
	}
	return w, start
}

// Every filter alone and several at once, and every order; from is included, to is not.
func TestUsersAreFilteredAndOrdered(t *testing.T) {
	w, start := crowd(t)
	minute := itoa(start + 60)
	for query, want := range map[string]string{
		"uid=BEN": "BEN", "uid=": "", "uid=nobody": "", "email=Ann@Barong.io": "ANN", "email=": "",
		"role=vip": "ANN BEN", "role=": "", "state=pending": "ANN", "level=3": "BEN CAT", "level=99999999999": "",
		"role=vip&level=3": "BEN", "role=vip&state=active&level=3": "BEN", "country=MLT": "ANN", "country=mlt": "ANN", "country=GB": "BEN",
		"country=": "", "country=MLT&role=otc": "", "from=" + minute: "ANN BEN CAT", "from=" + itoa(start+61): "",
		"from=" + minute + "&to=" + minute: "", "role=otc&to=" + minute: "", "role=otc&to=" + itoa(start+61): "CAT",
		"range=updated&from=" + minute: "ANN BEN CAT", "range=created&role=otc&from=" + minute: "CAT",
		"role=vip&first_name=x&last_name=y": "ANN BEN", "role=vip&whatever=x": "ANN BEN",
		"from=" + minute + "&ordering=desc":                           "CAT BEN ANN",
		"from=" + minute + "&order_by=email":                          "CAT ANN BEN",
		"from=" + minute + "&order_by=username":                       "CAT BEN ANN",
		"from=" + minute + "&order_by=username&ordering=desc":         "ANN BEN CAT",
		"from=" + minute + "&order_by=uid&ordering=desc":              "CAT BEN ANN",
		"from=" + minute + "&order_by=role":                           "CAT ANN BEN",
		"from=" + minute + "&order_by=level&ordering=desc":            "CAT BEN ANN",
		"from=" + minute + "&order_by=otp":                            "BEN CAT ANN",
		"from=" + minute + "&order_by=state":                          "BEN CAT ANN",
		"from=" + minute + "&order_by=referral_id":                    "ANN BEN CAT",
		"from=" + minute + "&order_by=created_at":                     "ANN BEN CAT",
		"from=" + minute + "&order_by=updated_at&ordering=desc":       "CAT BEN ANN",
		"from=" + minute + "&limit=2":                                 "ANN BEN",
		"from=" + minute + "&limit=2&page=2":                          "CAT",
		"from=" + minute + "&limit=2&page=3":                          "",
		"from=" + minute + "&limit=1&page=2&order_by=id&ordering=asc": "BEN",
	} {
		if got := strings.Join(w.uids("admin", users+"?"+query), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for query, tokens := range map[string][]string{
		"order_by=password_digest": {"user.ordering.invalid_attribute"}, "order_by=data": {"user.ordering.invalid_attribute"},
		"ordering=up": {"user.ordering.invalid_ordering"}, "range=born": {"admin.user.invalid_range"},
		"extended=perhaps": {"admin.user.non_boolean_extended"}, "level=x": {"invalid"}, "from=x&to=y": {"invalid"},
		"uid[]=a&email[]=b&role[]=c&state[]=d&country[]=e": {"invalid"}, "first_name[]=a&last_name[]=b": {"invalid"},
		"page=x&limit=x": {"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"}, "limit=101": {"invalid_limit"},
	} {
		w.as("admin").Get(t, users+"?"+query).WantTokens(t, 422, tokens...)
	}
}

// The numbers of the headers are those of all pages, whatever is filtered and however users change.
func TestUserTotals(t *testing.T) {
	w, start := crowd(t)
	total := func(query string) string { return w.as("admin").Get(t, users+"?limit=2&"+query).Header.Get("Total") }
	all := len(w.roles) + 3
	expect.Equal(t, []string{total(""), total("role=vip"), total("role=vip&level=3"), total("from=" + itoa(start+60)), total("country=MLT")},
		[]string{fmt.Sprint(all), "2", "1", "3", "1"})
	a := w.as("admin").Get(t, users+"?limit=2&page=2&role=vip")
	expect.Equal(t, []string{a.Header.Get("Page"), a.Header.Get("Per-Page"), a.Header.Get("Total"), a.Body}, []string{"2", "2", "2", "[]"})
	w.PutUser("ANN", func(u *account.User) { u.Role, u.State, u.Level = "otc", "banned", 0 })
	_, err := w.DB.Sweep(t.Context()) // sums up
	expect.OK(t, err)
	w.PutUser("BEN", func(u *account.User) { u.Level = 1 })
	expect.Equal(t, []string{total(""), total("role=vip"), total("role=vip&level=1"), total("role=vip&level=3"), total("role=otc"), total("state=banned")},
		[]string{fmt.Sprint(all), "1", "1", "0", "2", "1"})
}

// An extended list has the profiles, clear, and leaves an activity; without the ability to read
// profiles it has none.
func TestExtendedUsers(t *testing.T) {
	w, _ := crowd(t)
	newest := `{"first_name":"Ann","last_name":"Berezniy","dob":"2007-05-12","address":null,"postcode":null,"city":null,"country":"MLT",
		"state":"submitted","metadata":null,"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}`
	older := `{"first_name":"Old","last_name":null,"dob":null,"address":null,"postcode":null,"city":null,"country":"MLT",
		"state":"rejected","metadata":null,"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}`
	const ann = `"email":"ann@barong.io","uid":"ANN","role":"vip","level":2,"otp":true,"state":"pending","referral_uid":null,"data":null,"username":"zoe"`
	w.as("admin").Get(t, users+"?uid=ANN").Want(t, 200, `[{`+ann+`}]`)
	expect.Equal(t, len(w.Refused.Take()), 0)
	w.as("admin").Get(t, users+"?uid=ANN&extended=true").Want(t, 200, `[{`+ann+`,"profile":`+newest+`,"profiles":[`+older+`,`+newest+`],
		"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}]`)
	w.as("admin").Get(t, users+"?uid=CAT&extended=true").Want(t, 200, `[{"email":"a.cat@barong.io","uid":"CAT","role":"otc","level":3,
		"otp":false,"state":"active","referral_uid":null,"data":null,"username":null,"profiles":[],
		"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}]`)
	read := w.Refused.Take()
	if len(read) != 2 || read[0].TargetUID != "ANN" || read[0].Action != "read" || read[0].Topic != "users" || read[0].Result != "succeed" {
		t.Errorf("activities: %+v, want a read of ANN and one of CAT", read)
	}
	w.Admin.Abilities = w.without(ability.SubjectProfile)
	w.as("admin").Get(t, users+"?uid=ANN&extended=true").Want(t, 200, `[{`+ann+`,"profiles":[],
		"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}]`)
}

// without are abilities by which an admin reads users and does nothing with a subject.
func (w *world) without(subject string) ability.Set {
	w.T.Helper()
	var can []string
	for _, s := range ability.Subjects() {
		if s != subject {
			can = append(can, s)
		}
	}
	text := "roles: [superadmin, admin]\nadmin_permissions:\n  superadmin:\n    manage: [all]\n  admin:\n    manage: [" + strings.Join(can, ", ") + "]\n"
	return expect.Must(ability.Parse([]byte(text)))(w.T)
}

// The search of v2.0.51: by one field, in the order of addresses, up to 1000 at once.
func TestSearchUsers(t *testing.T) {
	w, _ := crowd(t)
	search := users + "/search"
	for query, want := range map[string]string{
		"field=role&value=vip": "ANN BEN", "field=level&value=3": "CAT BEN", "field=level&value=x": "", "field=uid&value=ANN": "ANN",
		"field=email&value=ANN@barong.io": "ANN", "field=email&value=ann": "", "field=state&value=pending": "ANN", "field=otp&value=true": "ANN",
		"field=otp&value=maybe": "", "field=id&value=" + itoa(w.User("CAT").ID): "CAT", "field=id&value=99999999999999999999": "",
		"field=role&value=": "", "field=level&value=3&limit=1&page=2": "BEN", "field=level&value=3&limit=1000": "CAT BEN",
		"field=level&value=4294967299": "",
	} {
		if got := strings.Join(w.uids("support", search+"?"+query), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	if got := w.uids("support", search+"?field=otp&value=false"); len(got) != len(w.roles)+2 {
		t.Errorf("without a second factor: %v", got)
	}
	w.as("support").Get(t, search+"?field=uid&value=BEN").Want(t, 200, `[{"email":"ben@barong.io","uid":"BEN","role":"vip","level":3,
		"otp":false,"state":"active","referral_uid":null,"data":null,"username":"abe"}]`)
	for _, field := range []string{"password_digest", "data", "created_at", "1=1"} {
		w.as("support").Get(t, search+"?value=x&field="+field).WantTokens(t, 422, "admin.user.non_user_field")
	}
	w.as("support").Get(t, search).WantTokens(t, 400, "admin.user.missing_field", "admin.user.empty_field", "admin.user.missing_value")
	w.as("support").Get(t, search+"?field=&value=").WantTokens(t, 400, "admin.user.empty_field")
	w.as("support").Get(t, search+"?field[]=a&value=b").WantTokens(t, 422, "invalid")
	w.as("support").Get(t, search+"?field=uid&value=x&limit=1001").WantTokens(t, 422, "invalid_limit")
	w.as("support").Get(t, search+"?field=uid&value=x&limit=x&page=0").WantTokens(t, 422, "non_positive_page", "non_integer_limit", "invalid_limit")
	w.as("support").Get(t, search+"?field=uid&value=x&page=x").WantTokens(t, 422, "non_integer_page", "non_positive_page")
}

// All that there is about a user, by the abilities of its reader.
func TestReadUser(t *testing.T) {
	w, _ := crowd(t)
	expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: "ANN", Key: "email", Value: "verified", Scope: "private", Description: new("why")}))
	expect.OK(t, w.DB.AddPhone(t.Context(), &person.Phone{UserUID: "ANN", Country: "GB", Number: "447418084106"}))
	expect.OK(t, w.DB.AddDataStorage(t.Context(), &person.DataStorage{UserUID: "ANN", Title: "personal", Data: "{}"}))
	expect.OK(t, w.DB.AddDocument(t.Context(), &person.Document{
		ID: "4a6ff6a5-2f0d-4a0b-9a53-9f7d1f1c0001", UserUID: "ANN", Type: "Passport", Number: new("M0993353"), Identificator: "one",
		File: "ANN/1/a", FileName: "a.png", Media: "image/png", Size: 1,
	}))
	w.as("superadmin").JSON(t, "POST", users+"/comments", m{"uid": "ANN", "title": "called", "data": "twice"})

	var got map[string]json.RawMessage
	read := func(as string) {
		got = nil
		w.as(as).Get(t, users+"/ANN").Into(t, &got)
	}
	const times = `"created_at":"2026-11-21T08:01:00Z","updated_at":"2026-11-21T08:01:00Z"}`
	read("admin")
	expect.Equal(t, len(got), 18)
	for member, want := range map[string]string{
		"labels":        `[{"key":"email","value":"verified","scope":"private","description":"why",` + times + `]`,
		"phones":        `[{"country":"GB","number":"447418084106","validated_at":null}]`,
		"data_storages": `[{"title":"personal","data":"{}",` + times + `]`,
		"comments":      `[{"id":1,"author_uid":"SUPERADMIN","title":"called","data":"twice",` + times + `]`,
		"uid":           `"ANN"`, "email": `"ann@barong.io"`, "created_at": `"2026-11-21T08:01:00Z"`,
	} {
		expect.Equal(t, string(got[member]), want)
	}
	for _, clear := range []string{`"last_name":"Berezniy"`, `"dob":"2007-05-12"`} {
		if !strings.Contains(string(got["profile"]), clear) || !strings.Contains(string(got["profiles"]), clear) {
			t.Errorf("profiles %s, want %s", got["profiles"], clear)
		}
	}
	if text := string(got["documents"]); !strings.Contains(text, `"doc_number":"M0993353"`) || !strings.Contains(text, `/api/v2/barong/public/documents/`) {
		t.Errorf("documents %s, want a clear number and a link", text)
	}
	read("support") // reads profiles, not documents
	if text := string(got["documents"]); !strings.Contains(text, `"doc_number":"M0****53"`) || !strings.Contains(text, `"upload":{"url":""}`) {
		t.Errorf("documents %s, want neither number nor link", text)
	}
	if !strings.Contains(string(got["profiles"]), "Berezniy") {
		t.Errorf("profiles %s, want them clear", got["profiles"])
	}
	reads := 0
	for _, row := range w.Refused.Take() {
		if row.Action == "read" && row.TargetUID == "ANN" && row.Topic == "users" && row.Category == "admin" {
			reads++
		}
	}
	expect.Equal(t, reads, 2)
	w.Admin.Abilities = w.without(ability.SubjectProfile)
	read("admin")
	expect.Equal(t, []string{string(got["profile"]), string(got["profiles"]), string(got["phones"])},
		[]string{"null", "[]", `[{"country":"GB","number":"44******4106","validated_at":null}]`})
	w.as("admin").Get(t, users+"/NOBODY").WantTokens(t, 404, "admin.user.doesnt_exist")
	w.as("admin").Get(t, users+"/%FF").WantTokens(t, 422, "invalid")
}

// Comments are made, changed and deleted by staff of a higher rank than their user (D24).
func TestComments(t *testing.T) {
	w := newWorld(t)
	w.addUser("other")
	w.PutUser("OTHER", func(u *account.User) { u.Role = "support" })
	c := users + "/comments"
	comments := func(uid string) (all []string) {
		for _, x := range expect.Must(w.DB.Comments(t.Context(), uid))(t) {
			all = append(all, fmt.Sprintf("%d %s: %s, %s", x.ID, x.AuthorUID, x.Title, x.Data))
		}
		return all
	}
	var shown struct {
		UID      string
		Comments []struct{ Title string }
	}
	a := w.as("compliance").JSON(t, "POST", c, m{"uid": "MEMBER", "title": strings.Repeat("ё", 64), "data": strings.Repeat("ё", 65535)})
	a.Into(t, &shown)
	if a.Status != 201 || shown.UID != "MEMBER" || len(shown.Comments) != 1 {
		t.Fatalf("got %d %.200s, want the user with the comment", a.Status, a.Body)
	}
	a = w.as("compliance").JSON(t, "PUT", c, m{"id": 1, "data": "short", "uid": "TRADER"})
	expect.Equal(t, a.Status, 200)
	a = w.as("admin").JSON(t, "PUT", c, m{"id": "1", "title": "by my boss"})
	expect.Equal(t, a.Status, 200)
	expect.Equal(t, comments("MEMBER"), []string{"1 COMPLIANCE: by my boss, short"})

	long := strings.Repeat("x", 65536)
	for name, test := range map[string]struct {
		as, method string
		body       m
		status     int
		tokens     []string
	}{
		"nothing": {"admin", "POST", m{}, 400, []string{"admin.user.missing_uid", "admin.user.empty_uid",
			"admin.user.missing_title", "admin.user.empty_title", "admin.user.missing_data", "admin.user.empty_data"}},
		"blanks":                   {"admin", "POST", m{"uid": "", "title": " ", "data": ""}, 400, []string{"admin.user.empty_uid", "admin.user.empty_title", "admin.user.empty_data"}},
		"lists":                    {"admin", "POST", m{"uid": "MEMBER", "title": []string{"a"}, "data": []string{"b"}}, 422, []string{"invalid"}},
		"too long":                 {"admin", "POST", m{"uid": "MEMBER", "title": long, "data": long}, 422, []string{"admin.comments.title_too_long", "admin.comments.data_too_long"}},
		"nobody":                   {"admin", "POST", m{"uid": "NOBODY", "title": "a", "data": "b"}, 404, []string{"admin.user.doesnt_exist"}},
		"oneself":                  {"admin", "POST", m{"uid": "ADMIN", "title": "a", "data": "b"}, 422, []string{"admin.user.update_himself"}},
		"a superadmin":             {"admin", "POST", m{"uid": "SUPERADMIN", "title": "a", "data": "b"}, 422, []string{"admin.user.superadmin_change"}},
		"the same rank":            {"compliance", "POST", m{"uid": "SUPPORT", "title": "a", "data": "b"}, 422, []string{"admin.user.insufficient_rank"}},
		"without the ability":      {"technical", "POST", m{"uid": "MEMBER", "title": "a", "data": "b"}, 401, []string{"admin.ability.not_permitted"}},
		"a member":                 {"member", "POST", m{"uid": "TRADER", "title": "a", "data": "b"}, 401, []string{"admin.ability.not_permitted"}},
		"a change without id":      {"admin", "PUT", m{"title": "a"}, 400, []string{"admin.user.missing_id"}},
		"a change of no number":    {"admin", "PUT", m{"id": "x"}, 422, []string{"invalid"}},
		"a change to blanks":       {"admin", "PUT", m{"id": 1, "title": "", "data": " "}, 422, []string{"admin.user.empty_title", "admin.user.empty_data"}},
		"a change to lists":        {"admin", "PUT", m{"id": 1, "title": []string{"a"}, "data": []string{"b"}}, 422, []string{"invalid"}},
		"a change too long":        {"admin", "PUT", m{"id": 1, "title": long, "data": long}, 422, []string{"admin.comments.title_too_long", "admin.comments.data_too_long"}},
		"a change of none":         {"admin", "PUT", m{"id": 9, "title": "a"}, 404, []string{"record.not_found"}},
		"a change of an equal's":   {"support", "PUT", m{"id": 1, "title": "a"}, 422, []string{"admin.user.insufficient_rank"}},
		"a deletion of none":       {"admin", "DELETE", m{"id": 9}, 404, []string{"record.not_found"}},
		"a deletion without id":    {"admin", "DELETE", m{}, 400, []string{"admin.user.missing_id"}},
		"a deletion of no number":  {"admin", "DELETE", m{"id": "x"}, 422, []string{"invalid"}},
		"a deletion of an equal's": {"support", "DELETE", m{"id": 1}, 422, []string{"admin.user.insufficient_rank"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.as(test.as).JSON(t, test.method, c, test.body).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.OK(t, w.DB.AddComment(t.Context(), &person.Comment{UserUID: "ADMIN", AuthorUID: "SUPERADMIN", Title: "a", Data: "b"}))
	for _, method := range []string{"PUT", "DELETE"} {
		w.as("admin").JSON(t, method, c, m{"id": 2}).WantTokens(t, 422, "admin.user.update_himself")
	}
	// A user that rose since is out of reach for its comments, too.
	w.PutUser("MEMBER", func(u *account.User) { u.Role = "superadmin" })
	w.as("compliance").JSON(t, "PUT", c, m{"id": 1, "title": "a"}).WantTokens(t, 422, "admin.user.superadmin_change")
	w.as("compliance").JSON(t, "DELETE", c+"?id=1", nil).WantTokens(t, 422, "admin.user.superadmin_change")
	w.PutUser("MEMBER", func(u *account.User) { u.Role = "admin" })
	w.as("admin").JSON(t, "DELETE", c+"?id=1", nil).WantTokens(t, 422, "admin.user.insufficient_rank")
	w.PutUser("MEMBER", func(u *account.User) { u.Role = "member" })
	expect.Equal(t, comments("MEMBER"), []string{"1 COMPLIANCE: by my boss, short"})

	a = w.as("admin").JSON(t, "DELETE", c+"?id=1", nil)
	a.Into(t, &shown)
	expect.Equal(t, []any{a.Status, shown.UID, len(shown.Comments), len(comments("MEMBER"))}, []any{200, "MEMBER", 0, 0})
	var deeds []string
	for _, row := range w.journal() {
		deeds = append(deeds, row.ActorUID+" "+row.Topic+" "+row.Action+" "+row.TargetUID+" "+row.Data)
	}
	about := ` MEMBER {"id":1,"author_uid":"COMPLIANCE"}`
	slices.Sort(deeds)
	expect.Equal(t, deeds, []string{"ADMIN comments delete" + about, "ADMIN comments update" + about,
		"COMPLIANCE comments create" + about, "COMPLIANCE comments update" + about})
}

// Sessions of users are listed and ended, by staff of a higher rank (D24), and are over at once.
func TestUserSessions(t *testing.T) {
	w := newWorld(t)
	open := func(uid, agent string) session.Session {
		w.Now = w.Now.Add(time.Minute)
		cookie, s, err := w.Sessions.Open(t.Context(), session.Opening{
			UID: uid, Generation: w.User(uid).SessionGeneration, UserAgent: agent, IP: netip.MustParseAddr("192.0.2.7"),
		}, w.Now)
		expect.OK(t, err)
		w.Secret(cookie, s.CSRFToken)
		return s
	}
	bot := open("MEMBER", "bot")
	browser := open("MEMBER", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	theirs := open("ADMIN", "bot")
	list := users + "/MEMBER/sessions"
	handles := func(as, target string) (all []string) {
		var got []struct{ Handle, Device string }
		w.as(as).Get(t, target).Into(t, &got)
		for _, s := range got {
			all = append(all, s.Handle+" "+s.Device)
		}
		return all
	}
	expect.Equal(t, handles("accountant", list), []string{browser.ID.Handle() + " Firefox on Linux", bot.ID.Handle() + " Unknown device"})
	expect.Equal(t, handles("accountant", list+"?limit=1&page=2"), []string{bot.ID.Handle() + " Unknown device"})
	w.as("accountant").Get(t, list+"?page=x&limit=x").WantTokens(t, 422, "non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit")
	w.as("accountant").Get(t, users+"/NOBODY/sessions").WantTokens(t, 404, "admin.user.doesnt_exist")

	for name, test := range map[string]struct {
		as, target string
		status     int
		token      string
	}{
		"nobody's":            {"admin", users + "/NOBODY/sessions", 404, "admin.user.doesnt_exist"},
		"one's own":           {"admin", users + "/ADMIN/sessions", 422, "admin.user.update_himself"},
		"a superadmin's":      {"admin", users + "/SUPERADMIN/sessions", 422, "admin.user.superadmin_change"},
		"of the same rank":    {"support", users + "/COMPLIANCE/sessions", 422, "admin.user.insufficient_rank"},
		"without the ability": {"technical", list, 401, "admin.ability.not_permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			w.as(test.as).JSON(t, "DELETE", test.target, nil).WantTokens(t, test.status, test.token)
			w.as(test.as).JSON(t, "DELETE", test.target+"/"+bot.ID.Handle(), nil).WantTokens(t, test.status, test.token)
		})
	}
	w.as("accountant").Get(t, users+"/%FF/sessions").WantTokens(t, 422, "invalid")
	for _, bad := range []string{users + "/%FF/sessions", list + "/%FF"} {
		w.as("support").JSON(t, "DELETE", bad, nil).WantTokens(t, 422, "invalid")
	}
	for _, handle := range []string{"nobody", theirs.ID.Handle()} {
		w.as("support").JSON(t, "DELETE", list+"/"+handle, nil).WantTokens(t, 404, "record.not_found")
	}
	w.Refused.Take()
	w.as("support").JSON(t, "DELETE", list+"/"+bot.ID.Handle(), nil).Want(t, 204, "")
	if !w.Sessions.Ended(bot.ID) {
		t.Error("this process does not know that the session has ended")
	}
	expect.Equal(t, handles("accountant", list), []string{browser.ID.Handle() + " Firefox on Linux"})
	rows := w.Refused.Take()
	if len(rows) != 1 || rows[0].TargetUID != "MEMBER" || rows[0].Result != "succeed" || rows[0].Action != "delete" {
		t.Errorf("activities %+v, want one about the member", rows)
	}
	open("MEMBER", "bot")
	w.as("support").JSON(t, "DELETE", list, nil).Want(t, 204, "")
	expect.Equal(t, len(handles("accountant", list)), 0)
	expect.Equal(t, len(handles("accountant", users+"/ADMIN/sessions")), 1)
	found := false
	for _, row := range w.journal() {
		found = found || row.Topic == "session" && row.Action == "revoke" && row.TargetUID == "MEMBER" && row.ActorUID == "SUPPORT"
	}
	if !found {
		t.Errorf("no activity of the end of all sessions: %+v", w.journal())
	}
}
