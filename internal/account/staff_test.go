package account_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/factor"
	"barong/internal/feed"
	"barong/internal/invalid"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/policy"
)

// staffWorld is a service over an empty database with a permission for every role.
type staffWorld struct {
	*world
	made int
}

var everyRole = []string{"superadmin", "admin", "technical", "accountant", "compliance", "support", "auditor", "member", "trader", "vip"}

func newStaffWorld(t testing.TB, open storetest.Opener, cfg worldtest.Config) *staffWorld {
	t.Helper()
	w := &world{&worldtest.World{T: t, Now: start}}
	w.DB = open(t, store.WithClock(func() time.Time { return w.Now }))
	w.Serve(cfg, nil, nil)
	for _, role := range everyRole {
		p := policy.Permission{Action: policy.Accept, Role: role, Verb: "ALL", Path: "api/v2"}
		w.Must(w.DB.AddPermission(t.Context(), &p))
	}
	return &staffWorld{world: w}
}

// add makes an active user of the role whose labels say so, too.
func (w *staffWorld) add(role string) account.User {
	w.T.Helper()
	w.made++
	u := account.User{
		UID: fmt.Sprintf("ID%d", w.made), Email: fmt.Sprintf("u%d@example.com", w.made), Role: role,
		State: account.StateActive,
	}
	w.Must(w.DB.AddUser(w.T.Context(), &u))
	w.Label(u.UID, "email", "verified", account.ScopePrivate)
	return w.Reload(u.UID)
}

// state gives a user one that no label gives.
func (w *staffWorld) state(u account.User, state string) account.User {
	w.T.Helper()
	w.Put(u.UID, func(u *account.User) { u.State, u.AdminState = state, state })
	return w.Reload(u.UID)
}

// withOTP switches one-time codes on, with everything that comes with them.
func (w *staffWorld) withOTP(u account.User) account.User {
	w.T.Helper()
	w.Put(u.UID, func(u *account.User) { u.OTP = true })
	w.Label(u.UID, "otp", "enabled", account.ScopePrivate)
	w.Must(w.DB.PutTOTPSecret(w.T.Context(), factor.TOTPSecret{UserUID: u.UID, Secret: []byte("12345678901234567890")}))
	return w.Reload(u.UID)
}

// aboutUsers are the activities of staff, newest first.
func (w *staffWorld) aboutUsers() []audit.Activity {
	w.T.Helper()
	rows, _, err := w.DB.Activities(w.T.Context(), audit.Query{Category: audit.CategoryAdmin, Limit: 100})
	w.Must(err)
	return slices.DeleteFunc(rows, func(a audit.Activity) bool { return a.ActorKind == "service" }) // the fixture's
}

// writes are the four by their names; each would go through on an active member with
// one-time codes.
func (w *staffWorld) writes() map[string]func(by account.Actor, uid string) error {
	ctx := w.T.Context()
	return map[string]func(by account.Actor, uid string) error{
		"state": func(by account.Actor, uid string) error { return w.setState(ctx, by, uid, "banned") },
		"otp":   func(by account.Actor, uid string) error { return w.Accounts.SwitchOffOTP(ctx, by, uid) },
		"email": func(by account.Actor, uid string) error { return w.Accounts.SetEmail(ctx, by, uid, "to@example.com") },
		"role":  func(by account.Actor, uid string) error { return w.Accounts.SetRole(ctx, by, uid, "trader") },
	}
}

