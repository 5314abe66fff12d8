package admin_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/person"
	"barong/internal/rest/resttest"
)

const profiles = base + "/profiles"

// full are all fields of a profile but its uid.
func full(more m) m {
	out := m{
		"first_name": "Zoë", "last_name": "O'Hara", "dob": "1990-12-24", "address": "1 Main St.", "postcode": "AB-12",
		"city": "Köln", "country": "DE", "metadata": `{"a":1}`,
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// shown is a profile of those fields as staff see it.
func shown(state string, at time.Time) string {
	when := at.Format(time.RFC3339)
	return `{"first_name":"Zoë","last_name":"O'Hara","dob":"1990-12-24","address":"1 Main St.","postcode":"AB-12","city":"Köln",
		"country":"DE","state":"` + state + `","metadata":"{\"a\":1}","created_at":"` + when + `","updated_at":"` + when + `"}`
}

// submitted gives a user a profile that waits for its review.
func (w *world) submitted(uid string) {
	w.T.Helper()
	expect.OK(w.T, w.DB.AddProfile(w.T.Context(), &person.Profile{UserUID: uid, FirstName: new("Ann"), State: person.ProfileSubmitted}))
}

func (w *world) profile(uid string) person.Profile {
	w.T.Helper()
	all := expect.Must(w.DB.Profiles(w.T.Context(), uid))(w.T)
	return all[len(all)-1]
}

// A profile is stated, listed in clear, verified; the label follows, and the activities have no word of it.
func TestProfiles(t *testing.T) {
	w := newWorld(t)
	c := w.as("compliance")
	w.putLabel("MEMBER", "email", "verified", account.ScopePrivate)
	c.Get(t, profiles).Want(t, 200, `[]`)
	c.JSON(t, "POST", profiles, full(m{"uid": "MEMBER", "state": "verified"})).Want(t, 201, shown("submitted", w.Now))
	expect.Equal(t, []string{w.profile("MEMBER").AuthorUID, w.labelsOf("MEMBER")[1]}, []string{"COMPLIANCE", "private profile:submitted"})
	w.submitted("TRADER")
	a := w.as("support").Get(t, profiles+"?limit=1")
	a.Want(t, 200, "["+shown("submitted", w.Now)+"]")
	expect.Equal(t, []string{a.Header.Get("Total"), a.Header.Get("Page"), a.Header.Get("Per-Page")}, []string{"2", "1", "1"})
	if a := c.Get(t, profiles+"?limit=1&page=2"); !strings.Contains(a.Body, `"Ann"`) {
		t.Errorf("the second page: %s", a.Body)
	}
	c.JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "verified"}).Want(t, 200, shown("verified", w.Now))
	expect.Equal(t, w.labelsOf("MEMBER")[1], "private profile:verified")
	c.JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "rejected"}).WantTokens(t, 404, "admin.profiles.doesnt_exist_or_not_editable")
	c.JSON(t, "PUT", profiles, m{"uid": "TRADER", "state": "drafted"})
	expect.Equal(t, w.profile("TRADER").State, person.ProfileDrafted)
	var did []string
	for _, x := range w.journal() {
		did = append(did, strings.Join([]string{x.ActorUID, x.TargetUID, x.Topic, x.Action, x.Result, x.Data}, " "))
	}
	expect.Equal(t, did, []string{
		`COMPLIANCE TRADER profiles update succeed {"before":"submitted","after":"drafted"}`,
		`COMPLIANCE MEMBER profiles update succeed {"before":"submitted","after":"verified"}`,
		`COMPLIANCE MEMBER profiles create succeed {"after":"submitted","fields":["first_name","last_name","dob","address","postcode","city","country","metadata"]}`,
	})
}

// Fields of a submitted profile are changed with or without a decision, which makes their sender its author.
func TestProfileFieldsAreChanged(t *testing.T) {
	w := newWorld(t)
	w.submitted("MEMBER")
	c := w.as("compliance")
	c.JSON(t, "PUT", profiles, full(m{"uid": "MEMBER"})).Want(t, 200, shown("submitted", w.Now))
	expect.Equal(t, w.profile("MEMBER").AuthorUID, "COMPLIANCE")
	c.JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "rejected", "country": "DE"}).Want(t, 200, shown("rejected", w.Now))
	expect.Equal(t, w.labelsOf("MEMBER"), []string{"private profile:rejected"})
}

