package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/limit"
	"barong/internal/store/storetest"
)

// The rules of a label's key, value and scope.
func TestSetLabelChecksFoldedText(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	for name, c := range map[string]struct {
		label account.LabelInput
		want  []string
	}{
		"blanks first, then scope":     {account.LabelInput{Scope: "secret"}, []string{"key.blank", "value.blank", "scope.inclusion"}},
		"short and foreign characters": {account.LabelInput{Key: "a", Value: "b c"}, []string{"key.too_short", "value.invalid"}},
		"long":                         {account.LabelInput{Key: strings.Repeat("k", 256), Value: "abc"}, []string{"key.too_long"}},
		"long description":             {account.LabelInput{Key: "abc", Value: "abc", Description: ptr(strings.Repeat("d", 256))}, []string{"description.too_long"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.label.UserUID = u.UID
			_, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, c.label)
			if d := cmp.Diff(c.want, tokens(err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	l, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: u.UID, Key: " EMAIL ", Value: "Verified"})
	if err != nil || l.Key != "email" || l.Value != "verified" || l.Scope != account.ScopePublic || l.ID == 0 {
		t.Errorf("got %+v (%v), want it folded and public", l, err)
	}
	if _, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: "ID0", Key: "abc", Value: "abc"}); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("label of nobody: %v, want ErrNotFound", err)
	}
	if err := w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, "none", account.ScopePublic); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("remove what is not there: %v, want ErrNotFound", err)
	}
}

// The state follows the labels (T-USR-7).
func TestStateFollowsPrivateLabels(t *testing.T) {
	w := newWorld(t, worldtest.Config{
		Activation: map[string]string{"phone": "verified", "documents": "verified"},
		Triggers: []account.Trigger{
			{State: "one", Keys: []string{"email"}},
			{State: "three", Keys: []string{"first", "second", "third"}},
		},
	})
	u := w.User("a@example.com", 0)
	set := func(key string) { w.Label(u.UID, key, "verified", account.ScopePrivate) }
	remove := func(key string) {
		w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, key, account.ScopePrivate))
	}
	for i, step := range []struct {
		do   func(string)
		key  string
		want string
	}{
		{set, "phone", "pending"},
		{set, "documents", "active"},
		{set, "random", "active"},
		{remove, "random", "active"},
		{set, "first", "three"},
		{set, "email", "three"},
		{remove, "first", "one"},
		{remove, "email", "active"},
		{set, "emails", "active"},
		{remove, "phone", "pending"},
		{remove, "documents", "pending"},
	} {
		step.do(step.key)
		if got := w.Reload(u.UID).State; got != step.want {
			t.Errorf("step %d (%s): %s, want %s", i+1, step.key, got, step.want)
		}
	}
	w.Label(u.UID, "email", "verified", account.ScopePublic) // W-I16
	set("noise")
	if got := w.Reload(u.UID).State; got != "pending" {
		t.Errorf("a public trigger label: %s, want pending", got)
	}
	w.Put(u.UID, func(u *account.User) { u.State, u.AdminState = "frozen", "frozen" }) // W-I17
	set("first")
	if got := w.Reload(u.UID).State; got != "frozen" {
		t.Errorf("a state that staff set: %s, want it to stand", got)
	}
}

// T-LBL-1.
func TestLevelFollowsPrivateLabelsInOrder(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	for i, step := range []struct {
		key, value, scope string
		want              int
	}{
		{"email", "verified", account.ScopePublic, 0},
		{"document", "verified", account.ScopePrivate, 0},
		{"email", "verified", account.ScopePrivate, 1},
		{"phone", "verified", account.ScopePrivate, 3},
		{"phone", "rejected", account.ScopePrivate, 1},
		{"phone", "verified", account.ScopePublic, 1},
		{"email", "rejected", account.ScopePrivate, 0},
	} {
		w.Label(u.UID, step.key, step.value, step.scope)
		if got := w.Reload(u.UID).Level; got != step.want {
			t.Errorf("step %d (%s %s:%s): level %d, want %d", i+1, step.scope, step.key, step.value, got, step.want)
		}
	}
}

