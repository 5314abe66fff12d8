package resource_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
)

const labels = base + "/labels"

// label is one as it is shown, made and last changed so long after the start.
func label(key, value, scope string, made, changed time.Duration) string {
	at := func(d time.Duration) string { return apitest.Start.Add(d).Format(time.RFC3339) }
	return fmt.Sprintf(`{"key":%q,"value":%q,"scope":%q,"created_at":%q,"updated_at":%q}`, key, value, scope, at(made), at(changed))
}

// A person's own labels: made public, changed, listed in the order of their creation, deleted.
func TestLabels(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	proved := label("email", "verified", "private", 0, 0)
	w.Now = w.Now.Add(time.Minute)
	mine := label("colour", "green", "public", time.Minute, time.Minute)
	c.Form(t, "POST", labels, form("key", " Colour ", "value", "GREEN")).Want(t, 201, mine)
	c.Get(t, labels).Want(t, 200, "["+proved+","+mine+"]")
	c.Get(t, labels+"?ordering=desc").Want(t, 200, "["+mine+","+proved+"]")
	c.Get(t, labels+"/email").Want(t, 200, proved)
	w.Now = w.Now.Add(time.Minute)
	changed := label("colour", "blue", "public", time.Minute, 2*time.Minute)
	c.Form(t, "PATCH", labels+"/colour", form("value", "blue")).Want(t, 200, changed)
	c.Get(t, labels+"/colour").Want(t, 200, changed)
	w.As(stranger).Get(t, labels+"/colour").WantTokens(t, 404, "record.not_found")
	w.As(stranger).Send(t, "DELETE", labels+"/colour", "", "").WantTokens(t, 404, "record.not_found")
	c.Send(t, "DELETE", labels+"/colour", "", "").Want(t, 204, "")
	c.Get(t, labels+"/colour").WantTokens(t, 404, "record.not_found")
	expect.Equal(t, w.User(me).Level, 1)
	var did []string
	for _, a := range w.Activities(audit.Query{ActorUID: me}) {
		did = append(did, a.Topic+" "+a.Action+" "+a.Result)
	}
	expect.Equal(t, did, []string{"account label create succeed", "account label update succeed", "account label delete succeed"})
}

// The older row is shown where both scopes have the key, and neither stands in the way of the other.
func TestLabelInBothScopes(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	staffs := func(key string) {
		expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: me, Key: key, Value: "staff", Scope: account.ScopePrivate}))
	}
	staffs("first")
	for _, key := range []string{"first", "second"} {
		c.Form(t, "POST", labels, form("key", key, "value", "mine")).Want(t, 201, label(key, "mine", "public", 0, 0))
	}
	staffs("second")
	c.Get(t, labels+"/first").Want(t, 200, label("first", "staff", "private", 0, 0))
	c.Get(t, labels+"/second").Want(t, 200, label("second", "mine", "public", 0, 0))
}

func TestRefusedLabels(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	c.Form(t, "POST", labels, form("key", "taken", "value", "once")).Want(t, 201, label("taken", "once", "public", 0, 0))
	long := strings.Repeat("k", 256)
	for name, test := range map[string]struct {
		method, path string
		form         []string
		status       int
		tokens       []string
	}{
		"nothing": {"POST", "", nil, 400, []string{
			"resource.label.missing_key", "resource.label.empty_key", "resource.label.missing_value", "resource.label.empty_value"}},
		"blank":                  {"POST", "", []string{"key", " ", "value", ""}, 400, []string{"resource.label.empty_key", "resource.label.empty_value"}},
		"taken":                  {"POST", "", []string{"key", "Taken", "value", "twice"}, 422, []string{"key.taken"}},
		"short":                  {"POST", "", []string{"key", "ab", "value", "cd"}, 422, []string{"key.too_short", "value.too_short"}},
		"long":                   {"POST", "", []string{"key", long, "value", long}, 422, []string{"key.too_long", "value.too_long"}},
		"foreign letters":        {"POST", "", []string{"key", "a b", "value", "ä-ö"}, 422, []string{"key.invalid", "value.invalid"}},
		"of the service":         {"POST", "", []string{"key", "document", "value", "verified"}, 422, []string{"key.exclusion"}},
		"one that there is":      {"POST", "", []string{"key", "EMAIL", "value", "verified"}, 422, []string{"key.exclusion"}},
		"change without a value": {"PATCH", "/taken", nil, 400, []string{"resource.label.missing_value", "resource.label.empty_value"}},
		"change of a private":    {"PATCH", "/email", []string{"value", "pending"}, 400, []string{"resource.labels.private"}},
		"change of none":         {"PATCH", "/nothing", []string{"value", "new"}, 404, []string{"record.not_found"}},
		"change to nonsense":     {"PATCH", "/taken", []string{"value", "a b"}, 422, []string{"value.invalid"}},
		"change to too little":   {"PATCH", "/taken", []string{"value", "b"}, 422, []string{"value.too_short"}},
		"change to too much":     {"PATCH", "/taken", []string{"value", long}, 422, []string{"value.too_long"}},
		"deletion of a private":  {"DELETE", "/email", nil, 400, []string{"resource.labels.private"}},
		"deletion of none":       {"DELETE", "/nothing", nil, 404, []string{"record.not_found"}},
		"reading none":           {"GET", "/nothing", nil, 404, []string{"record.not_found"}},
		"another order":          {"GET", "?ordering=up", nil, 422, []string{"value"}},
		"a list as order":        {"GET", "?ordering[]=asc", nil, 422, []string{"invalid", "value"}},
		"lists":                  {"POST", "", []string{"key[]", "abc", "value[]", "abc"}, 422, []string{"invalid"}},
		"change to a list":       {"PATCH", "/taken", []string{"value[]", "abc"}, 422, []string{"invalid"}},
		"reading bytes":          {"GET", "/%ff", nil, 422, []string{"invalid"}},
		"deletion of bytes":      {"DELETE", "/%ff", nil, 422, []string{"invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Form(t, test.method, labels+test.path, form(test.form...)).WantTokens(t, test.status, test.tokens...)
		})
	}
	expect.Equal(t, w.User(me).Level, 1)
}

// A user has a bounded number of labels, those of staff aside.
func TestTooManyLabels(t *testing.T) {
	w := newWorld(t)
	for n := range 99 {
		expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{
			UserUID: me, Key: fmt.Sprintf("key-%d", n), Value: "mine", Scope: account.ScopePublic,
		}))
	}
	c := w.mine()
	c.Form(t, "POST", labels, form("key", "the-100th", "value", "mine")).Want(t, 201, label("the-100th", "mine", "public", 0, 0))
	c.Form(t, "POST", labels, form("key", "one-more", "value", "mine")).WantTokens(t, 422, "label.limit_reached")
	c.Form(t, "PATCH", labels+"/the-100th", form("value", "again")).Want(t, 200, label("the-100th", "again", "public", 0, 0))
}

// A user who is banned after the request was let in changes nothing.
func TestLabelOfAUserBannedMeanwhile(t *testing.T) {
	w := newWorld(t)
	c := w.mine()
	w.Faults.On("Update", func() error {
		w.Faults.On("Update", nil)
		w.PutUser(me, func(u *account.User) { u.State = account.StateBanned })
		return nil
	})
	c.Form(t, "POST", labels, form("key", "colour", "value", "green")).WantTokens(t, 401, "authz.user_not_active")
	expect.Equal(t, len(expect.Must(w.DB.Labels(t.Context(), me))(t)), 1)
}