// With double verification nobody decides about a profile of the own statement, in one request or two;
// superadmins do, and everybody without it.
func TestProfilesNeedASecondReviewer(t *testing.T) {
	w := newWorld(t)
	w.Account.SecondReviewer = true
	w.Restart()
	w.addUser("second")
	w.PutUser("SECOND", func(u *account.User) { u.Role = "compliance" })
	c := w.as("compliance")
	refused := func(a resttest.Answer) { t.Helper(); a.WantTokens(t, 422, "admin.profiles.second_admin_approval") }
	c.JSON(t, "POST", profiles, full(m{"uid": "MEMBER"})).Want(t, 201, shown("submitted", w.Now))
	refused(c.JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "verified"}))
	refused(c.JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "rejected"}))
	refused(w.as("second").JSON(t, "PUT", profiles, full(m{"uid": "MEMBER", "state": "verified"})))
	expect.Equal(t, w.profile("MEMBER").State, person.ProfileSubmitted)
	w.as("second").JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "verified"}).Want(t, 200, shown("verified", w.Now))
	w.as("superadmin").JSON(t, "POST", profiles, full(m{"uid": "MEMBER"})).Want(t, 201, shown("submitted", w.Now))
	w.as("superadmin").JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "verified"}).Want(t, 200, shown("verified", w.Now))
	w.submitted("TRADER") // of the person's own: anybody decides
	c.JSON(t, "PUT", profiles, m{"uid": "TRADER", "state": "drafted"})
	expect.Equal(t, w.profile("TRADER").State, person.ProfileDrafted)
}

// Rank decides on profiles of others, alike for both writes; nothing changes (D24).
func TestProfileRefusals(t *testing.T) {
	w := newWorld(t)
	w.addUser("second")
	w.PutUser("SECOND", func(u *account.User) { u.Role = "admin" })
	for _, uid := range []string{"SUPERADMIN", "ADMIN", "SECOND", "SUPPORT"} {
		w.submitted(uid)
	}
	for name, test := range map[string]struct{ as, uid, token string }{
		"a superadmin":          {"admin", "SUPERADMIN", "admin.profiles.superadmin_change"},
		"oneself":               {"admin", "ADMIN", "admin.profiles.update_himself"},
		"oneself as superadmin": {"superadmin", "SUPERADMIN", "admin.profiles.update_himself"},
		"another admin":         {"admin", "SECOND", "admin.profiles.insufficient_rank"},
		"support by compliance": {"compliance", "SUPPORT", "admin.profiles.insufficient_rank"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"POST", "PUT"} {
				w.as(test.as).JSON(t, method, profiles, m{"uid": test.uid, "state": "verified"}).WantTokens(t, 422, test.token)
			}
		})
	}
	w.as("admin").JSON(t, "POST", profiles, m{"uid": "NOBODY"}).WantTokens(t, 404, "admin.user.doesnt_exist")
	for _, uid := range []string{"NOBODY", "MEMBER", ""} {
		w.as("admin").JSON(t, "PUT", profiles, m{"uid": uid, "state": "verified"}).WantTokens(t, 404, "admin.profiles.doesnt_exist_or_not_editable")
	}
	expect.OK(t, w.DB.AddProfile(t.Context(), &person.Profile{UserUID: "MEMBER", State: person.ProfileDrafted}))
	w.as("admin").JSON(t, "POST", profiles, m{"uid": "MEMBER"}).WantTokens(t, 422, "state.exists")
	w.as("admin").JSON(t, "PUT", profiles, m{"uid": "MEMBER", "state": "verified"}).WantTokens(t, 404, "admin.profiles.doesnt_exist_or_not_editable")
	expect.Equal(t, w.profile("MEMBER").State, person.ProfileDrafted)
	expect.Equal(t, len(w.journal()), 0)
	w.Faults.On("Update", func() error { // between guard and write
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "member" })
		return nil
	})
	for _, method := range []string{"POST", "PUT"} {
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "admin" })
		w.as("admin").JSON(t, method, profiles, m{"uid": "TRADER", "state": "verified"}).WantTokens(t, 401, "admin.ability.not_permitted")
	}
}