// Whatever the rules and the history, level and state are a function of the labels that there are, at
// every step, of this user and of its service account; those of others stay.
func TestLevelAndStateAreAFunctionOfTheLabels(t *testing.T) {
	keys := []string{"email", "phone", "document", "ban", "delete", "suspicious", "other"}
	values := []string{"verified", "rejected"}
	states := []string{"banned", "deleted", "locked", "special"}
	rules := rapid.Custom(func(t *rapid.T) worldtest.Config {
		cfg := worldtest.Config{Activation: rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 1, 3).Draw(t, "activation")}
		for range rapid.IntRange(1, 4).Draw(t, "triggers") {
			cfg.Triggers = append(cfg.Triggers, account.Trigger{
				State: rapid.SampledFrom(states).Draw(t, "state"),
				Keys:  rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 1, 3, rapid.ID[string]).Draw(t, "keys"),
			})
		}
		return cfg
	})
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := &world{worldtest.NewOn(t, worldtest.Config{}, open)}
		n := 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			cfg := worldtest.Config{}
			if rapid.Bool().Draw(t, "other rules") {
				cfg = rules.Draw(t, "rules")
			}
			cfg.Mail = worldtest.Letters{}
			w.Serve(cfg, w.Hasher, new(limit.Memory))
			u, other := w.User(fmt.Sprintf("a%d@example.com", n), 0), w.User(fmt.Sprintf("b%d@example.com", n), 0)
			robot := w.ServiceAccount(u, fmt.Sprintf("SI%010d", n))
			m := model{cfg: cfg, have: map[labelKey]string{}}
			if cfg.Activation == nil { // the shipped ones
				m.cfg.Activation = map[string]string{"email": "verified"}
				m.cfg.Triggers = []account.Trigger{
					{State: "banned", Keys: []string{"ban"}}, {State: "deleted", Keys: []string{"delete"}}, {State: "locked", Keys: []string{"suspicious"}},
				}
			}
			begun := false // before the first private label nobody has computed anything
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				k := labelKey{rapid.SampledFrom(keys).Draw(t, "key"), rapid.SampledFrom([]string{"public", "private"}).Draw(t, "scope")}
				begun = begun || k.scope == account.ScopePrivate
				if _, there := m.have[k]; there && rapid.Bool().Draw(t, "remove") {
					w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, u.UID, k.key, k.scope))
					delete(m.have, k)
				} else {
					m.have[k] = rapid.SampledFrom(values).Draw(t, "value")
					w.Label(u.UID, k.key, m.have[k], k.scope)
				}
				if begun && m.staff == "" && rapid.IntRange(0, 9).Draw(t, "staff") == 0 { // W-I17
					m.staff = "frozen"
					w.Put(u.UID, func(u *account.User) { u.State, u.AdminState = m.state(), m.staff })
				}
				if !begun {
					continue
				}
				got := w.Reload(u.UID)
				if got.Level != m.level() || got.State != m.state() {
					t.Fatalf("%v under %+v: level %d, %s; want %d, %s", m.have, m.cfg, got.Level, got.State, m.level(), m.state())
				}
				its, err := w.DB.ServiceAccount(w.T.Context(), robot.UID)
				w.Must(err)
				if its.Level != m.level() {
					t.Fatalf("the service account has level %d, its owner %d", its.Level, m.level())
				}
			}
			if now := w.Reload(other.UID); now.Level != other.Level || now.State != other.State || now.Version != other.Version {
				t.Fatalf("another user: %+v, was %+v", now, other)
			}
		})
	})
}

type labelKey struct{ key, scope string }

// model is the naive meaning of a user's labels.
type model struct {
	cfg   worldtest.Config
	have  map[labelKey]string
	staff string // the state that staff has set, "" for none
}

func (m model) level() int {
	level := 0
	for _, rung := range []string{"email", "phone", "document"} {
		if m.have[labelKey{rung, "private"}] != "verified" {
			break
		}
		level++
	}
	return level
}

func (m model) state() string {
	state := "active"
	for key, value := range m.cfg.Activation {
		if m.have[labelKey{key, "private"}] != value {
			state = "pending"
		}
	}
	for _, trigger := range m.cfg.Triggers {
		for _, key := range trigger.Keys {
			if m.have[labelKey{key, "private"}] != "" {
				state = trigger.State
			}
		}
	}
	if m.staff != "" && state != "deleted" { // of the states here that one alone is more than frozen
		return m.staff
	}
	return state
}

// AZ-286, AZ-287, D11, W-R21.
func TestAStateChangeReachesSessionsKeysAndServiceAccounts(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	a, gone := w.ServiceAccount(u, "SI0000000001"), w.ServiceAccount(u, "SI0000000002")
	gone.State = account.StateDisabled
	w.Must(w.DB.PutServiceAccount(t.Context(), &gone))
	mine, its := w.Key(u.UID, account.KindUser), w.Key(a.UID, account.KindServiceAccount)
	account2 := func(uid string) account.ServiceAccount {
		a, err := w.DB.ServiceAccount(t.Context(), uid)
		w.Must(err)
		return a
	}

	w.Label(u.UID, "phone", "verified", account.ScopePrivate)
	if got := w.Reload(u.UID); got.SessionGeneration != u.SessionGeneration || w.KeyState(u.UID, mine) != "active" {
		t.Error("a higher level ended sessions or keys")
	}
	if got := account2(a.UID).Level; got != 2 {
		t.Errorf("service account of level %d, want its owner's 2", got)
	}

	w.Label(u.UID, "ban", "fraud", account.ScopePrivate)
	banned := w.Reload(u.UID)
	if banned.State != "banned" || banned.SessionGeneration <= u.SessionGeneration {
		t.Errorf("%s of generation %d, want banned and one more", banned.State, banned.SessionGeneration)
	}
	if x, y := w.KeyState(u.UID, mine), w.KeyState(a.UID, its); x != "inactive" || y != "inactive" {
		t.Errorf("keys are %s, %s; want inactive", x, y)
	}
	if got := account2(a.UID).State; got != "banned" {
		t.Errorf("service account is %s, want banned", got)
	}

	w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, "ban", account.ScopePrivate))
	back := w.Reload(u.UID)
	if back.State != "active" || back.SessionGeneration != banned.SessionGeneration {
		t.Errorf("%s of generation %d, want active and no further end", back.State, back.SessionGeneration)
	}
	if got := account2(a.UID).State; got != "active" {
		t.Errorf("service account is %s, want active again", got)
	}
	if got := w.KeyState(u.UID, mine); got != "inactive" {
		t.Errorf("key is %s, want it not restored", got)
	}
	if got := account2(gone.UID).State; got != "disabled" {
		t.Errorf("a service account disabled by itself is %s, want it left alone", got)
	}

	w.Label(u.UID, "email", "rejected", account.ScopePrivate)
	if got := w.Reload(u.UID); got.State != "pending" || got.SessionGeneration != back.SessionGeneration {
		t.Errorf("%s of generation %d: a pending user keeps the sessions", got.State, got.SessionGeneration)
	}
}
