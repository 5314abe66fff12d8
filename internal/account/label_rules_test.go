package account_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/audit"
	"barong/internal/store/storetest"
)

// Users set public labels of their own, under keys that mean nothing to this service (W-R7).
func TestUsersLabelThemselves(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	me, ctx := actor(u), t.Context()
	set := func(in account.LabelInput) error {
		in.UserUID = u.UID
		_, err := w.Accounts.SetLabel(ctx, me, in)
		return err
	}
	for _, key := range []string{"email", "phone", "otp", "profile", "document", "address", "delete", "ban", "lock", "suspicious"} {
		if got := tokens(set(account.LabelInput{Key: key, Value: "mine"})); !cmp.Equal(got, []string{"key.exclusion"}) {
			t.Errorf("the key %s: %v, want key.exclusion", key, got)
		}
	}
	w.Must(set(account.LabelInput{Key: "Colour", Value: "red", OnlyNew: true, Description: ptr("mine")}))
	if got := tokens(set(account.LabelInput{Key: "colour", Value: "blue", OnlyNew: true})); !cmp.Equal(got, []string{"key.taken"}) {
		t.Errorf("again: %v, want key.taken", got)
	}
	w.Must(set(account.LabelInput{Key: "colour", Value: "blue", OnlyOld: true, KeepDescription: true}))
	if l, err := w.DB.Label(ctx, u.UID, "colour", account.ScopePublic); err != nil || l.Value != "blue" || l.Description == nil {
		t.Errorf("changed to %+v, %v; want blue and the description kept", l, err)
	}
	w.Label(u.UID, "vip", "gold", account.ScopePrivate)
	for name, c := range map[string]struct{ got, want error }{
		"a private label":                   {set(account.LabelInput{Key: "vip", Value: "none", Scope: account.ScopePrivate}), account.ErrPrivateLabel},
		"a change where only a private is":  {set(account.LabelInput{Key: "vip", Value: "none", OnlyOld: true}), account.ErrPrivateLabel},
		"a change where none is":            {set(account.LabelInput{Key: "size", Value: "none", OnlyOld: true}), account.ErrNoLabel},
		"removal where only a private is":   {w.Accounts.RemoveLabel(ctx, me, u.UID, "vip", account.ScopePublic), account.ErrPrivateLabel},
		"removal of a private label":        {w.Accounts.RemoveLabel(ctx, me, u.UID, "vip", account.ScopePrivate), account.ErrPrivateLabel},
		"removal of none":                   {w.Accounts.RemoveLabel(ctx, me, u.UID, "size", account.ScopePublic), account.ErrNoLabel},
		"a public one beside a private one": {set(account.LabelInput{Key: "vip", Value: "silver"}), nil},
		"removal":                           {w.Accounts.RemoveLabel(ctx, me, u.UID, "colour", account.ScopePublic), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	got := w.Activities(u.UID)
	if d := cmp.Diff([]string{
		`account label create succeed {"after":{"key":"colour","value":"red","scope":"public"}}`,
		`account label update succeed {"before":{"key":"colour","value":"red","scope":"public"},"after":{"key":"colour","value":"blue","scope":"public"}}`,
	}, got[:2]); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	if len(got) != 4 {
		t.Errorf("%d activities, want one for each change: %q", len(got), got)
	}
	w.Put(u.UID, func(u *account.User) { u.State = account.StateBanned })
	if err := set(account.LabelInput{Key: "size", Value: "large"}); !errors.Is(err, account.ErrActorChanged) {
		t.Errorf("banned since: %v, want ErrActorChanged", err)
	}
}

// Staff label users of lower ranks, and themselves not privately (D24).
func TestStaffLabelLowerRanks(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{})
	boss, admin, other, member := w.add("superadmin"), w.add("admin"), w.add("admin"), w.add("member")
	for name, c := range map[string]struct {
		by, to account.User
		want   error
	}{
		"an admin, a member":        {admin, member, nil},
		"an admin, another":         {admin, other, account.ErrRank},
		"an admin, a superadmin":    {admin, boss, account.ErrSuperadminOnly},
		"an admin, the own account": {admin, admin, account.ErrSelf},
		"a member, another":         {member, other, account.ErrRank},
		"a superadmin, an admin":    {boss, other, nil},
	} {
		in := account.LabelInput{UserUID: c.to.UID, Key: "vip", Value: "gold", Scope: account.ScopePrivate}
		if _, err := w.Accounts.SetLabel(t.Context(), actor(c.by), in); !errors.Is(err, c.want) {
			t.Errorf("%s, set: %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			continue
		}
		w.Label(c.to.UID, "vip", "gold", account.ScopePrivate)
		if err := w.Accounts.RemoveLabel(t.Context(), actor(c.by), c.to.UID, "vip", account.ScopePrivate); !errors.Is(err, c.want) {
			t.Errorf("%s, remove: %v, want %v", name, err, c.want)
		}
	}
	if _, err := w.Accounts.SetLabel(t.Context(), actor(admin), account.LabelInput{UserUID: "ID404", Key: "vip", Value: "gold"}); !errors.Is(err, account.ErrNoUser) {
		t.Errorf("nobody: %v, want ErrNoUser", err)
	}
	var about []audit.Activity
	for _, a := range w.aboutUsers() {
		if a.Topic == "labels" && a.ActorUID == admin.UID {
			about = append(about, a)
		}
	}
	if len(about) != 1 || about[0].Action != "create" || about[0].TargetUID != member.UID ||
		about[0].Data != `{"after":{"key":"vip","value":"gold","scope":"private"}}` {
		t.Errorf("activities of the admin: %+v; want the one change, with its target", about)
	}
}