// Every parameter of every route refused (D2).
func TestProfileParameters(t *testing.T) {
	w := newWorld(t)
	w.submitted("TRADER")
	c := w.as("superadmin")
	long := strings.Repeat("k", 256)
	tomorrow := w.Now.Add(48 * time.Hour).Format(time.DateOnly)
	const country = "country.must have alpha2 or alpha3 format"
	for method, uid := range map[string]string{"POST": "MEMBER", "PUT": "TRADER"} {
		c.JSON(t, method, profiles, m{}).WantTokens(t, 400, "admin.profile.missing_uid")
		for name, test := range map[string]struct {
			body   m
			tokens []string
		}{
			"foreign characters": {m{"first_name": "<", "last_name": "<", "city": "<", "country": "Nowhere", "postcode": "<", "address": "<",
				"metadata": "{", "dob": tomorrow}, []string{"first_name.invalid", "last_name.invalid", "city.invalid", country,
				"postcode.invalid", "address.invalid", "metadata.invalid_format", "dob.invalid"}},
			"too long": {m{"first_name": long, "last_name": long, "city": long, "postcode": long, "address": long,
				"metadata": `"` + strings.Repeat("a", 65535) + `"`}, []string{"first_name.too_long", "last_name.too_long", "city.too_long",
				"postcode.too_long", "address.too_long", "metadata.too_long"}},
			"too short": {m{"postcode": "A"}, []string{"postcode.too_short"}},
			"no date":   {m{"dob": "yesterday"}, []string{"invalid"}},
			"lists":     {m{"first_name": []string{"a"}}, []string{"invalid"}},
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				body := m{"uid": uid}
				for k, v := range test.body {
					body[k] = v
				}
				c.JSON(t, method, profiles, body).WantTokens(t, 422, test.tokens...)
			})
		}
	}
	c.JSON(t, "PUT", profiles, m{"uid": "TRADER"}).WantTokens(t, 422, "admin.profile.missing_state")
	for _, state := range []string{"", "Verified", "done"} {
		c.JSON(t, "PUT", profiles, m{"uid": "TRADER", "state": state}).WantTokens(t, 422, "state.inclusion")
	}
	c.JSON(t, "PUT", profiles, m{"uid": "TRADER", "state": "done", "city": "<"}).WantTokens(t, 422, "city.invalid", "state.inclusion")
	c.Get(t, profiles+"?page=x&limit=x").WantTokens(t, 422, "non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit")
	expect.Equal(t, w.profile("TRADER").State, person.ProfileSubmitted)
	expect.Equal(t, len(w.journal()), 0)
}

// Stored data is deleted with its label, whose effect on the level ends.
func TestDataStorageIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.Account.StorageTitles = []string{"questionnaire"}
	w.Restart()
	_, err := w.Accounts.SeedLevels(context.WithoutCancel(t.Context()), []account.SeedLevel{{Key: "questionnaire", Value: "recorded"}})
	expect.OK(t, err)
	w.putLabel("MEMBER", "email", "verified", account.ScopePrivate)
	w.As("MEMBER").JSON(t, "POST", "/api/v2/resource/data_storage", m{"title": "questionnaire", "data": "{}"}).Want(t, 201, `201`)
	expect.Equal(t, w.User("MEMBER").Level, 1)
	before := len(w.journal())
	c := w.as("compliance")
	drop := func(as, uid, title string) resttest.Answer {
		q := url.Values{"uid": {uid}, "title": {title}}
		return w.as(as).Send(t, "DELETE", users+"/data_storage?"+q.Encode(), "", "")
	}
	c.JSON(t, "DELETE", users+"/data_storage", m{}).WantTokens(t, 400, "admin.user.missing_uid", "admin.user.empty_uid", "admin.user.missing_title", "admin.user.empty_title")
	c.JSON(t, "DELETE", users+"/data_storage", m{"uid": " ", "title": ""}).WantTokens(t, 400, "admin.user.empty_uid", "admin.user.empty_title")
	c.JSON(t, "DELETE", users+"/data_storage", m{"uid": "MEMBER", "title": []string{"a"}}).WantTokens(t, 422, "invalid")
	drop("compliance", "NOBODY", "questionnaire").WantTokens(t, 404, "admin.user.doesnt_exist")
	drop("compliance", "MEMBER", "preferences").WantTokens(t, 404, "admin.storage.doesnt_exist")
	drop("compliance", "SUPERADMIN", "questionnaire").WantTokens(t, 422, "admin.user.superadmin_change")
	drop("compliance", "COMPLIANCE", "questionnaire").WantTokens(t, 422, "admin.user.update_himself")
	drop("compliance", "ADMIN", "questionnaire").WantTokens(t, 422, "admin.user.insufficient_rank")
	expect.Equal(t, len(w.journal()), before)
	drop("compliance", "MEMBER", "questionnaire").Want(t, 204, "")
	expect.Equal(t, w.User("MEMBER").Level, 0)
	expect.Equal(t, w.labelsOf("MEMBER"), []string{"private email:verified"})
	x := w.journal()[0]
	expect.Equal(t, []string{x.ActorUID, x.TargetUID, x.Topic, x.Action, x.Data}, []string{"COMPLIANCE", "MEMBER", "data_storage", "delete", `{"title":"questionnaire"}`})
	drop("compliance", "MEMBER", "questionnaire").WantTokens(t, 404, "admin.storage.doesnt_exist")

	w.Faults.On("Update", func() error {
		w.PutUser("ADMIN", func(u *account.User) { u.Role = "member" })
		return nil
	})
	drop("admin", "MEMBER", "questionnaire").WantTokens(t, 401, "admin.ability.not_permitted")
}
