package resource_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/expect"
	"barong/internal/rest/resttest"
	"barong/internal/view"
)

// These tests repeat those statements of the reference's own suite that no other test of this package
// holds; docs/statements.tsv has them all.

// newcomer is a client of a user that has just signed up, with nothing but the address proved.
func (w *world) newcomer() (account.User, *resttest.Client) {
	w.T.Helper()
	w.Allow(account.RoleMember)
	u := w.SignUp("newcomer@barong.io", 1)
	return u, w.As(u.UID)
}

// named are the news with one of the names, in order.
func (w *world) named(names ...string) (got []string) {
	w.T.Helper()
	for _, e := range w.News() {
		if slices.Contains(names, e.Name) {
			got = append(got, e.Name)
		}
	}
	return got
}

// A person is announced before what the person adds.
func TestReferenceOrderOfEvents(t *testing.T) {
	bill := file{"bill.pdf", []byte("%PDF-1.7\n")}
	for name, test := range map[string]struct {
		last string
		add  func(c *resttest.Client) resttest.Answer
	}{
		"an address": {"model.document.created", func(c *resttest.Client) resttest.Answer {
			return post(t, c, addresses, []string{"address", "1 Main St.", "city", "Bath", "country", "GB", "postcode", "AB1"}, bill)
		}},
		"a document": {"model.document.created", func(c *resttest.Client) resttest.Answer { return post(t, c, documents, passport(), bill) }},
		"a profile": {"model.profile.created", func(c *resttest.Client) resttest.Answer {
			return c.Form(t, "POST", profiles, form("first_name", "Bob"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.News()
			_, c := w.newcomer()
			expect.Equal(t, test.add(c).Status, 201)
			expect.Equal(t, w.named("model.user.created", "model.document.created", "model.profile.created"), []string{"model.user.created", test.last})
		})
	}
}

// A document that is valid for a thousand years is listed with its number masked, or plain where masks are off.
func TestReferenceListOfDocuments(t *testing.T) {
	for masks, number := range map[bool]string{true: "AA****BB", false: "AA1234BB"} {
		w := newWorld(t)
		w.Mount()
		w.Resource.Masks = view.Masks(masks)
		post(t, w.mine(), documents, append(passport("doc_expire"), "doc_expire", "3020-01-22"), file{"a.jpg", photo(t, 0)}).Want(t, 201, `201`)
		var list []struct {
			Upload  struct{ URL string }
			Type    string `json:"doc_type"`
			Number  string `json:"doc_number"`
			Expires string `json:"doc_expire"`
		}
		w.mine().Get(t, documents).Into(t, &list)
		if len(list) != 1 || list[0].Upload.URL == "" {
			t.Fatalf("listed %+v", list)
		}
		expect.Equal(t, []string{list[0].Type, list[0].Number, list[0].Expires}, []string{"Passport", number, "3020-01-22"})
	}
}

// Ten documents are the most: the eleventh is refused, whether it comes alone or with all others.
func TestReferenceElevenDocuments(t *testing.T) {
	w := newWorld(t)
	w.Account.Unlimited = true
	w.Restart()
	c, one := w.mine(), file{"a.jpg", photo(t, 0)}
	for range 10 {
		post(t, c, documents, passport(), one).Want(t, 201, `201`)
	}
	post(t, c, documents, passport(), one).WantTokens(t, 400, "resource.documents.limit_will_be_reached")
	post(t, w.As(stranger), documents, passport(), slices.Repeat([]file{one}, 11)...).WantTokens(t, 400, "resource.documents.limit_will_be_reached")
	post(t, w.As(stranger), documents, passport(), one, one, one).Want(t, 201, `201`)
	expect.Equal(t, len(expect.Must(w.DB.Documents(t.Context(), stranger))(t)), 3)
}

// Phones are listed in the order in which they were added, and kept without signs and without the zero that is
// dialled at home only. A number that another account has and has not proved is nobody's.
func TestReferencePhones(t *testing.T) {
	w, inbox := phoneWorld(t)
	c := w.mine()
	askFor(t, c, "", "+44 07418084106").Want(t, 200, fmt.Sprintf(sentMessage, "sms"))
	c.Form(t, "POST", phones, form("phone_number", otherPhone, "channel", "call")).Want(t, 200, fmt.Sprintf(sentMessage, "call"))
	sent := inbox.Take()
	expect.Equal(t, []string{sent[0].To, sent[1].To}, []string{phone, otherPhone})
	c.Get(t, phones).Want(t, 200, `[{"country":"GB","number":"44******4106","validated_at":null},
		{"country":"UA","number":"38******2322","validated_at":null}]`)
	expect.Equal(t, expect.Must(w.DB.Phones(t.Context(), me))(t)[0].Number, "447418084106")
	verifyPhone(t, w.As(stranger), phone, sent[0].Code).WantTokens(t, 404, "resource.phone.doesnt_exist")
	expect.Equal(t, verifyPhone(t, c, "+44 07418084106", sent[0].Code).Status, 201)
	verifyPhone(t, w.As(stranger), "+44 07418084106", "12345").WantTokens(t, 400, "resource.phone.number_exist")
}

// Profiles in other letters, with metadata, empty, with names alone, and with all of it.
func TestReferenceProfiles(t *testing.T) {
	complete := func(more ...string) []string {
		return append([]string{"first_name", "Vasya", "last_name", "Pupkin", "dob", "2001-03-04", "address", "Polytechnichna str.",
			"postcode", "02074", "city", "Kyiv", "country", "ua"}, more...)
	}
	shown := func(first, last, dob, address, postcode, city, country, state, metadata string) string {
		return fmt.Sprintf(`{"first_name":%s,"last_name":%s,"dob":%s,"address":%s,"postcode":%s,"city":%s,"country":%s,"state":%q,"metadata":%s,
			"created_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z"}`, first, last, dob, address, postcode, city, country, state, metadata)
	}
	whole := func(last, dob, state, metadata string) string {
		return shown(`"Vasya"`, last, dob, `"Polytechnichna str."`, `"02074"`, `"Kyiv"`, `"ua"`, state, metadata)
	}
	const null, day = "null", `"2001-03-**"`
	for name, test := range map[string]struct {
		form  []string
		clear bool
		want  string
		label string
	}{
		"all of it":             {complete(), false, whole(`"P*****"`, day, "drafted", null), "drafted"},
		"all of it, unmasked":   {complete(), true, whole(`"Pupkin"`, `"2001-03-04"`, "drafted", null), "drafted"},
		"all of it, submitted":  {complete("confirm", "true"), false, whole(`"P*****"`, day, "submitted", null), "submitted"},
		"metadata as sent":      {complete("metadata", `{"bar": "baz"}`), false, whole(`"P*****"`, day, "drafted", `"{\"bar\": \"baz\"}"`), "drafted"},
		"nothing":               {nil, false, shown(null, null, null, null, null, null, null, "drafted", null), "drafted"},
		"names":                 {[]string{"first_name", "Vasya", "last_name", "Pupkin"}, false, shown(`"Vasya"`, `"P*****"`, null, null, null, null, null, "drafted", null), "drafted"},
		"names, submitted":      {[]string{"first_name", "Vasya", "last_name", "Pupkin", "confirm", "true"}, false, shown(`"Vasya"`, `"P*****"`, null, null, null, null, null, "submitted", null), "submitted"},
		"in the Korean writing": {[]string{"first_name", "민수", "last_name", "김", "city", "서울", "address", "종로구 세종대로 1"}, true, shown(`"민수"`, `"김"`, null, `"종로구 세종대로 1"`, null, `"서울"`, null, "drafted", null), "drafted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Mount()
			w.Resource.Masks = view.Masks(!test.clear)
			u, c := w.newcomer()
			c.Form(t, "POST", profiles, form(test.form...)).Want(t, 201, test.want)
			c.Get(t, profiles+"/me").Want(t, 200, "["+test.want+"]")
			l := expect.Must(w.DB.Label(t.Context(), u.UID, "profile", account.ScopePrivate))(t)
			expect.Equal(t, l.Value, test.label)
			_, err := w.DB.Label(t.Context(), u.UID, "document", account.ScopePrivate)
			expect.Error(t, err, account.ErrNoLabel) // a profile invents no label of documents
			// One that is open stands in the way of every other.
			for _, confirm := range []string{"false", "true"} {
				c.Form(t, "POST", profiles, form(complete("confirm", confirm)...)).WantTokens(t, 409, "state.exists")
			}
			expect.Equal(t, len(expect.Must(w.DB.Profiles(t.Context(), u.UID))(t)), 1)
		})
	}
}

// The password that was chosen opens the account, and the former one does not.
func TestReferenceNewPasswordSignsIn(t *testing.T) {
	w := newWorld(t)
	w.Secret("Quooph7ei")
	signIn := func(password string) resttest.Answer {
		return w.Client().JSON(t, "POST", "/api/v2/identity/sessions", map[string]any{"email": "trader@barong.io", "password": password})
	}
	w.Allow(account.RoleMember)
	w.Refresh()
	w.mine().Form(t, "PUT", password, form(change(apitest.Password, "Quooph7ei", "Quooph7ei")...)).Want(t, 201, "201")
	signIn(apitest.Password).WantTokens(t, 401, "identity.session.invalid_params")
	expect.Equal(t, signIn("Quooph7ei").Status, 201)
}

// With the second factor on, the deletion takes password and code.
func TestReferenceDeletionWithACode(t *testing.T) {
	w := newWorld(t)
	code := w.SecondFactor(me)
	w.mine().Form(t, "DELETE", user, form("password", apitest.Password, "otp_code", code())).Want(t, 204, "")
	expect.Equal(t, w.User(me).State, account.StateDeleted)
}

// A profile leaves the label of documents as it is.
func TestReferenceProfilesLeaveDocuments(t *testing.T) {
	w := newWorld(t)
	expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: me, Key: "document", Value: "verified", Scope: account.ScopePrivate}))
	expect.Equal(t, w.mine().Form(t, "POST", profiles, form(append([]string{"confirm", "true"}, whole...)...)).Status, 201)
	l := expect.Must(w.DB.Label(t.Context(), me, "document", account.ScopePrivate))(t)
	expect.Equal(t, l.Value, "verified")
}

