package account_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	passwords "barong/internal/password"
	"barong/internal/secret"
)

// The rules of new users (T-USR-3, T-USR-4).
func TestCreateUserTellsEveryBrokenRuleInOrder(t *testing.T) {
	w := newWorld(t, worldtest.Config{Passwords: passwords.Rules{Dictionary: common}})
	taken := w.User("taken@example.com", 0)
	w.Put(taken.UID, func(u *account.User) { u.Username = ptr("nick") })
	good := account.UserInput{Email: "new@example.com", Password: password}
	for name, c := range map[string]struct {
		change func(*account.UserInput)
		want   []string
	}{
		"bad e-mail and weak password": {func(n *account.UserInput) { n.Email, n.Password = "bad_format", "Password1" },
			[]string{"email.invalid", "password.weak"}},
		"password without shape": {func(n *account.UserInput) { n.Password = "password" }, []string{"password.requirements"}},
		"blank e-mail":           {func(n *account.UserInput) { n.Email = " " }, []string{"email.invalid", "email.blank"}},
		"e-mail taken in another case": {func(n *account.UserInput) { n.Email = " Taken@Example.com " },
			[]string{"email.taken"}},
		"username of 13": {func(n *account.UserInput) { n.Username = ptr("qwertyuiopasd") }, []string{"username.too_long"}},
		"username with signs": {func(n *account.UserInput) { n.Username = ptr("qwerty@=") },
			[]string{"username.invalid"}},
		"empty username": {func(n *account.UserInput) { n.Username = ptr("") },
			[]string{"username.too_short", "username.invalid"}},
		"username taken in another case": {func(n *account.UserInput) { n.Username = ptr("NICK") },
			[]string{"username.taken"}},
		"data that is no object":    {func(n *account.UserInput) { n.Data = ptr("[1]") }, []string{"data.invalid_format"}},
		"long text as data":         {func(n *account.UserInput) { n.Data = ptr(strings.Repeat("x", 1025)) }, []string{"data.too_long", "data.invalid_format"}},
		"a role nobody has":         {func(n *account.UserInput) { n.Role = "king" }, []string{"role.doesnt_exist"}},
		"a referral nobody has":     {func(n *account.UserInput) { n.Referral = ptr("ID0000000000") }, []string{"referral_id.doesnt_exist"}},
		"a blank password is first": {func(n *account.UserInput) { n.Email, n.Password = "x", "" }, []string{"password.blank", "email.invalid"}},
		"a long one too": {func(n *account.UserInput) { n.Email, n.Password = "x", password+strings.Repeat("a", 65) },
			[]string{"password.too_long", "email.invalid"}},
		"everything else": {func(n *account.UserInput) {
			n.Data, n.Role, n.Referral, n.Email, n.Username, n.Password = ptr("x"), "king", ptr("x"), "x", ptr("x"), "x"
		}, []string{"data.invalid_format", "role.doesnt_exist", "referral_id.doesnt_exist", "email.invalid",
			"username.too_short", "password.requirements"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := good
			c.change(&n)
			_, err := w.Accounts.CreateUser(t.Context(), n)
			if d := cmp.Diff(c.want, tokens(err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestCreateUser(t *testing.T) {
	w := newWorld(t, worldtest.Config{UIDPrefix: "gg"})
	referrer := w.User("a@example.com", 0)
	u, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
		Email: "  Bob+1@Example.COM ", Password: password, Username: ptr("Vadid"), Data: ptr(`{"language":"uk"}`),
		Referral: &referrer.UID,
	})
	w.Must(err)
	if u.Email != "bob+1@example.com" || *u.Username != "vadid" || u.PasswordDigest != "new:"+password ||
		u.Role != "member" || u.State != "pending" || u.Level != 0 || u.ReferralUID == nil ||
		*u.ReferralUID != referrer.UID || len(u.UID) != 12 || !strings.HasPrefix(u.UID, "GG") {
		t.Errorf("made %+v", u)
	}
	if _, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
		Email: "s@example.com", Password: password, Role: account.RoleSuperadmin,
	}); !errors.Is(err, account.ErrSuperadminOnly) { // D14
		t.Errorf("superadmin by sign-up: %v, want ErrSuperadminOnly", err)
	}
	w.Hasher.Fail = secret.ErrBusy
	if _, err := w.Accounts.CreateUser(t.Context(), account.UserInput{Email: "b@example.com", Password: password}); !errors.Is(err, secret.ErrBusy) {
		t.Errorf("full pool: %v, want secret.ErrBusy", err)
	}
}

func TestEmailSyntax(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	for email, ok := range map[string]bool{
		"a@localhost": true, "a.b@x.io": true, "o'neil+tag@mail.example.com": true, "жук@пример.рф": true,
		"a@b-c.org": true, "!#$%^&*{}/=?`|~@x.io": true,
		"a..b@x.io": false, ".a@x.io": false, "a.@x.io": false, "@x.io": false, "a@": false, "a": false,
		"a@x.1": false, "a@-x.io": false, "a@x-.io": false, "a@x..io": false, "a b@x.io": false, "a@x.io\n.": false,
		"a@b@x.io": false, "a,b@x.io": false, strings.Repeat("a", 65) + "@x.io": false,
		"a@x." + strings.Repeat("z", 64): false,
	} {
		_, err := w.Accounts.CreateUser(t.Context(), account.UserInput{Email: email, Password: password})
		if (err == nil) != ok {
			t.Errorf("%q: %v, want accepted %v", email, err, ok)
		}
	}
}