// D24, every role on every role: staff change only lower ranks, superadmins any.
func TestStaffChangeLowerRanksOnly(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{MemberRoles: []string{"member", "trader", "vip"}})
	ranks := map[string]int{"superadmin": 4, "auditor": 3, "admin": 2, "technical": 1, "accountant": 1, "compliance": 1, "support": 1}
	power := maps.Clone(ranks)
	power["auditor"] = 0 // nobody has placed it: nobody but superadmins touches it, and it touches nobody
	w.add("superadmin")  // so that nobody is the last one
	for _, mine := range everyRole {
		for _, theirs := range everyRole {
			var want error
			switch {
			case mine == "superadmin":
			case theirs == "superadmin":
				want = account.ErrSuperadminOnly
			case ranks[theirs] >= power[mine]:
				want = account.ErrRank
			}
			for name, write := range w.writes() {
				by, u := w.add(mine), w.withOTP(w.add(theirs))
				want := want
				if want == nil && name == "email" && mine != "superadmin" {
					want = account.ErrEmailSuperadmin
				}
				if theirs == "trader" && name == "role" && want == nil {
					continue // no change
				}
				err := write(actor(by), u.UID)
				if !errors.Is(err, want) {
					t.Errorf("%s of a %s by a %s: got %v, want %v", name, theirs, mine, err, want)
				}
				if changed := !cmp.Equal(w.Reload(u.UID), u); changed != (want == nil) {
					t.Errorf("%s of a %s by a %s: changed %v, want %v", name, theirs, mine, changed, want == nil)
				}
				if name == "email" { // free the address
					w.Put(u.UID, func(v *account.User) { v.Email = u.Email })
				}
			}
		}
	}
}

// D24: granting superadmin needs one, and nobody gives more than they have.
func TestRolesThatAreGiven(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{
		StaffRoles:  []string{"superadmin", "admin", "compliance", "support", "auditor"},
		MemberRoles: []string{"member", "trader", "vip"},
	})
	for name, c := range map[string]struct {
		by, from, to string
		want         error
	}{
		"a superadmin gives superadmin":            {"superadmin", "member", "superadmin", nil},
		"a superadmin takes superadmin":            {"superadmin", "superadmin", "member", nil},
		"a superadmin gives admin":                 {"superadmin", "member", "admin", nil},
		"an admin does not give superadmin":        {"admin", "member", "superadmin", account.ErrSuperadminOnly},
		"an admin does not take superadmin":        {"admin", "superadmin", "member", account.ErrSuperadminOnly},
		"an admin does not give admin":             {"admin", "member", "admin", account.ErrRank},
		"an admin gives support":                   {"admin", "member", "support", nil},
		"an admin takes support":                   {"admin", "support", "member", nil},
		"an admin does not take admin":             {"admin", "admin", "member", account.ErrRank},
		"compliance does not give superadmin":      {"compliance", "member", "superadmin", account.ErrSuperadminOnly},
		"compliance does not give admin":           {"compliance", "member", "admin", account.ErrRank},
		"compliance does not give another's rank":  {"compliance", "member", "support", account.ErrRank},
		"compliance does not give its own":         {"compliance", "member", "compliance", account.ErrRank},
		"compliance turns a member into a trader":  {"compliance", "member", "trader", nil},
		"compliance does not change support":       {"compliance", "support", "member", account.ErrRank},
		"a role of the operator's own is of staff": {"compliance", "auditor", "member", account.ErrRank},
		"the settings name the members' roles":     {"compliance", "vip", "member", nil},
		"a role of the settings is given":          {"compliance", "member", "vip", nil},
		"compliance gives no role of no rank":      {"compliance", "member", "technical", account.ErrRank},
		"an admin gives no role of no rank":        {"admin", "member", "technical", account.ErrRank},
		"an admin does not take it":                {"admin", "technical", "member", account.ErrRank},
		"a superadmin gives a role of no rank":     {"superadmin", "member", "technical", nil},
		"who has a role of no rank gives nothing":  {"technical", "member", "technical", account.ErrRank},
	} {
		t.Run(name, func(t *testing.T) {
			by, u := w.add(c.by), w.add(c.from)
			err := w.Accounts.SetRole(t.Context(), actor(by), u.UID, c.to)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			want := c.to
			if c.want != nil {
				want = c.from
			}
			if got := w.Reload(u.UID).Role; got != want {
				t.Errorf("the role is %s, want %s", got, want)
			}
		})
	}
}

