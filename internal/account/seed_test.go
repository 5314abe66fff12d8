package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"barong/internal/account"
	"barong/internal/account/worldtest"
)

// AZ-420.
func TestSeedUsers(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	seeds := []account.SeedUser{
		{Email: "admin@peatio.tech", Password: password, Role: "superadmin", State: "active", Level: ptr(2)},
		{Email: "Plain@peatio.tech", Level: ptr(0)},
		{Email: "bad@peatio.tech", Password: "weak", Level: ptr(0)},
		{Email: "odd@peatio.tech", State: "active", Level: ptr(0)},
	}
	done, err := w.Accounts.SeedUsers(ctx, seeds)
	w.Must(err)
	admin := w.Reload(done[0].UID)
	if admin.Role != "superadmin" || admin.State != "active" || admin.Level != 2 || admin.AdminState != "" || done[0].Password != "" {
		t.Errorf("admin: %s %s level %d, admin state %q", admin.Role, admin.State, admin.Level, admin.AdminState)
	}
	plain := w.Reload(done[1].UID)
	if plain.Email != "plain@peatio.tech" || plain.Role != "member" || plain.State != "pending" || done[1].Password == "" ||
		plain.PasswordDigest != "new:"+done[1].Password {
		t.Errorf("plain: %s %s %s", plain.Email, plain.Role, plain.State)
	}
	if strings.Contains(fmt.Sprintf("%v%#v%+v", done[1], done[1], done[1]), done[1].Password) {
		t.Error("printing tells the password")
	}
	if got := tokens(done[2].Err); len(got) != 1 || got[0] != "password.requirements" || done[2].UID != "" {
		t.Errorf("bad: %v, want password.requirements", got)
	}
	if odd := w.Reload(done[3].UID); odd.State != "active" || odd.AdminState != "active" {
		t.Errorf("odd: %s, admin state %q; want a state the labels do not give to stand", odd.State, odd.AdminState)
	}
	again, err := w.Accounts.SeedUsers(ctx, seeds[:2])
	w.Must(err)
	for i, one := range again {
		if !one.Skipped || one.UID != done[i].UID {
			t.Errorf("seeded twice: %v skipped %v", one, one.Skipped)
		}
	}
	for want, seed := range map[string]account.SeedUser{
		"Email missing in users seed":                                     {Level: ptr(1)},
		"Level is missing for user x@peatio.tech":                         {Email: "x@peatio.tech"},
		"No enough levels found in database to grant the user to level 4": {Email: "x@peatio.tech", Level: ptr(4)},
	} {
		if _, err := w.Accounts.SeedUsers(ctx, []account.SeedUser{seed}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := w.DB.UserByEmail(ctx, "x@peatio.tech"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a user above the ladder was left behind (%v)", err)
	}
}

func TestSeedLevels(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	n, err := w.Accounts.SeedLevels(t.Context(), []account.SeedLevel{
		{Key: "email", Value: "verified"}, {Key: "phone", Value: "verified"}, {Key: "document", Value: "verified"},
		{Key: "address", Value: "verified"},
	})
	levels, _ := w.DB.Levels(t.Context())
	if err != nil || n != 1 || len(levels) != 4 || levels[3].ID != 4 || levels[3].Key != "address" || *levels[0].Description != "e-mail" {
		t.Errorf("added %d (%v): %v", n, err, levels)
	}
	if _, err := w.Accounts.SeedLevels(t.Context(), []account.SeedLevel{{Key: "mail", Value: "verified"}}); err == nil {
		t.Error("a rung was replaced by another")
	}
}
