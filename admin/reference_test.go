package admin_test

import (
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/expect"
)

// These tests repeat those statements of the reference's own suite that no other test of this package
// holds; docs/statements.tsv has them all.

// A superadmin decides about another's profile.
func TestReferenceSuperadmins(t *testing.T) {
	w := newWorld(t)
	w.addUser("other")
	w.PutUser("OTHER", func(u *account.User) { u.Role = account.RoleSuperadmin })
	w.submitted("OTHER")
	a := w.as("superadmin").JSON(t, "PUT", profiles, m{"uid": "OTHER", "state": "verified"})
	expect.Equal(t, a.Status, 200)
	expect.Equal(t, w.profile("OTHER").State, "verified")
	expect.Equal(t, w.labelsOf("OTHER"), []string{"private profile:verified"})
}

// Without parameters the list of users is its first page of a hundred, by row, without profiles.
func TestReferenceListOfUsers(t *testing.T) {
	w, _ := crowd(t)
	a := w.as("admin").Get(t, users)
	expect.Equal(t, []string{a.Header.Get("Page"), a.Header.Get("Per-Page"), a.Header.Get("Total")}, []string{"1", "100", itoa(int64(len(w.roles) + 3))})
	var all []map[string]any
	a.Into(t, &all)
	expect.Equal(t, len(all), len(w.roles)+3)
	last := int64(0)
	for _, u := range all {
		expect.Equal(t, len(u), 9)
		if _, has := u["profiles"]; has {
			t.Errorf("%v has profiles", u["uid"])
		}
		if id := w.User(u["uid"].(string)).ID; id <= last {
			t.Errorf("%v is out of order", u["uid"])
		} else {
			last = id
		}
	}
	// Sealed names are no filter: the list is the same.
	expect.Equal(t, strings.Join(w.uids("admin", users+"?first_name=Ann&last_name=Berezniy&country=MLT"), " "), "ANN")
}

// A refused change, and one that takes nothing away, leaves API keys active.
func TestReferenceKeysStayActive(t *testing.T) {
	w := newWorld(t)
	w.key("MEMBER", "0123456789abcdef")
	for _, body := range []m{{"uid": "MEMBER", "otp": true}, {"uid": "MEMBER", "state": "active"}} {
		for _, route := range [][2]string{{"PUT", users}, {"POST", users + "/update"}} {
			if a := w.as("admin").JSON(t, route[0], route[1], body); a.Status != 422 {
				t.Errorf("%v: %d %s", body, a.Status, a.Body)
			}
			expect.Equal(t, w.keyState("MEMBER", "0123456789abcdef"), "active")
		}
	}
}
