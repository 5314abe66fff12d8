package account_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	passwords "barong/internal/password"
)

// These tests repeat the statements of the reference's own suite that are about accounts: users,
// labels, levels and states. Its statements about documents and profiles need data that is not
// kept yet; those about tokens and restrictions are held by packages token and policy.

// ladder is a world with the four levels of the reference's suite.
func ladder(t *testing.T, cfg worldtest.Config) *world {
	t.Helper()
	w := newWorld(t, cfg)
	for i, key := range []string{"email", "phone", "identity", "document"} {
		w.Must(w.DB.PutLevel(t.Context(), account.Level{ID: int64(i + 1), Key: key, Value: "verified"}))
	}
	return w
}

// Data, address, username and referral of a new user.
func TestReferenceUserFields(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	create := func(email string, change func(*account.UserInput)) (account.User, error) {
		n := account.UserInput{Email: email, Password: password}
		if change != nil {
			change(&n)
		}
		return w.Accounts.CreateUser(t.Context(), n)
	}
	first, err := create("a@example.com", func(n *account.UserInput) { n.Username = ptr("nick") })
	w.Must(err)
	for name, c := range map[string]struct {
		change func(*account.UserInput)
		want   []string
	}{
		"data has a maximum":  {func(n *account.UserInput) { n.Data = ptr(`{"a":"` + strings.Repeat("x", 1017) + `"}`) }, []string{"data.too_long"}},
		"long text, no JSON":  {func(n *account.UserInput) { n.Data = ptr(strings.Repeat("x", 1025)) }, []string{"data.too_long", "data.invalid_format"}},
		"an e-mail is needed": {func(n *account.UserInput) { n.Email = "" }, []string{"email.invalid", "email.blank"}},
		"a username, twice":   {func(n *account.UserInput) { n.Username = ptr("Nick") }, []string{"username.taken"}},
		"an unknown referral": {func(n *account.UserInput) { n.Referral = ptr("ID1231231231") }, []string{"referral_id.doesnt_exist"}},
	} {
		if _, err := create("b@example.com", c.change); !cmp.Equal(tokens(err), c.want) {
			t.Errorf("%s: %q, want %q", name, tokens(err), c.want)
		}
	}
	for _, email := range []string{"c@example.com", "d@example.com"} {
		u, err := create(email, func(n *account.UserInput) { n.Referral = &first.UID })
		w.Must(err)
		if u.Username != nil || u.ReferralUID == nil || *u.ReferralUID != first.UID {
			t.Errorf("%s: username %v, referral %v; want none, %s", email, u.Username, u.ReferralUID, first.UID)
		}
	}
	if _, err := create("e@example.com", func(n *account.UserInput) { n.Data = ptr(`{"a":"` + strings.Repeat("x", 1016) + `"}`) }); err != nil {
		t.Errorf("1024 characters of data: %v", err)
	}
}

// Passwords that are refused.
func TestReferencePasswords(t *testing.T) {
	rules := passwords.Rules{Dictionary: common}
	for _, refused := range []string{
		"Password1", "Password1123", "password", "password1", "Qq123123", "QqQq123123", "X2qL32", "eoV0qu",
	} {
		if rules.Check(refused) == nil {
			t.Errorf("%s is accepted", refused)
		}
	}
	for _, accepted := range []string{"Iequ4geiEWQw", "Xwqe213PZCXwe", "Kal31ewwqXrew"} {
		if why := rules.Check(accepted); why != nil {
			t.Errorf("%s is refused: %q", accepted, why)
		}
	}
}

