package signin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/secret"
	"barong/internal/signin"
)

func (w *world) signIn(email, password, code string) (signin.SignedIn, error) {
	return w.SignIns.SignIn(w.T.Context(), signin.SignIn{Email: email, Password: password, OTPCode: code, Client: browser})
}

// A sign-in by password (D3, W-I1).
func TestSignIn(t *testing.T) {
	const login, login2 = "session login ", "session login::2fa "
	for name, c := range map[string]struct {
		state, password string
		want            error
		activity        string
	}{
		"an active user":                        {"active", password, nil, login + "succeed"},
		"a pending user":                        {"pending", password, nil, login + "succeed"},
		"a wrong password":                      {"active", "x", signin.ErrBadCredentials, login + `failed {"reason":"Invalid Email or Password"}`},
		"a banned user with a wrong password":   {"banned", "x", signin.ErrBadCredentials, login + `failed {"reason":"Invalid Email or Password"}`},
		"a banned user with the right password": {"banned", password, signin.ErrBanned, login + `failed {"reason":"Your account is banned"}`},
		"a deleted user":                        {"deleted", password, signin.ErrDeleted, login + `failed {"reason":"Your account is deleted"}`},
		"a locked user":                         {"locked", password, signin.ErrNotActive, login + `failed {"reason":"Your account is not active"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u := w.User("a@example.com", 1)
			w.Put(u.UID, func(u *account.User) { u.State = c.state })
			got, err := w.signIn(" A@Example.com", c.password, "")
			if !errors.Is(err, c.want) || (err == nil) != (got.UID == u.UID) {
				t.Errorf("got %s, %v; want %v", got.UID, err, c.want)
			}
			if d := cmp.Diff([]string{c.activity}, w.Activities(u.UID)); d != "" {
				t.Errorf("activities (-want +got):\n%s", d)
			}
			if err == nil && w.Slept != 0 || err != nil && w.Slept != floor {
				t.Errorf("slept %v; want the floor after a refusal only", w.Slept)
			}
		})
	}

	t.Run("an unknown e-mail costs what a wrong password costs", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		if _, err := w.signIn("nobody@example.com", password, ""); !errors.Is(err, signin.ErrBadCredentials) {
			t.Errorf("err = %v, want ErrBadCredentials", err)
		}
		if w.Hasher.Matches != 1 || w.Slept != floor {
			t.Errorf("%d matches, slept %v; want one and the floor", w.Hasher.Matches, w.Slept)
		}
	})

	t.Run("second factor", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		code := w.SecondFactor(u)
		before := len(w.Activities(u.UID))
		for _, step := range []struct {
			password, code string
			want           error
		}{
			{"x", code(), signin.ErrBadCredentials},
			{password, "", factor.ErrMissingOTP},
			{password, "abcdef", factor.ErrInvalidOTP},
			{password, code(), nil},
			{password, code(), factor.ErrOTPReplay},
		} {
			if _, err := w.signIn("a@example.com", step.password, step.code); !errors.Is(err, step.want) {
				t.Errorf("code %q: %v, want %v", step.code, err, step.want)
			}
		}
		if d := cmp.Diff([]string{
			login + `failed {"reason":"Invalid Email or Password"}`,
			login2 + `failed {"reason":"OTP code is missing"}`,
			login2 + `failed {"reason":"OTP code is invalid"}`,
			login2 + "succeed",
		}, w.Activities(u.UID)[before:]); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})

	t.Run("an old digest is replaced", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		w.Put(u.UID, func(u *account.User) { u.PasswordDigest = "old:" + password })
		_, err := w.signIn("a@example.com", password, "")
		w.Must(err)
		if got := w.Reload(u.UID).PasswordDigest; got != "new:"+password {
			t.Errorf("digest %q, want a new one", got)
		}
	})

	t.Run("a full pool is an outage", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		w.Hasher.Fail = secret.ErrBusy
		if _, err := w.signIn("nobody@example.com", password, ""); !errors.Is(err, secret.ErrBusy) {
			t.Errorf("err = %v, want secret.ErrBusy", err)
		}
	})

	t.Run("an unknown browser is noted", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		_, err := w.SignIns.SignIn(t.Context(), signin.SignIn{Email: u.Email, Password: password})
		w.Must(err)
		if d := cmp.Diff([]string{login + `succeed {"note":"Detected suspicious browser"}`}, w.Activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})
}

func TestSignOutIsRecorded(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.Must(w.SignIns.RecordSignOut(t.Context(), actor(u)))
	if d := cmp.Diff([]string{"session logout succeed"}, w.Activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

func TestPrintingTellsNoSecret(t *testing.T) {
	for _, v := range []any{
		account.User{PasswordDigest: "hush"}, account.UserInput{Password: "hush"}, signin.SignIn{Password: "hush", OTPCode: "hush"}, signin.SignedIn{Device: "hush"},
		apikey.Key{Secret: "hush"}, apikey.Record{Secret: []byte("hush")}, apikey.NewEntry(apikey.Record{Secret: []byte("hush")}),
		factor.TOTPSecret{Secret: []byte("hush")}, factor.Setup{Secret: "hush"}, account.Seeded{Password: "hush"},
		signin.SignUp{Password: "hush"}, signin.Confirmation{Token: "hush"}, signin.Reset{Token: "hush", Password: "hush"},
		signin.Auth0{OTPCode: "hush"}, signin.SignedIn{Device: "hush"},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hush") || strings.Contains(text, "104 117 115 104") {
				t.Errorf("%s of %T tells %s", verb, v, text)
			}
		}
	}
}
