package admin_test

import (
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/expect"
)

// The users with a private label that says so, once each and the longest waiting first.
func TestApplicants(t *testing.T) {
	const pending = users + "/documents/pending"
	w, _ := crowd(t)
	w.as("admin").Get(t, pending).Want(t, 200, `[]`)
	for _, l := range []account.Label{
		{UserUID: "CAT", Key: "document", Value: "pending", Scope: account.ScopePrivate},
		{UserUID: "ANN", Key: "document", Value: "replaced", Scope: account.ScopePrivate},
		{UserUID: "ANN", Key: "document", Value: "pending", Scope: account.ScopePublic},
		{UserUID: "BEN", Key: "document", Value: "pending", Scope: account.ScopePublic},
		{UserUID: "MEMBER", Key: "document", Value: "verified", Scope: account.ScopePrivate},
		{UserUID: "ADMIN", Key: "documents", Value: "pending", Scope: account.ScopePrivate},
	} {
		w.Now = w.Now.Add(time.Minute)
		expect.OK(t, w.DB.PutLabel(t.Context(), &l))
	}
	made := itoa(w.Now.Add(-time.Hour).Unix())
	for query, want := range map[string]string{
		"": "CAT ANN", "extended=false": "CAT ANN", "limit=1": "CAT", "limit=1&page=2": "ANN", "limit=1&page=3": "",
		"uid=ANN": "ANN", "uid=BEN": "", "email=ann@barong.io": "ANN", "role=vip": "ANN", "level=3": "CAT", "state=active": "CAT",
		"country=MLT": "ANN", "first_name=x&last_name=y": "CAT ANN", "from=" + made: "CAT ANN", "to=" + made: "", "range=updated&from=" + made: "CAT ANN",
	} {
		if got := strings.Join(w.uids("admin", pending+"?"+query), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for query, tokens := range map[string][]string{
		"extended=perhaps": {"admin.user.non_boolean_extended"}, "range=born": {"admin.user.invalid_range"}, "level=x": {"invalid"},
		"page=x&limit=x": {"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"},
	} {
		w.as("admin").Get(t, pending+"?"+query).WantTokens(t, 422, tokens...)
	}
	a := w.as("admin").Get(t, pending+"?limit=1")
	expect.Equal(t, a.Header.Get("Total"), "2")
	const ann = `"email":"ann@barong.io","uid":"ANN","role":"vip","level":2,"otp":true,"state":"pending","referral_uid":null,"data":null,"username":"zoe"`
	w.as("admin").Get(t, pending+"?uid=ANN").Want(t, 200, `[{`+ann+`}]`)
	w.Refused.Take()

	// Extended, each is as it is read alone, and the reading is an activity.
	whole := w.as("admin").Get(t, users+"/ANN").Body
	w.Refused.Take()
	w.as("admin").Get(t, pending+"?uid=ANN&extended=true").Want(t, 200, `[`+whole+`]`)
	expect.Equal(t, len(w.Refused.Take()), 1)
	w.Now = w.Now.Add(time.Hour)
	expect.OK(t, w.DB.PutLabel(t.Context(), &account.Label{UserUID: "CAT", Key: "document", Value: "replaced", Scope: account.ScopePrivate}))
	expect.Equal(t, strings.Join(w.uids("admin", pending), " "), "ANN CAT")
}
