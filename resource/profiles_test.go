package resource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
)

const profiles = base + "/profiles"

// whole is a profile as the public front end sends it.
var whole = []string{
	"first_name", " Zoë  Ann ", "last_name", "O'Hara-Smith", "dob", "24/12/1990", "address", `Flat 2/3, "The Oaks"`,
	"postcode", "AB1 2CD", "city", "Saint–Denis", "country", "GB",
}

func profileJSON(state string) string {
	return fmt.Sprintf(`{"first_name":"Zoë Ann","last_name":"O***********","dob":"1990-12-**","address":"Flat 2/3, \"The Oaks\"",
		"postcode":"AB1 2CD","city":"Saint–Denis","country":"GB","state":%q,"metadata":null,
		"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`, state)
}

// A profile is drafted, completed, submitted, and after its rejection another follows.
func TestProfiles(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	c.Get(t, profiles+"/me").Want(t, 200, `[]`)
	c.Form(t, "PUT", profiles, form("city", "Bath")).WantTokens(t, 404, "resource.profile.doesnt_exist_or_not_editable")
	c.Form(t, "POST", profiles, form("first_name", "Bob", "country", "fra")).Want(t, 201, `{"first_name":"Bob","last_name":null,
		"dob":null,"address":null,"postcode":null,"city":null,"country":"fra","state":"drafted","metadata":null,
		"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`)
	label := func(want string) {
		t.Helper()
		l, err := w.DB.Label(t.Context(), me, "profile", account.ScopePrivate)
		expect.OK(t, err)
		expect.Equal(t, l.Value, want)
	}
	label("drafted")
	c.Form(t, "POST", profiles, form("first_name", "Bob")).WantTokens(t, 409, "state.exists")
	c.Form(t, "PUT", profiles, form(whole...)).Want(t, 200, profileJSON("drafted"))
	c.Form(t, "PUT", profiles, form("confirm", "true")).Want(t, 200, profileJSON("submitted"))
	label("submitted")
	c.Form(t, "PUT", profiles, form("city", "Bath")).WantTokens(t, 404, "resource.profile.doesnt_exist_or_not_editable")
	c.Form(t, "POST", profiles, form(whole...)).WantTokens(t, 409, "state.exists")
	all := expect.Must(w.DB.Profiles(t.Context(), me))(t)
	all[0].State = "rejected"
	expect.OK(t, w.DB.PutProfile(t.Context(), &all[0]))
	c.Form(t, "POST", profiles, form(append([]string{"confirm", "true"}, whole...)...)).Want(t, 201, profileJSON("submitted"))
	c.Get(t, profiles+"/me").Want(t, 200, "["+profileJSON("rejected")+","+profileJSON("submitted")+"]")
	var user struct {
		Profile  struct{ State string }
		Profiles []struct{ State, Address string }
	}
	c.Get(t, base+"/users/me").Into(t, &user)
	expect.Equal(t, []any{user.Profile.State, len(user.Profiles), user.Profiles[0].State}, []any{"submitted", 2, "rejected"})
	w.As(stranger).Get(t, profiles+"/me").Want(t, 200, `[]`)
	var did, told []string
	for _, a := range w.Activities(audit.Query{ActorUID: me}) {
		did = append(did, a.Action)
	}
	expect.Equal(t, did, []string{"profile create", "profile update", "profile update", "profile create"})
	for _, e := range w.News() {
		if strings.HasPrefix(e.Name, "model.profile") {
			told = append(told, e.Name)
		}
	}
	expect.Equal(t, told, []string{"model.profile.created", "model.profile.updated", "model.profile.updated", "model.profile.created"})
	w.Faults.Fail(apitest.ErrBug, "Seal")
	w.As(stranger).Form(t, "POST", profiles, form("first_name", "Eve")).WantTokens(t, 500, "server.internal_error")
	w.Faults.Fail(nil, "Seal")
	w.As(stranger).Get(t, profiles+"/me").Want(t, 200, `[]`)
}

