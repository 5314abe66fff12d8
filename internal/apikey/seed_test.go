package apikey_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
)

const seedSecret = "0123456789abcdef0123456789abcdef"

func TestSeedKeys(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	owner := w.User("owner@example.com", 2)
	seeds := []account.SeedKey{
		{Kid: "maker-01", Secret: seedSecret, ServiceAccount: "SI0000000001", Email: "Maker@example.com", Owner: "OWNER@example.com",
			Scope: "trade, read", Networks: "192.0.2.0/24,2001:db8::1"},
		{Kid: "reader-1", ServiceAccount: "SI0000000001", Scope: "read"},
		{Kid: "lonely-1", Secret: seedSecret, ServiceAccount: "SI00000000AA", Email: "lonely@example.com", Role: account.RoleMember},
	}
	done, err := w.Keys.SeedKeys(ctx, seeds)
	w.Must(err)
	for i, one := range done {
		if one.Err != nil || one.Skipped || (one.Secret != "") != (seeds[i].Secret == "") || strings.Contains(fmt.Sprintf("%v%#v", one, one), one.Secret+"|") {
			t.Errorf("%v: %v, skipped %v, secret made up %v", one, one.Err, one.Skipped, one.Secret != "")
		}
		r, err := w.DB.KeyRecord(ctx, one.Kid)
		w.Must(err)
		want := seeds[i].Secret
		if want == "" {
			want = one.Secret
		}
		if string(r.Secret) != want || r.HolderUID != seeds[i].ServiceAccount || !r.ScopeEnforced {
			t.Errorf("%s: stored for %s, enforced %v; the secret is right: %v", one.Kid, r.HolderUID, r.ScopeEnforced, string(r.Secret) == want)
		}
	}
	r, err := w.DB.KeyRecord(ctx, "maker-01")
	w.Must(err)
	if text(r.Networks) != "192.0.2.0/24 2001:db8::1/128" || !cmp.Equal(r.Scope, []string{"trade", "read"}) || !r.ExpiresAt.IsZero() {
		t.Errorf("bounds %q, %q, %v", text(r.Networks), r.Scope, r.ExpiresAt)
	}
	for uid, want := range map[string]account.ServiceAccount{
		"SI0000000001": {Email: "maker@example.com", Role: account.RoleServiceAccount, OwnerUID: owner.UID, Level: 2, State: account.StateActive},
		"SI00000000AA": {Email: "lonely@example.com", Role: account.RoleMember, State: account.StateActive},
	} {
		a, err := w.DB.ServiceAccount(ctx, uid)
		w.Must(err)
		got := account.ServiceAccount{Email: a.Email, Role: a.Role, OwnerUID: a.OwnerUID, Level: a.Level, State: a.State}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", uid, d)
		}
	}

	// Again nothing happens, whatever the file says by now, and whatever was done to the key.
	seeds[0].Secret, seeds[0].Scope = strings.Repeat("x", 40), "withdraw"
	again, err := w.Keys.SeedKeys(ctx, seeds)
	w.Must(err)
	for _, one := range again {
		if !one.Skipped || one.Err != nil || one.Secret != "" {
			t.Errorf("again: %v, %v, skipped %v", one, one.Err, one.Skipped)
		}
	}
	after, err := w.DB.KeyRecord(ctx, "maker-01")
	w.Must(err)
	if !reflect.DeepEqual(r, after) {
		t.Errorf("again it is for %s with %q and %q", after.HolderUID, after.Scope, text(after.Networks))
	}
}

func TestSeedKeysByTheRules(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("u@example.com", 1)
	taken := w.Key(u.UID, account.KindUser)
	good := account.SeedKey{Kid: "maker-01", Secret: seedSecret, ServiceAccount: "SI0000000001", Email: "m@example.com"}
	for name, c := range map[string]struct {
		change func(k *account.SeedKey)
		want   string
	}{
		"a short kid":            {func(k *account.SeedKey) { k.Kid = "x" }, "kid.invalid"},
		"somebody's kid":         {func(k *account.SeedKey) { k.Kid = taken }, "kid.taken"},
		"a short secret":         {func(k *account.SeedKey) { k.Secret = "hunter2" }, "secret.invalid"},
		"a secret with blanks":   {func(k *account.SeedKey) { k.Secret = seedSecret + " x" }, "secret.invalid"},
		"a scope that is none":   {func(k *account.SeedKey) { k.Scope = "fly" }, "scope.unknown"},
		"withdraw without list":  {func(k *account.SeedKey) { k.Scope = "withdraw" }, "ip_whitelist.required"},
		"a network that is none": {func(k *account.SeedKey) { k.Networks = "x" }, "ip_whitelist.invalid"},
		"a uid of a user":        {func(k *account.SeedKey) { k.ServiceAccount = u.UID }, "service_account.invalid"},
		"no e-mail":              {func(k *account.SeedKey) { k.Email = "" }, "email.blank"},
		"a user's e-mail":        {func(k *account.SeedKey) { k.Email = "u@example.com" }, "email_or_uid.not_uniq"},
		"a role that is none":    {func(k *account.SeedKey) { k.Role = "pilot" }, "role.doesnt_exist"},
		"an owner that is none":  {func(k *account.SeedKey) { k.Owner = "nobody@example.com" }, "owner.doesnt_exist"},
	} {
		t.Run(name, func(t *testing.T) {
			k := good
			c.change(&k)
			done, err := w.Keys.SeedKeys(t.Context(), []account.SeedKey{k})
			w.Must(err)
			if len(done) != 1 || done[0].Err == nil || !strings.Contains(done[0].Err.Error(), c.want) || strings.Contains(done[0].Err.Error(), k.Secret) {
				t.Fatalf("got %v, want %s", done[0].Err, c.want)
			}
			if _, err := w.DB.ServiceAccount(t.Context(), good.ServiceAccount); err == nil {
				t.Error("the service account was made without its key")
			}
		})
	}
}