// The first refusal when several rules are broken.
func TestStaffRefusalsInOrder(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{})
	super, admin := w.add("superadmin"), w.add("admin")
	member, other := w.add("member"), w.add("admin")
	w.ServiceAccount(member, "SI1")
	banned := w.state(w.add("member"), "banned")
	ctx := t.Context()
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"nobody before everything":        {func() error { return w.Accounts.SwitchOffOTP(ctx, actor(admin), "ID404") }, account.ErrNotFound},
		"a service account is nobody":     {func() error { return w.setState(ctx, actor(admin), "SI1", "banned") }, account.ErrNotFound},
		"a superadmin before the address": {func() error { return w.Accounts.SetEmail(ctx, actor(admin), super.UID, "x") }, account.ErrSuperadminOnly},
		"oneself before the rank":         {func() error { return w.setState(ctx, actor(admin), admin.UID, "active") }, account.ErrSelf},
		"a superadmin oneself":            {func() error { return w.Accounts.SetRole(ctx, actor(super), super.UID, "member") }, account.ErrSelf},
		"the rank before the address":     {func() error { return w.Accounts.SetEmail(ctx, actor(admin), other.UID, "x") }, account.ErrRank},
		"the address before its syntax":   {func() error { return w.Accounts.SetEmail(ctx, actor(admin), member.UID, "x") }, account.ErrEmailSuperadmin},
		"asked about nobody":              {func() error { return w.Accounts.MayChange(ctx, actor(admin), "ID404") }, account.ErrNoUser},
		"asked about a superadmin":        {func() error { return w.Accounts.MayChange(ctx, actor(admin), super.UID) }, account.ErrSuperadminOnly},
		"asked about oneself":             {func() error { return w.Accounts.MayChange(ctx, actor(admin), admin.UID) }, account.ErrSelf},
		"asked about an equal":            {func() error { return w.Accounts.MayChange(ctx, actor(admin), other.UID) }, account.ErrRank},
		"asked by another role than now": {func() error {
			return w.Accounts.MayChange(ctx, account.Actor{UID: admin.UID, Role: "superadmin"}, member.UID)
		}, account.ErrActorChanged},
		"asked about a member":      {func() error { return w.Accounts.MayChange(ctx, actor(admin), member.UID) }, nil},
		"switching off what is off": {func() error { return w.Accounts.SwitchOffOTP(ctx, actor(super), member.UID) }, account.NoChange{Field: "otp"}},
		"the same state":            {func() error { return w.setState(ctx, actor(admin), banned.UID, "banned") }, account.NoChange{Field: "state"}},
		"the same state of no rule": {func() error {
			return w.setState(ctx, actor(admin), w.state(w.add("member"), "odd").UID, "odd")
		}, account.NoChange{Field: "state"}},
		"the same address, folded": {func() error {
			return w.Accounts.SetEmail(ctx, actor(super), member.UID, " "+strings.ToUpper(member.Email))
		}, account.NoChange{Field: "email"}},
		"the same role":                 {func() error { return w.Accounts.SetRole(ctx, actor(admin), member.UID, "member") }, account.NoChange{Field: "role"}},
		"the rank before the same role": {func() error { return w.Accounts.SetRole(ctx, actor(admin), other.UID, "admin") }, account.ErrRank},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		do   func() error
		want []string
	}{
		"a state that nothing knows": {func() error { return w.setState(ctx, actor(admin), member.UID, "whatever") }, []string{"state.inclusion"}},
		"a state in another case":    {func() error { return w.setState(ctx, actor(admin), member.UID, "Banned") }, []string{"state.inclusion"}},
		"a role without permissions": {func() error { return w.Accounts.SetRole(ctx, actor(admin), member.UID, "king") }, []string{"role.doesnt_exist"}},
		"an address without shape":   {func() error { return w.Accounts.SetEmail(ctx, actor(super), member.UID, "bad_format") }, []string{"email.invalid"}},
		"an address too long": {func() error {
			return w.Accounts.SetEmail(ctx, actor(super), member.UID, strings.Repeat("a", 251)+"@x.io")
		}, []string{"email.too_long"}},
		"an address of another's": {func() error {
			return w.Accounts.SetEmail(ctx, actor(super), member.UID, " "+strings.ToUpper(other.Email))
		}, []string{"email.taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, tokens(c.do())); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if got := w.aboutUsers(); len(got) != 0 {
		t.Errorf("refusals left %+v", got)
	}
	if d := cmp.Diff(member, w.Reload(member.UID)); d != "" {
		t.Errorf("refusals changed (-want +got):\n%s", d)
	}
}

// The traces of every write on every engine: row, sessions, keys, feed, activity (D11, AZ-286,
// D24).
func TestWhatStaffWritesLeave(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		for name, c := range map[string]struct {
			prepare  func(*staffWorld, account.User) account.User
			do       func(*staffWorld, account.Actor, string) error
			want     func(*account.User)
			sessions bool // end
			keys     bool // stop
			data     string
		}{
			"banning": {
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.setState(t.Context(), by, uid, "banned")
				},
				want:     func(u *account.User) { u.State, u.AdminState = "banned", "banned" },
				sessions: true, keys: true, data: `{"before":{"state":"active"},"after":{"state":"banned"}}`,
			},
			"setting pending": {
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.setState(t.Context(), by, uid, "pending")
				},
				want: func(u *account.User) { u.State, u.AdminState = "pending", "pending" },
				keys: true, data: `{"before":{"state":"active"},"after":{"state":"pending"}}`,
			},
			"from one ban to another": {
				prepare: func(w *staffWorld, u account.User) account.User { return w.state(u, "locked") },
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.setState(t.Context(), by, uid, "deleted")
				},
				want: func(u *account.User) { u.State, u.AdminState = "deleted", "deleted" },
				keys: true, data: `{"before":{"state":"locked"},"after":{"state":"deleted"}}`,
			},
			"unbanning": {
				prepare: func(w *staffWorld, u account.User) account.User { return w.state(u, "banned") },
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.setState(t.Context(), by, uid, "active")
				},
				want: func(u *account.User) { u.State, u.AdminState = "active", "" },
				data: `{"before":{"state":"banned"},"after":{"state":"active"}}`,
			},
			"switching one-time codes off": {
				prepare: func(w *staffWorld, u account.User) account.User { return w.withOTP(u) },
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.Accounts.SwitchOffOTP(t.Context(), by, uid)
				},
				want:     func(u *account.User) { u.OTP = false },
				sessions: true, keys: true, data: `{"before":{"otp":true},"after":{"otp":false}}`,
			},
			"another address": {
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.Accounts.SetEmail(t.Context(), by, uid, " New@Example.com")
				},
				want:     func(u *account.User) { u.Email = "new@example.com" },
				sessions: true, data: `{"before":{"email":"u2@example.com"},"after":{"email":"new@example.com"}}`,
			},
			"another role": {
				do: func(w *staffWorld, by account.Actor, uid string) error {
					return w.Accounts.SetRole(t.Context(), by, uid, "support")
				},
				want:     func(u *account.User) { u.Role = "support" },
				sessions: true, data: `{"before":{"role":"member"},"after":{"role":"support"}}`,
			},
		} {
			t.Run(name, func(t *testing.T) {
				w := newStaffWorld(t, open, worldtest.Config{})
				super, u := w.add("superadmin"), w.add("member")
				if c.prepare != nil {
					u = c.prepare(w, u)
				}
				bot, off := w.ServiceAccount(u, "SI1"), w.ServiceAccount(u, "SI2")
				off.State = account.StateDisabled
				w.Must(w.DB.PutServiceAccount(t.Context(), &off))
				mine, its := w.Key(u.UID, account.KindUser), w.Key(bot.UID, account.KindServiceAccount)
				head, err := w.DB.Head(t.Context())
				w.Must(err)

				w.Must(c.do(w, actor(super), u.UID))

				got, want := w.Reload(u.UID), u
				c.want(&want)
				if (got.SessionGeneration > u.SessionGeneration) != c.sessions || got.Version <= u.Version {
					t.Errorf("generation %d after %d, version %d after %d; want sessions to end: %v",
						got.SessionGeneration, u.SessionGeneration, got.Version, u.Version, c.sessions)
				}
				want.SessionGeneration, want.Version = got.SessionGeneration, got.Version
				want.LockVersion, want.UpdatedAt = u.LockVersion+1, got.UpdatedAt
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("user (-want +got):\n%s", d)
				}
				key := apikey.Active
				if c.keys {
					key = apikey.Inactive
				}
				if x, y := w.KeyState(u.UID, mine), w.KeyState(bot.UID, its); x != key || y != key {
					t.Errorf("keys are %s and %s, want %s", x, y, key)
				}
				bot, err = w.DB.ServiceAccount(t.Context(), bot.UID)
				w.Must(err)
				off, err = w.DB.ServiceAccount(t.Context(), off.UID)
				w.Must(err)
				if bot.State != got.State || off.State != account.StateDisabled {
					t.Errorf("service accounts are %s and %s, want %s and disabled", bot.State, off.State, got.State)
				}
				if !got.OTP {
					if _, err := w.DB.TOTPSecret(t.Context(), u.UID); !errors.Is(err, account.ErrNotFound) {
						t.Errorf("secret: got %v, want none", err)
					}
					if _, err := w.DB.Label(t.Context(), u.UID, "otp", "private"); !errors.Is(err, account.ErrNotFound) {
						t.Errorf("label otp: got %v, want none", err)
					}
				}
				changes, _, err := w.DB.Changes(t.Context(), head, 10)
				w.Must(err)
				if len(changes) == 0 || changes[0].Seq != head.Seq+1 || changes[len(changes)-1].Seq != head.Seq+1 ||
					!hasChange(changes, feed.Change{Seq: head.Seq + 1, Kind: feed.Principal, Ref: u.UID}) {
					t.Errorf("feed: got %+v, want one transaction with the principal", changes)
				}
				rows := w.aboutUsers()
				if len(rows) != 1 {
					t.Fatalf("got %d activities, want 1", len(rows))
				}
				rows[0].ID = 0
				if d := cmp.Diff(audit.Activity{
					ActorUID: super.UID, ActorKind: "user", ActorRef: super.UID, TargetUID: u.UID,
					Category: "admin", IP: "10.1.2.3", IPCountry: "Ukraine", UserAgent: browser.UserAgent,
					Topic: "users", Action: "update", Result: "succeed", Data: c.data, CreatedAt: w.Now,
				}, rows[0]); d != "" {
					t.Errorf("activity (-want +got):\n%s", d)
				}
			})
		}
	})
}

