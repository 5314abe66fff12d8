package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/secret"
)

func (w *world) signIn(email, password, code string) (account.SignedIn, error) {
	return w.svc.SignIn(w.t.Context(), account.SignIn{Email: email, Password: password, OTPCode: code, Client: browser})
}

// secondFactor switches one-time codes on and returns a function that returns the code of now.
func (w *world) secondFactor(u account.User) (code func() string) {
	w.t.Helper()
	setup, err := w.svc.OTPSecret(w.t.Context(), actor(u))
	w.must(err)
	code = func() string {
		c, err := totp.GenerateCode(setup.Secret, w.now)
		w.must(err)
		return c
	}
	_, err = w.svc.EnableOTP(w.t.Context(), actor(u), code())
	w.must(err)
	w.now = w.now.Add(time.Minute)
	return code
}

// Identity 9.6 under D3 and W-I1; §6.7.
func TestSignIn(t *testing.T) {
	const login, login2 = "session login ", "session login::2fa "
	for name, c := range map[string]struct {
		state, password string
		want            error
		activity        string
	}{
		"an active user":                        {"active", password, nil, login + "succeed"},
		"a pending user":                        {"pending", password, nil, login + "succeed"},
		"a wrong password":                      {"active", "x", account.ErrBadCredentials, login + `failed {"reason":"Invalid Email or Password"}`},
		"a banned user with a wrong password":   {"banned", "x", account.ErrBadCredentials, login + `failed {"reason":"Invalid Email or Password"}`},
		"a banned user with the right password": {"banned", password, account.ErrBanned, login + `failed {"reason":"Your account is banned"}`},
		"a deleted user":                        {"deleted", password, account.ErrDeleted, login + `failed {"reason":"Your account is deleted"}`},
		"a locked user":                         {"locked", password, account.ErrNotActive, login + `failed {"reason":"Your account is not active"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, account.Config{})
			u := w.user("a@example.com", 1)
			w.put(u.UID, func(u *account.User) { u.State = c.state })
			got, err := w.signIn(" A@Example.com", c.password, "")
			if !errors.Is(err, c.want) || (err == nil) != (got.UID == u.UID) {
				t.Errorf("got %s, %v; want %v", got.UID, err, c.want)
			}
			if d := cmp.Diff([]string{c.activity}, w.activities(u.UID)); d != "" {
				t.Errorf("activities (-want +got):\n%s", d)
			}
			if err == nil && w.slept != 0 || err != nil && w.slept != 300*time.Millisecond {
				t.Errorf("slept %v; want the floor after a refusal only", w.slept)
			}
		})
	}

	t.Run("an unknown e-mail costs what a wrong password costs", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		if _, err := w.signIn("nobody@example.com", password, ""); !errors.Is(err, account.ErrBadCredentials) {
			t.Errorf("err = %v, want ErrBadCredentials", err)
		}
		if w.hasher.matches != 1 || w.slept != 300*time.Millisecond {
			t.Errorf("%d matches, slept %v; want one and the floor", w.hasher.matches, w.slept)
		}
	})

	t.Run("second factor", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		u := w.user("a@example.com", 1)
		code := w.secondFactor(u)
		before := len(w.activities(u.UID))
		for _, step := range []struct {
			password, code string
			want           error
		}{
			{"x", code(), account.ErrBadCredentials},
			{password, "", account.ErrMissingOTP},
			{password, "abcdef", account.ErrInvalidOTP},
			{password, code(), nil},
			{password, code(), account.ErrOTPReplay},
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
		}, w.activities(u.UID)[before:]); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})

	t.Run("an old digest is replaced", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		u := w.user("a@example.com", 1)
		w.put(u.UID, func(u *account.User) { u.PasswordDigest = "old:" + password })
		_, err := w.signIn("a@example.com", password, "")
		w.must(err)
		if got := w.reload(u.UID).PasswordDigest; got != "new:"+password {
			t.Errorf("digest %q, want a new one", got)
		}
	})

	t.Run("a full pool is an outage", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		w.hasher.fail = secret.ErrBusy
		if _, err := w.signIn("nobody@example.com", password, ""); !errors.Is(err, secret.ErrBusy) {
			t.Errorf("err = %v, want secret.ErrBusy", err)
		}
	})

	t.Run("an unknown browser is noted", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		u := w.user("a@example.com", 1)
		_, err := w.svc.SignIn(t.Context(), account.SignIn{Email: u.Email, Password: password})
		w.must(err)
		if d := cmp.Diff([]string{login + `succeed {"note":"Detected suspicious browser"}`}, w.activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})
}

func TestSignOutIsRecorded(t *testing.T) {
	w := newWorld(t, account.Config{})
	u := w.user("a@example.com", 1)
	w.must(w.svc.SignedOut(t.Context(), actor(u)))
	if d := cmp.Diff([]string{"session logout succeed"}, w.activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

func TestPrintingTellsNoSecret(t *testing.T) {
	for _, v := range []any{
		account.User{PasswordDigest: "hush"}, account.NewUser{Password: "hush"}, account.SignIn{Password: "hush", OTPCode: "hush"}, account.SignedIn{Device: "hush"},
		account.APIKey{Secret: "hush"}, account.KeyRecord{Secret: []byte("hush")}, account.NewKey(account.KeyRecord{Secret: []byte("hush")}),
		account.TOTPSecret{Secret: []byte("hush")}, account.OTPSetup{Secret: "hush"}, account.Seeded{Password: "hush"},
		account.SignUp{Password: "hush"}, account.Confirmation{Token: "hush"}, account.Reset{Token: "hush", Password: "hush"},
		account.Auth0{OTPCode: "hush"}, account.SignedIn{Device: "hush"},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hush") || strings.Contains(text, "104 117 115 104") {
				t.Errorf("%s of %T tells %s", verb, v, text)
			}
		}
	}
}