// A blank day of birth changes nothing of a draft.
func TestReferenceBlankDayOfBirth(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	c.Form(t, "POST", profiles, form(whole...)).Want(t, 201, profileJSON("drafted"))
	c.Form(t, "PUT", profiles, form("dob", "")).Want(t, 200, profileJSON("drafted"))
	c.JSON(t, "PUT", profiles, map[string]any{"dob": nil}).Want(t, 200, profileJSON("drafted"))
}

// Where no place for files is configured, an upload has the answer of one that is out of reach.
func TestUploadsWithoutStorage(t *testing.T) {
	w := newWorld(t)
	w.Account.Files = nil
	w.Restart()
	jpg := file{"a.jpg", photo(t, 0)}
	post(t, w.mine(), documents, passport(), jpg).Want(t, 422, `{"error":"Connection error"}`)
	post(t, w.mine(), addresses, []string{"address", "1 Main St.", "city", "Bath", "country", "GB", "postcode", "AB1"}, jpg).
		Want(t, 422, `{"error":"Connection error"}`)
	expect.Equal(t, len(expect.Must(w.DB.Documents(t.Context(), me))(t)), 0)
}

// Of labels of one key that are made at the same moment there is one.
func TestOneLabelAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	answers := make([]resttest.Answer, 6)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = c.Form(t, "POST", labels, form("key", "colour", "value", "green")) })
	}
	group.Wait()
	made := 0
	for _, a := range answers {
		if a.Status == 201 {
			made++
			continue
		}
		a.WantTokens(t, 422, "key.taken")
	}
	expect.Equal(t, []int{made, len(expect.Must(w.DB.Labels(t.Context(), me))(t))}, []int{1, 2}) // beside that of the address
}