func TestRefusedProfiles(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	long := strings.Repeat("ä", 256)
	const country = "country.must have alpha2 or alpha3 format"
	for name, test := range map[string]struct {
		form   []string
		tokens []string
	}{
		"too long, in order": {[]string{"address", long, "postcode", long, "city", long, "last_name", long, "first_name", long}, []string{
			"first_name.too_long", "last_name.too_long", "city.too_long", "postcode.too_long", "address.too_long"}},
		"foreign letters": {[]string{"first_name", "<b>", "last_name", "a;b", "city", "a/b", "postcode", "1,2", "address", "<script>"}, []string{
			"first_name.invalid", "last_name.invalid", "city.invalid", "postcode.invalid", "address.invalid"}},
		"blank":                 {[]string{"first_name", " ", "postcode", "1"}, []string{"first_name.invalid", "postcode.too_short"}},
		"no country":            {[]string{"country", "ZZ"}, []string{country}},
		"a country's name":      {[]string{"country", "Germany"}, []string{country}},
		"a country by number":   {[]string{"country", "276"}, []string{country}},
		"a continent":           {[]string{"country", "EU"}, []string{country}},
		"an alias":              {[]string{"country", "UK"}, []string{country}},
		"metadata":              {[]string{"metadata", "{ bar: baz }"}, []string{"metadata.invalid_format"}},
		"long metadata":         {[]string{"metadata", `"` + strings.Repeat("x", 65535) + `"`}, []string{"metadata.too_long"}},
		"no date":               {[]string{"dob", "blah"}, []string{"invalid"}},
		"a day that is none":    {[]string{"dob", "31/02/1990"}, []string{"invalid"}},
		"a birth in the future": {[]string{"dob", "2026-11-22"}, []string{"dob.invalid"}},
		"lists":                 {[]string{"first_name[]", "a", "confirm", "maybe"}, []string{"invalid"}},
	} {
		for _, method := range []string{"POST", "PUT"} {
			t.Run(method+" "+name, func(t *testing.T) {
				w := newWorld(t)
				c := w.mine()
				if method == "PUT" {
					c.Form(t, "POST", profiles, form(whole...)).Want(t, 201, profileJSON("drafted"))
				}
				c.Form(t, method, profiles, form(test.form...)).WantTokens(t, 422, test.tokens...)
				want := `[]`
				if method == "PUT" {
					want = "[" + profileJSON("drafted") + "]"
				}
				c.Get(t, profiles+"/me").Want(t, 200, want)
			})
		}
	}
	a := c.Form(t, "POST", profiles, form("country", "deu", "dob", "2026-11-21", "first_name", strings.Repeat("ä", 255),
		"last_name", strings.Repeat("ö", 255), "address", strings.Repeat("ü", 255)))
	expect.Equal(t, a.Status, 201)
}

// Of many at once one profile comes to be.
func TestProfilesAtOnce(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	answers := make([]resttest.Answer, 8)
	c := w.mine()
	for i := range answers {
		group.Go(func() { answers[i] = c.Form(t, "POST", profiles, form(whole...)) })
	}
	group.Wait()
	made := 0
	for _, a := range answers {
		if a.Status == 201 {
			made++
		} else {
			a.WantTokens(t, 409, "state.exists")
		}
	}
	expect.Equal(t, []int{made, len(expect.Must(w.DB.Profiles(t.Context(), me))(t))}, []int{1, 1})
}

const storage = base + "/data_storage"

// Each title of the operator's takes one text, which the account shows from then on.
func TestDataStorage(t *testing.T) {
	w := newWorld(t)
	w.Account.StorageTitles = []string{"personal", "Company Data", "phone"}
	w.Restart()
	c := w.mine()
	c.Form(t, "POST", storage, form("title", "personal", "data", `{"a":1}`)).Want(t, 201, "201")
	c.Form(t, "POST", storage, form("title", "Company Data", "data", `[]`)).Want(t, 201, "201")
	var user struct {
		Storages []map[string]string `json:"data_storages"`
	}
	a := c.Get(t, base+"/users/me")
	expect.OK(t, json.Unmarshal([]byte(a.Body), &user))
	expect.Equal(t, []string{user.Storages[0]["title"], user.Storages[0]["data"], user.Storages[1]["title"]}, []string{"personal", `{"a":1}`, "Company Data"})
	l, err := w.DB.Label(t.Context(), me, "personal", account.ScopePrivate)
	expect.OK(t, err)
	expect.Equal(t, l.Value, "recorded")
	for name, test := range map[string]struct {
		form   []string
		status int
		tokens []string
	}{
		"nothing": {nil, 400, []string{"resource.datastorage.missing_title", "resource.datastorage.empty_title",
			"resource.datastorage.missing_data", "resource.datastorage.empty_data"}},
		"lists":               {[]string{"title[]", "a", "data[]", "b"}, 422, []string{"invalid"}},
		"taken, in any case":  {[]string{"title", "PERSONAL", "data", "{}"}, 422, []string{"title.taken", "title.inclusion"}},
		"of nobody's":         {[]string{"title", "family_info", "data", "{}"}, 422, []string{"title.inclusion"}},
		"of the account's":    {[]string{"title", "phone", "data", "{}"}, 422, []string{"title.exclusion"}},
		"a label that exists": {[]string{"title", "document", "data", "{}"}, 422, []string{"title.inclusion", "title.exclusion"}},
		"no JSON":             {[]string{"title", "personal", "data", "{"}, 422, []string{"data.invalid_format", "title.taken"}},
		"too much":            {[]string{"title", "phone", "data", `"` + strings.Repeat("ä", 5120) + `"`}, 422, []string{"data.too_long", "title.exclusion"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Form(t, "POST", storage, form(test.form...)).WantTokens(t, test.status, test.tokens...)
		})
	}
	var told int
	for _, e := range w.News() {
		if e.Name == "model.data_storage.created" {
			told++
		}
	}
	expect.Equal(t, told, 2)
}