// All requirements are met by private labels, or the user is pending.
func TestReferenceRequirements(t *testing.T) {
	for name, c := range map[string]struct {
		requirements, labels map[string]string
		want                 string
	}{
		"the one required label":          {map[string]string{"email": "verified"}, map[string]string{"email": "verified"}, "active"},
		"with another value":              {map[string]string{"email": "verified"}, map[string]string{"email": "pending"}, "pending"},
		"both required labels":            {map[string]string{"email": "verified", "phone": "verified"}, map[string]string{"email": "verified", "phone": "verified"}, "active"},
		"one with another value":          {map[string]string{"email": "verified", "phone": "verified"}, map[string]string{"email": "verified", "phone": "pending"}, "pending"},
		"a label beyond the requirements": {map[string]string{"email": "verified"}, map[string]string{"email": "verified", "phone": "pending"}, "active"},
	} {
		w := newWorld(t, worldtest.Config{Activation: c.requirements})
		u := w.User("a@example.com", 0)
		for key, value := range c.labels {
			w.Label(u.UID, key, value, account.ScopePrivate)
		}
		if got := w.Reload(u.UID).State; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Private labels alone count.
func TestReferencePrivateLabels(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	private := func() map[string]string {
		labels, err := w.DB.Labels(t.Context(), u.UID)
		w.Must(err)
		out := map[string]string{}
		for _, l := range labels {
			if l.Scope == account.ScopePrivate {
				out[l.Key] = l.Value
			}
		}
		return out
	}
	if got := private(); len(got) != 0 {
		t.Errorf("without labels: %v", got)
	}
	w.Label(u.UID, "email", "verified", account.ScopePrivate)
	w.Label(u.UID, "phone", "rejected", account.ScopePrivate)
	w.Label(u.UID, "vip", "gold", account.ScopePublic)
	if got, want := private(), map[string]string{"email": "verified", "phone": "rejected"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// stateSteps plays labels and checks the state after each: "+key" sets a private label,
// "-key" removes it.
func stateSteps(t *testing.T, cfg worldtest.Config, steps ...[2]string) {
	t.Helper()
	w := newWorld(t, cfg)
	u := w.User("a@example.com", 0)
	for i, s := range steps {
		if key, ok := strings.CutPrefix(s[0], "+"); ok {
			w.Label(u.UID, key, "verified", account.ScopePrivate)
		} else {
			w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, s[0][1:], account.ScopePrivate))
		}
		if got := w.Reload(u.UID).State; got != s[1] {
			t.Errorf("step %d (%s): %s, want %s", i+1, s[0], got, s[1])
		}
	}
}

// Labels change the state as requirements and triggers have it.
func TestReferenceStates(t *testing.T) {
	both := map[string]string{"phone": "verified", "documents": "verified"}
	type steps = [][2]string
	for name, c := range map[string]struct {
		cfg   worldtest.Config
		steps steps
	}{
		"a trigger": {worldtest.Config{Triggers: []account.Trigger{{State: "custom", Keys: []string{"email"}}}},
			steps{{"+email", "custom"}}},
		"requirements come and go": {worldtest.Config{Activation: both},
			steps{{"+phone", "pending"}, {"+documents", "active"}, {"+random", "active"}, {"-random", "active"}, {"-phone", "pending"}}},
		"both at last": {worldtest.Config{Activation: both}, steps{{"+documents", "pending"}, {"+phone", "active"}}},
		"each of three trigger keys": {worldtest.Config{Triggers: []account.Trigger{{State: "custom", Keys: []string{"one", "two", "three"}}}},
			steps{{"+one", "custom"}, {"-one", "pending"}, {"+two", "custom"}, {"-two", "pending"}, {"+three", "custom"}, {"-three", "pending"}}},
		"both removed": {worldtest.Config{Activation: both},
			steps{{"+phone", "pending"}, {"+documents", "active"}, {"-phone", "pending"}, {"-documents", "pending"}}},
		"one removed":        {worldtest.Config{Activation: both}, steps{{"+phone", "pending"}, {"+documents", "active"}, {"-documents", "pending"}}},
		"keys match exactly": {worldtest.Config{}, steps{{"+bank_account", "pending"}, {"+ban", "banned"}}},
		"an unrelated label": {worldtest.Config{}, steps{{"+unrelated", "pending"}}},
	} {
		t.Run(name, func(t *testing.T) { stateSteps(t, c.cfg, c.steps...) })
	}
}

// A new user is announced.
func TestReferenceLevelChangeIsTold(t *testing.T) {
	w := newWorld(t, worldtest.Config{Activation: map[string]string{"none": "needed"}})
	u := w.User("a@example.com", 0)
	w.Label(u.UID, "phone", "verified", account.ScopePrivate)
	w.News()
	w.Label(u.UID, "email", "verified", account.ScopePrivate) // from 0 to 2 at once
	news := w.News()
	told := news[len(news)-1]
	if told.Name != "model.user.updated" || string(told.Changes) != `{"level":0}` {
		t.Fatalf("%v, changes %s; want model.user.updated with the level before", worldtest.Names(news), told.Changes)
	}
	if worldtest.Member(told, "uid") != u.UID || worldtest.Member(told, "email") != u.Email || !strings.Contains(string(told.Record), `"level":2`) {
		t.Errorf("record %s", told.Record)
	}
}

// The level by labels, as they come, change and go.
func TestReferenceLevels(t *testing.T) {
	const public, private = account.ScopePublic, account.ScopePrivate
	all := func(w *world, uid string) {
		for _, key := range []string{"email", "phone", "identity", "document"} {
			w.Label(uid, key, "verified", private)
		}
	}
	remove := func(w *world, uid, key string) {
		w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, uid, key, private))
	}
	for name, c := range map[string]struct {
		play func(w *world, uid string)
		want int
	}{
		"a new user":     {func(*world, string) {}, 0},
		"a public label": {func(w *world, uid string) { w.Label(uid, "email", "verified", public) }, 0},
		"two labels": {func(w *world, uid string) {
			w.Label(uid, "email", "verified", private)
			w.Label(uid, "phone", "verified", private)
		}, 2},
		"and the third":               {func(w *world, uid string) { all(w, uid); remove(w, uid, "document") }, 3},
		"the second is rejected":      {func(w *world, uid string) { all(w, uid); w.Label(uid, "phone", "rejected", private) }, 1},
		"the third is missing":        {func(w *world, uid string) { all(w, uid); remove(w, uid, "identity") }, 2},
		"all four":                    {all, 4},
		"the first changes its value": {func(w *world, uid string) { all(w, uid); w.Label(uid, "email", "changed", private) }, 0},
		"the first is removed":        {func(w *world, uid string) { all(w, uid); remove(w, uid, "email") }, 0},
		"the last becomes public": {func(w *world, uid string) {
			all(w, uid)
			remove(w, uid, "document")
			w.Label(uid, "document", "verified", public)
		}, 3},
		"and private again": {func(w *world, uid string) {
			all(w, uid)
			remove(w, uid, "document")
			w.Label(uid, "document", "verified", public)
			w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, uid, "document", public))
			w.Label(uid, "document", "verified", private)
		}, 4},
		"#13, #14: a key in both scopes": {func(w *world, uid string) {
			w.Label(uid, "email", "verified", public)
			w.Label(uid, "email", "verified", private)
		}, 1},
		"its private value changes": {func(w *world, uid string) {
			w.Label(uid, "email", "verified", public)
			w.Label(uid, "email", "verified", private)
			w.Label(uid, "email", "changed", private)
		}, 0},
		"its private key changes": {func(w *world, uid string) {
			w.Label(uid, "email", "verified", public)
			w.Label(uid, "email", "verified", private)
			remove(w, uid, "email")
			w.Label(uid, "mail", "verified", private)
		}, 0},
		"its public value changes": {func(w *world, uid string) {
			w.Label(uid, "email", "verified", public)
			w.Label(uid, "email", "verified", private)
			w.Label(uid, "email", "changed", public)
		}, 1},
		"all of them public": {func(w *world, uid string) {
			for _, key := range []string{"email", "phone", "identity", "document"} {
				w.Label(uid, key, "verified", public)
			}
		}, 0},
	} {
		w := ladder(t, worldtest.Config{})
		u := w.User("a@example.com", 0)
		c.play(w, u.UID)
		if got := w.Reload(u.UID).Level; got != c.want {
			t.Errorf("%s: level %d, want %d", name, got, c.want)
		}
	}
	w := ladder(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	for i, key := range []string{"email", "phone", "identity", "document"} {
		w.Label(u.UID, key, "verified", private)
		if got := w.Reload(u.UID).Level; got != i+1 {
			t.Errorf("#4, %s: level %d, want %d", key, got, i+1)
		}
	}
}

// Labels are unique in their scope, and announced.
func TestReferenceLabel(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	w.News()
	l, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: u.UID, Key: "KEY", Value: "VALUE", Scope: account.ScopePublic})
	w.Must(err)
	if l.Key != "key" || l.Value != "value" {
		t.Errorf("saved as %s:%s, want lower case", l.Key, l.Value)
	}
	news := w.News()
	if len(news) != 1 || news[0].Name != "model.label.created" {
		t.Fatalf("events %v, want model.label.created", worldtest.Names(news))
	}
	for _, want := range []string{`"id":`, `"key":"key"`, `"value":"value"`, `"uid":"` + u.UID + `"`, `"level":0`, `"email":"a@example.com"`} {
		if !strings.Contains(string(news[0].Record), want) {
			t.Errorf("record %s lacks %s", news[0].Record, want)
		}
	}
	_, err = w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: "ID0000000000", Key: "key", Value: "value"})
	if !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a label of nobody: %v, want ErrNotFound", err)
	}
}
