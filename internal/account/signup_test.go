package account_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/captcha"
)

func (w *world) signUp(email string) (account.User, error) {
	return w.svc.SignUp(w.t.Context(), account.SignUp{Email: email, Password: password, Client: browser})
}

// Identity §9.9, §6.7, §6.8; nobody becomes superadmin by signing up (D14, W-I15).
func TestSignUp(t *testing.T) {
	w := newWorld(t, account.Config{Domain: "exchange.example"})
	u, err := w.svc.SignUp(t.Context(), account.SignUp{
		Email: " A@Example.com", Password: password, Username: ptr("Vadid"), Data: ptr(`{"language":"UK"}`), Client: browser,
	})
	w.must(err)
	if u.Email != "a@example.com" || *u.Username != "vadid" || u.Role != "member" || u.State != "pending" || u.Level != 0 {
		t.Errorf("signed up as %+v, want a pending member", u)
	}
	if d := cmp.Diff([]string{"account signup succeed"}, w.activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	news := w.news()
	if d := cmp.Diff([]string{"model.user.created:uk", "system.user.email.confirmation.token:uk"}, names(news)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if got := member(news[1], "domain"); got != "exchange.example" {
		t.Errorf("domain of the link %q, want the setting", got)
	}
	in := account.SignUp{Email: "b@example.com", Password: password, RefID: &u.UID, Language: "de-AT", Client: browser}
	v, err := w.svc.SignUp(t.Context(), in)
	w.must(err)
	if v.ReferralUID == nil || *v.ReferralUID != u.UID {
		t.Errorf("referred by %v, want %s", v.ReferralUID, u.UID)
	}
	news = w.news()
	if got := member(news[0], "referral_uid"); got != u.UID || news[1].Language != "de" {
		t.Errorf("told: referred by %q, mail in %q; want %s, de", got, news[1].Language, u.UID)
	}
}

func TestSignUpWithoutRequirementsNeedsNoLink(t *testing.T) {
	w := newWorld(t, account.Config{Activation: map[string]string{}})
	u, err := w.signUp("a@example.com")
	w.must(err)
	if u.State != "active" || len(w.links()) != 0 {
		t.Errorf("state %q, want active and no link", u.State)
	}
}

// Identity 14.3: 5 to 8, 14 to 17, 31.
func TestSignUpRefuses(t *testing.T) {
	w := newWorld(t, account.Config{UIDPrefix: "id"})
	for name, c := range map[string]struct {
		change func(*account.SignUp)
		want   error
		tokens []string
	}{
		"a referral of another form":  {change: func(in *account.SignUp) { in.RefID = ptr("UID123") }, want: account.ErrReferralFormat},
		"a referral in lower case":    {change: func(in *account.SignUp) { in.RefID = ptr("id1231231231") }, want: account.ErrReferralFormat},
		"an empty referral":           {change: func(in *account.SignUp) { in.RefID = ptr("") }, want: account.ErrReferralFormat},
		"an unknown referral":         {change: func(in *account.SignUp) { in.RefID = ptr("ID1231231231") }, want: account.ErrReferralUnknown},
		"the referral comes first":    {change: func(in *account.SignUp) { in.RefID, in.Email = ptr("x"), "" }, want: account.ErrReferralFormat},
		"data that is no JSON":        {change: func(in *account.SignUp) { in.Data = ptr("x") }, tokens: []string{"data.invalid_format"}},
		"a long username":             {change: func(in *account.SignUp) { in.Username = ptr("qwertyuiopasd") }, tokens: []string{"username.too_long"}},
		"a bad address and password":  {change: func(in *account.SignUp) { in.Email, in.Password = "bad_format", "password" }, tokens: []string{"email.invalid", "password.requirements"}},
		"a password that is too long": {change: func(in *account.SignUp) { in.Password = fmt.Sprintf("Tecohvi0%070d", 0) }, tokens: []string{"password.too_long"}},
	} {
		in := account.SignUp{Email: "new@example.com", Password: password, Client: browser}
		c.change(&in)
		_, err := w.svc.SignUp(t.Context(), in)
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if d := cmp.Diff(c.tokens, tokens(err)); c.tokens != nil && d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if _, err := w.db.UserByEmail(t.Context(), "new@example.com"); !errors.Is(err, account.ErrNotFound) || len(w.news()) != 0 {
		t.Errorf("a refused sign-up left a user or an event: %v", err)
	}
}

// A free refusal reveals nothing of others: neither an address nor a referrer (W-I4).
func TestFreeRefusalsOfSignUpTellNothing(t *testing.T) {
	w := newWorld(t, account.Config{})
	u := w.user("taken@example.com", 0)
	for range 20 {
		_, err := w.svc.SignUp(t.Context(), account.SignUp{Email: "taken@example.com", Password: "weak", Client: browser})
		if d := cmp.Diff([]string{"password.requirements"}, tokens(err)); d != "" {
			t.Fatalf("a taken address with a bad password (-want +got):\n%s", d)
		}
	}
	for n := range 11 {
		_, err := w.svc.SignUp(t.Context(), account.SignUp{
			Email: "new@example.com", Password: "weak", RefID: &u.UID, Client: browser,
		})
		if _, refused := tooMany(err); refused != (n == 10) {
			t.Errorf("try %d of a referrer: %v", n+1, err)
		}
	}
}

// Ten an hour, also of those that reveal an existing user; typing errors are free (W-I4).
func TestSignUpsAreLimitedByNetwork(t *testing.T) {
	w := newWorld(t, account.Config{})
	w.user("taken@example.com", 0)
	for range 20 {
		_, err := w.svc.SignUp(t.Context(), account.SignUp{Email: "new@example.com", Password: "weak", Client: browser})
		if _, ok := tooMany(err); ok {
			t.Fatalf("a weak password counted: %v", err)
		}
	}
	for i := range 10 {
		email := "taken@example.com"
		if i%2 == 0 {
			email = fmt.Sprintf("new%d@example.com", i)
		}
		if _, err := w.signUp(email); errors.Is(err, account.ErrTooManyAttempts) {
			t.Fatalf("sign-up %d: %v", i+1, err)
		}
	}
	for _, email := range []string{"taken@example.com", "other@example.com"} {
		if _, err := w.signUp(email); !errors.Is(err, account.ErrTooManyAttempts) {
			t.Errorf("sign-up of %s after ten: %v, want TooManyAttempts", email, err)
		}
	}
}

// W-I4: after three sign-ups of a network without a captcha in an hour, one is asked for, where
// there is one to ask for.
func TestSignUpsWithoutCaptchaAreFew(t *testing.T) {
	w := newWorld(t, account.Config{})
	n := 0
	signUp := func(unproved bool, from account.Client) error {
		n++
		_, err := w.svc.SignUp(t.Context(), account.SignUp{
			Email: fmt.Sprintf("a%d@example.com", n), Password: password, Unproved: unproved, Client: from,
		})
		return err
	}
	for range 3 {
		w.must(signUp(true, browser))
	}
	if err := signUp(true, browser); !errors.Is(err, captcha.ErrRequired) || errors.Is(err, account.ErrTooManyAttempts) {
		t.Errorf("the fourth without: %v, want a captcha", err)
	}
	if err := signUp(false, browser); err != nil {
		t.Errorf("with one: %v", err)
	}
	elsewhere := browser
	elsewhere.IP = netip.MustParseAddr("198.51.100.77")
	if err := signUp(true, elsewhere); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	w.now = w.now.Add(20 * time.Minute)
	if err := signUp(true, browser); err != nil {
		t.Errorf("a third of an hour later: %v", err)
	}
}