func hasChange(list []feed.Change, c feed.Change) bool {
	for _, x := range list {
		if x == c {
			return true
		}
	}
	return false
}

// setState is SetState without the labels that hold the state.
func (w *staffWorld) setState(ctx context.Context, by account.Actor, uid, state string) error {
	_, err := w.Accounts.SetState(ctx, by, uid, state)
	return err
}

// W-I17: the more restrictive of the states by staff and by labels is the user's; the labels go on when
// staff make the user active.
func TestStateByStaffAgainstLabels(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{})
	admin := w.add("admin")
	for name, c := range map[string]struct {
		labels []string // to begin with, beside email
		set    []string // by staff, one after the other
		then   func(uid string)
		want   string
	}{
		"a ban outlives new labels": {
			set: []string{"banned"}, want: "banned",
			then: func(uid string) { w.Label(uid, "phone", "verified", "private") },
		},
		"a ban by staff outlives the label that gave the same": {
			labels: []string{"ban"}, set: []string{"active", "banned"}, want: "banned",
			then: func(uid string) { w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, uid, "ban", "private")) },
		},
		"after an unban labels ban again": {
			set: []string{"banned", "active"}, want: "locked",
			then: func(uid string) { w.Label(uid, "lock", "now", "private") },
		},
		"staff do not lift what a label gives": {
			labels: []string{"ban"}, set: []string{"active"}, want: "banned",
			then: func(uid string) { w.Label(uid, "phone", "verified", "private") },
		},
		"the label that held it gone, a user whom staff made active is": {
			labels: []string{"ban"}, set: []string{"active"}, want: "active",
			then: func(uid string) { w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, uid, "ban", "private")) },
		},
		"a ban by staff is replaced by a label's that is more": {
			set: []string{"banned"}, want: "locked",
			then: func(uid string) { w.Label(uid, "lock", "now", "private") },
		},
		"and comes back after it": {
			set: []string{"banned"}, want: "banned",
			then: func(uid string) {
				w.Label(uid, "lock", "now", "private")
				w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, uid, "lock", "private"))
			},
		},
		"a deletion is more than any": {
			set: []string{"deleted"}, want: "deleted",
			then: func(uid string) { w.Label(uid, "lock", "now", "private") },
		},
		"pending by staff waits for staff": {
			set: []string{"pending"}, want: "pending",
			then: func(uid string) { w.Label(uid, "phone", "verified", "private") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := w.add("member")
			for _, key := range c.labels {
				w.Label(u.UID, key, "yes", "private")
			}
			for _, state := range c.set {
				w.Must(w.setState(t.Context(), actor(admin), u.UID, state))
			}
			c.then(u.UID)
			if got := w.Reload(u.UID).State; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Somebody must be left that can put things right (D24): a superadmin that is not active changes
// nobody, and an active one changes others only.
func TestLastActiveSuperadmin(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newStaffWorld(t, open, worldtest.Config{})
		waiting, last := w.state(w.add("superadmin"), "pending"), w.add("superadmin")
		w.state(w.add("superadmin"), "banned")
		for name, do := range map[string]func() error{
			"another role": func() error { return w.Accounts.SetRole(t.Context(), actor(waiting), last.UID, "admin") },
			"banned":       func() error { return w.setState(t.Context(), actor(waiting), last.UID, "banned") },
			"pending":      func() error { return w.setState(t.Context(), actor(waiting), last.UID, "pending") },
		} {
			if err := do(); !errors.Is(err, account.ErrActorChanged) {
				t.Errorf("%s: got %v, want ErrActorChanged", name, err)
			}
		}
		if d := cmp.Diff(last, w.Reload(last.UID)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		w.Must(w.Accounts.SetRole(t.Context(), actor(last), waiting.UID, "admin"))
		second := w.add("superadmin")
		w.Must(w.Accounts.SetRole(t.Context(), actor(second), last.UID, "member"))
	})
}

// Two superadmins remove each other at once: one stays.
func TestSuperadminsRemoveEachOther(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newStaffWorld(t, open, worldtest.Config{})
		for range 10 {
			a, b := w.add("superadmin"), w.add("superadmin")
			errs := make([]error, 2)
			var wg sync.WaitGroup
			wg.Go(func() { errs[0] = w.Accounts.SetRole(context.WithoutCancel(t.Context()), actor(a), b.UID, "member") })
			wg.Go(func() { errs[1] = w.setState(context.WithoutCancel(t.Context()), actor(b), a.UID, "banned") })
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, account.ErrActorChanged) {
					t.Errorf("got %v, want ErrActorChanged", err)
				}
			}
			if won != 1 {
				t.Fatalf("%d of two went through, want one: %v", won, errs)
			}
			n, err := w.DB.CountUsers(t.Context(), "superadmin", "active")
			w.Must(err)
			if n != 1 {
				t.Fatalf("%d active superadmins, want 1", n)
			}
			for _, u := range []account.User{a, b} { // out of the next round
				w.Put(u.UID, func(u *account.User) { u.Role, u.State = "member", "active" })
			}
		}
	})
}

