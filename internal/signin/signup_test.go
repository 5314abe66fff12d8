package signin_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/signin"
)

func (w *world) signUp(email string) (account.User, error) {
	return w.SignIns.SignUp(w.T.Context(), signin.SignUp{Email: email, Password: password, Client: browser})
}

// Nobody becomes superadmin by signing up (D14, W-I15).
func TestSignUp(t *testing.T) {
	w := newWorld(t, worldtest.Config{Domain: "exchange.example"})
	u, err := w.SignIns.SignUp(t.Context(), signin.SignUp{
		Email: " A@Example.com", Password: password, Username: ptr("Vadid"), Data: ptr(`{"language":"UK"}`), Client: browser,
	})
	w.Must(err)
	if u.Email != "a@example.com" || *u.Username != "vadid" || u.Role != "member" || u.State != "pending" || u.Level != 0 {
		t.Errorf("signed up as %+v, want a pending member", u)
	}
	if d := cmp.Diff([]string{"account signup succeed"}, w.Activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	news := w.News()
	if d := cmp.Diff([]string{"model.user.created:uk", "system.user.email.confirmation.token:uk"}, worldtest.Names(news)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if got := worldtest.Member(news[1], "domain"); got != "exchange.example" {
		t.Errorf("domain of the link %q, want the setting", got)
	}
	in := signin.SignUp{Email: "b@example.com", Password: password, RefID: &u.UID, Language: "de-AT", Client: browser}
	v, err := w.SignIns.SignUp(t.Context(), in)
	w.Must(err)
	if v.ReferralUID == nil || *v.ReferralUID != u.UID {
		t.Errorf("referred by %v, want %s", v.ReferralUID, u.UID)
	}
	news = w.News()
	if got := worldtest.Member(news[0], "referral_uid"); got != u.UID || news[1].Language != "de" {
		t.Errorf("told: referred by %q, mail in %q; want %s, de", got, news[1].Language, u.UID)
	}
}

func TestSignUpWithoutRequirementsNeedsNoLink(t *testing.T) {
	w := newWorld(t, worldtest.Config{Activation: map[string]string{}})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	if u.State != "active" || len(w.links()) != 0 {
		t.Errorf("state %q, want active and no link", u.State)
	}
}

// Refused sign-ups.
func TestSignUpRefuses(t *testing.T) {
	w := newWorld(t, worldtest.Config{UIDPrefix: "id"})
	for name, c := range map[string]struct {
		change func(*signin.SignUp)
		want   error
		tokens []string
	}{
		"a referral of another form":  {change: func(in *signin.SignUp) { in.RefID = ptr("UID123") }, want: signin.ErrReferralFormat},
		"a referral in lower case":    {change: func(in *signin.SignUp) { in.RefID = ptr("id1231231231") }, want: signin.ErrReferralFormat},
		"an empty referral":           {change: func(in *signin.SignUp) { in.RefID = ptr("") }, want: signin.ErrReferralFormat},
		"an unknown referral":         {change: func(in *signin.SignUp) { in.RefID = ptr("ID1231231231") }, want: signin.ErrReferralUnknown},
		"the referral comes first":    {change: func(in *signin.SignUp) { in.RefID, in.Email = ptr("x"), "" }, want: signin.ErrReferralFormat},
		"data that is no JSON":        {change: func(in *signin.SignUp) { in.Data = ptr("x") }, tokens: []string{"data.invalid_format"}},
		"a long username":             {change: func(in *signin.SignUp) { in.Username = ptr("qwertyuiopasd") }, tokens: []string{"username.too_long"}},
		"a bad address and password":  {change: func(in *signin.SignUp) { in.Email, in.Password = "bad_format", "password" }, tokens: []string{"email.invalid", "password.requirements"}},
		"a password that is too long": {change: func(in *signin.SignUp) { in.Password = fmt.Sprintf("Tecohvi0%070d", 0) }, tokens: []string{"password.too_long"}},
	} {
		in := signin.SignUp{Email: "new@example.com", Password: password, Client: browser}
		c.change(&in)
		_, err := w.SignIns.SignUp(t.Context(), in)
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if d := cmp.Diff(c.tokens, tokens(err)); c.tokens != nil && d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if _, err := w.DB.UserByEmail(t.Context(), "new@example.com"); !errors.Is(err, account.ErrNotFound) || len(w.News()) != 0 {
		t.Errorf("a refused sign-up left a user or an event: %v", err)
	}
}

// A free refusal reveals nothing of others: neither an address nor a referrer (W-I4).
func TestFreeRefusalsOfSignUpTellNothing(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("taken@example.com", 0)
	for range 20 {
		_, err := w.SignIns.SignUp(t.Context(), signin.SignUp{Email: "taken@example.com", Password: "weak", Client: browser})
		if d := cmp.Diff([]string{"password.requirements"}, tokens(err)); d != "" {
			t.Fatalf("a taken address with a bad password (-want +got):\n%s", d)
		}
	}
	for n := range 11 {
		_, err := w.SignIns.SignUp(t.Context(), signin.SignUp{
			Email: "new@example.com", Password: "weak", RefID: &u.UID, Client: browser,
		})
		if _, refused := tooMany(err); refused != (n == 10) {
			t.Errorf("try %d of a referrer: %v", n+1, err)
		}
	}
}

// Ten an hour, also of those that reveal an existing user; typing errors are free (W-I4).
func TestSignUpsAreLimitedByNetwork(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	w.User("taken@example.com", 0)
	for range 20 {
		_, err := w.SignIns.SignUp(t.Context(), signin.SignUp{Email: "new@example.com", Password: "weak", Client: browser})
		if _, ok := tooMany(err); ok {
			t.Fatalf("a weak password counted: %v", err)
		}
	}
	for i := range 10 {
		email := "taken@example.com"
		if i%2 == 0 {
			email = fmt.Sprintf("new%d@example.com", i)
		}
		if _, err := w.signUp(email); errors.Is(err, limit.ErrTooMany) {
			t.Fatalf("sign-up %d: %v", i+1, err)
		}
	}
	for _, email := range []string{"taken@example.com", "other@example.com"} {
		if _, err := w.signUp(email); !errors.Is(err, limit.ErrTooMany) {
			t.Errorf("sign-up of %s after ten: %v, want TooManyAttempts", email, err)
		}
	}
}

// W-I4: after three sign-ups of a network without a captcha in an hour, one is asked for, where
// there is one to ask for.
func TestSignUpsWithoutCaptchaAreFew(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	n := 0
	signUp := func(unproved bool, from account.Client) error {
		n++
		_, err := w.SignIns.SignUp(t.Context(), signin.SignUp{
			Email: fmt.Sprintf("a%d@example.com", n), Password: password, Unproved: unproved, Client: from,
		})
		return err
	}
	for range 3 {
		w.Must(signUp(true, browser))
	}
	if err := signUp(true, browser); !errors.Is(err, captcha.ErrRequired) || errors.Is(err, limit.ErrTooMany) {
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
	w.Now = w.Now.Add(20 * time.Minute)
	if err := signUp(true, browser); err != nil {
		t.Errorf("a third of an hour later: %v", err)
	}
}