// The actor counts as the row says inside the transaction, not as when the request came in.
func TestActorIsReadAgain(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{})
	u := w.withOTP(w.add("member"))
	gone := account.Actor{UID: "ID404", Role: "superadmin", Client: browser}
	demoted, banned, pending := w.add("superadmin"), w.add("superadmin"), w.add("superadmin")
	was := []account.Actor{gone, actor(demoted), actor(banned), actor(pending)}
	w.Put(demoted.UID, func(u *account.User) { u.Role = "support" })
	w.Put(banned.UID, func(u *account.User) { u.State = "banned" })
	w.Put(pending.UID, func(u *account.User) { u.State = "pending" })
	for _, by := range was {
		for name, write := range w.writes() {
			if err := write(by, u.UID); !errors.Is(err, account.ErrActorChanged) {
				t.Errorf("%s by %s: got %v, want ErrActorChanged", name, by.UID, err)
			}
		}
	}
	if d := cmp.Diff(u, w.Reload(u.UID)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// An address that somebody takes between the look and the write is taken all the same.
func TestEmailRace(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newStaffWorld(t, open, worldtest.Config{})
		super := w.add("superadmin")
		users := make([]account.User, 6)
		for i := range users {
			users[i] = w.add("member")
		}
		errs := make([]error, len(users))
		var wg sync.WaitGroup
		for i, u := range users {
			wg.Go(func() {
				ctx := context.WithoutCancel(t.Context())
				if i%2 == 0 {
					errs[i] = w.Accounts.SetEmail(ctx, actor(super), u.UID, "one@example.com")
					return
				}
				u.Email = "one@example.com" // as any other writer does
				errs[i] = w.DB.PutUser(ctx, &u)
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			bad, broken := errors.AsType[invalid.Fields](err)
			switch {
			case err == nil:
				won++
			case i%2 == 0 && (!broken || !cmp.Equal(bad.Tokens(), []string{"email.taken"})):
				t.Errorf("got %v, want email.taken", err)
			}
		}
		if won != 1 {
			t.Errorf("%d got the address, want one", won)
		}
	})
}

// The operator's commands may do as superadmins may, leave an activity that names the command, and do
// not take the last active superadmin away.
func TestOperatorChangesUsers(t *testing.T) {
	w := newStaffWorld(t, storetest.Open, worldtest.Config{MemberRoles: []string{"member", "trader"}})
	ctx, by := t.Context(), account.Operator("users lock")
	boss, second, member := w.add("superadmin"), w.add("superadmin"), w.withOTP(w.add("member"))
	w.Must(w.setState(ctx, by, member.UID, "locked"))
	w.Must(w.Accounts.SetRole(ctx, by, member.UID, "trader"))
	w.Must(w.Accounts.SwitchOffOTP(ctx, by, member.UID))
	got := w.Reload(member.UID)
	if got.State != "locked" || got.Role != "trader" || got.OTP || got.SessionGeneration == member.SessionGeneration {
		t.Errorf("got %+v, want a locked trader without codes and sessions", got)
	}
	rows := w.aboutUsers()
	for _, r := range rows {
		if r.ActorKind != "operator" || r.ActorRef != "users lock" || r.ActorUID != "" || r.TargetUID != member.UID {
			t.Errorf("got activity %+v, want one of the command about %s", r, member.UID)
		}
	}
	if len(rows) != 3 {
		t.Errorf("got %d activities, want 3", len(rows))
	}

	w.Must(w.setState(ctx, by, second.UID, "locked"))
	for name, change := range map[string]func() error{
		"state": func() error { return w.setState(ctx, by, boss.UID, "locked") },
		"role":  func() error { return w.Accounts.SetRole(ctx, by, boss.UID, "member") },
	} {
		if err := change(); !errors.Is(err, account.ErrLastSuperadmin) {
			t.Errorf("%s: got %v, want ErrLastSuperadmin", name, err)
		}
	}
	if err := w.Accounts.SetRole(ctx, by, "IDNOBODY", "member"); !errors.Is(err, account.ErrNoUser) {
		t.Errorf("got %v, want ErrNoUser", err)
	}
}
