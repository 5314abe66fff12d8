package signin_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/factor"
	"barong/internal/factor/passkeytest"
	"barong/internal/limit"
	"barong/internal/signin"
	"barong/internal/store/storetest"
)

// byPasskey signs in with the device.
func byPasskey(w *worldtest.World, d *passkeytest.Device) (signin.SignedIn, error) {
	cookie, answer := w.ShowPasskey(d)
	return w.SignIns.SignInPasskey(w.T.Context(), signin.Passkey{Cookie: cookie, Answer: answer, Client: worldtest.Browser})
}

func byPassword(w *worldtest.World, u account.User, code string) error {
	_, err := w.SignIns.SignIn(w.T.Context(), signin.SignIn{
		Email: u.Email, Password: worldtest.Password, OTPCode: code, Client: worldtest.Browser,
	})
	return err
}

// A passkey signs in by both factors: without the password and the code, with the event and the
// activity of a sign-in. The password alone does not sign in beside it.
func TestSignInByPasskey(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := worldtest.NewOn(t, worldtest.Config{}, open)
		u, d := w.User("a@example.com", 1), worldtest.NewDevice()
		w.Must(byPassword(w, u, ""))
		w.Passkey(u, d, "")
		w.News()
		for range 2 {
			in, err := byPasskey(w, d)
			w.Must(err)
			if in.UID != u.UID || in.SessionGeneration != w.Reload(u.UID).SessionGeneration {
				t.Errorf("signed in %s in generation %d", in.UID, in.SessionGeneration)
			}
		}
		if d := cmp.Diff([]string{"system.session.create:en", "system.session.create:en"}, worldtest.Names(w.News())); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		all, err := w.Codes.Passkeys(t.Context(), worldtest.ActorOf(u))
		w.Must(err)
		if all[0].SignCount != 2 || w.DB.Time().Sub(all[0].LastUsedAt).Abs() > time.Minute {
			t.Errorf("count %d, used %v; want 2 and now", all[0].SignCount, all[0].LastUsedAt)
		}
		if err := byPassword(w, u, ""); !errors.Is(err, factor.ErrMissingOTP) {
			t.Errorf("the password alone: %v, want ErrMissingOTP", err)
		}
		if err := byPassword(w, u, "123456"); !errors.Is(err, factor.ErrMissingOTP) {
			t.Errorf("the password and a code of no app: %v, want ErrMissingOTP", err)
		}
		// With one-time codes on, the passkey needs none, and a code will do without the passkey.
		code := w.SecondFactor(w.Reload(u.UID))
		_, err = byPasskey(w, d)
		w.Must(err)
		w.Must(byPassword(w, u, code()))
		if d := cmp.Diff([]string{
			"session login succeed", "otp add passkey succeed",
			"session login::passkey succeed", "session login::passkey succeed",
			`session login failed {"reason":"Passkey is missing"}`, `session login failed {"reason":"Passkey is missing"}`,
			"otp request QR code for 2FA succeed", "otp enable 2FA succeed",
			"session login::passkey succeed", "session login::2fa succeed",
		}, w.Activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	})
}

// The state of the account is told after the proof, and never before.
func TestStatesOfPasskeySignIns(t *testing.T) {
	for state, want := range map[string]error{
		account.StateActive: nil, account.StatePending: nil, account.StateBanned: signin.ErrBanned,
		account.StateDeleted: signin.ErrDeleted, account.StateLocked: signin.ErrNotActive, account.StateDisabled: signin.ErrNotActive,
	} {
		w := worldtest.New(t, worldtest.Config{})
		u, d := w.User("a@example.com", 1), worldtest.NewDevice()
		w.Passkey(u, d, "")
		w.Put(u.UID, func(u *account.User) { u.State = state })
		if _, err := byPasskey(w, d); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", state, err, want)
		}
		forged := d.Clone()
		forged.Forge = func(a *passkeytest.Answer) { a.Signature = nil }
		if _, err := byPasskey(w, forged); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("%s, not proved: %v, want ErrBadPasskey", state, err)
		}
	}
}

// A count that does not rise is a copy's or the original's: refused, and recorded. Devices that never
// count are taken.
func TestCopiedPasskey(t *testing.T) {
	w := worldtest.New(t, worldtest.Config{})
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	w.Passkey(u, d, "")
	thief := d.Clone()
	for range 2 {
		_, err := byPasskey(w, d)
		w.Must(err)
	}
	w.News()
	if _, err := byPasskey(w, thief); !errors.Is(err, factor.ErrCopiedPasskey) {
		t.Errorf("a copy: %v, want ErrCopiedPasskey", err)
	}
	if _, err := byPasskey(w, thief); !errors.Is(err, factor.ErrCopiedPasskey) { // the count of the last good use
		t.Errorf("a copy with the same count: %v, want ErrCopiedPasskey", err)
	}
	if news := w.News(); len(news) != 0 {
		t.Errorf("events %v of refusals", news)
	}
	if got := w.Activities(u.UID); got[len(got)-1] != `session login::passkey failed {"reason":"Passkey may have been copied"}` {
		t.Errorf("activities %v", got)
	}
	still := worldtest.NewDevice()
	still.Still = true
	w.Passkey(w.Reload(u.UID), still, "")
	for range 3 {
		_, err := byPasskey(w, still)
		w.Must(err)
	}
}

// Of two sign-ins by one count at once, one is let in.
func TestOneUseOfACountWins(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := worldtest.NewOn(t, worldtest.Config{}, open)
		u, d := w.User("a@example.com", 1), worldtest.NewDevice()
		w.Passkey(u, d, "")
		errs := make(chan error, 4)
		for range cap(errs) {
			cookie, answer := w.ShowPasskey(d.Clone())
			go func() {
				_, err := w.SignIns.SignInPasskey(t.Context(), signin.Passkey{Cookie: cookie, Answer: answer, Client: worldtest.Browser})
				errs <- err
			}()
		}
		var won, copied int
		for range cap(errs) {
			switch err := <-errs; {
			case err == nil:
				won++
			case errors.Is(err, factor.ErrCopiedPasskey):
				copied++
			}
		}
		if won != 1 || copied != cap(errs)-1 {
			t.Errorf("%d signed in and %d were refused, want 1 and the rest", won, copied)
		}
	})
}

// Refused passkeys count for the network; the sign-ins of an account are bounded whatever way in.
func TestPasskeySignInsAreLimited(t *testing.T) {
	w := worldtest.New(t, worldtest.Config{Limits: signin.Limits{
		SignInNetwork: limit.Rule{Burst: 3, Period: time.Hour}, SignInAll: limit.Rule{Burst: 5, Period: time.Hour},
	}})
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	w.Passkey(u, d, "")
	for range 5 {
		_, err := byPasskey(w, d)
		w.Must(err)
	}
	if _, err := byPasskey(w, d); !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("the sixth of the account: %v, want ErrTooMany", err)
	}
	forged := d.Clone()
	forged.Forge = func(a *passkeytest.Answer) { a.Signature = nil }
	slept := w.Slept
	for range 3 {
		if _, err := byPasskey(w, forged); !errors.Is(err, factor.ErrBadPasskey) {
			t.Errorf("forged: %v, want ErrBadPasskey", err)
		}
	}
	if w.Slept == slept {
		t.Error("a refusal takes no time")
	}
	if _, err := byPasskey(w, forged); !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("the fourth of the network: %v, want ErrTooMany", err)
	}
}

// Registering and deleting ask for the password, and for the code where one-time codes are on.
func TestPasskeysNeedTheirOwner(t *testing.T) {
	w := worldtest.New(t, worldtest.Config{})
	ctx := t.Context()
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	p := w.Passkey(u, d, "")
	me := worldtest.ActorOf(u)
	begin := func(password, code string) error {
		_, err := w.SignIns.BeginPasskey(ctx, me, password, code)
		return err
	}
	remove := func(password, code string) error {
		_, err := w.SignIns.DeletePasskey(ctx, me, password, code, p.ID)
		return err
	}
	for name, try := range map[string]func(string, string) error{"begin": begin, "delete": remove} {
		if err := try("wrong", ""); !errors.Is(err, signin.ErrWrongPassword) {
			t.Errorf("%s, wrong password: %v", name, err)
		}
	}
	code := w.SecondFactor(w.Reload(u.UID))
	recovery, err := w.Codes.NewRecoveryCodes(ctx, me, code())
	w.Must(err)
	w.Now = w.Now.Add(time.Minute)
	for name, try := range map[string]func(string, string) error{"begin": begin, "delete": remove} {
		for given, want := range map[string]error{"": factor.ErrMissingOTP, "x": factor.ErrInvalidOTP, recovery[0]: factor.ErrInvalidOTP} {
			if err := try(worldtest.Password, given); !errors.Is(err, want) {
				t.Errorf("%s, code %q: %v, want %v", name, given, err, want)
			}
		}
	}
	w.Now = w.Now.Add(time.Hour)
	w.Must(begin(worldtest.Password, code()))
	w.Now = w.Now.Add(time.Minute)
	w.Must(remove(worldtest.Password, code()))
	if _, err := byPasskey(w, d); !errors.Is(err, factor.ErrBadPasskey) {
		t.Errorf("a deleted one: %v, want ErrBadPasskey", err)
	}
	if got := w.Activities(u.UID); !slices.Contains(got, `otp delete passkey failed {"reason":"Invalid password"}`) ||
		!slices.Contains(got, `otp add passkey failed {"reason":"OTP code is invalid"}`) {
		t.Errorf("activities %v, want the refusals", got)
	}
}

// The first proof of an address ends the passkeys that a stranger may have left, and staff take the
// passkeys of people who have lost their devices away.
func TestPasskeysThatGo(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, d := w.User("a@example.com", 1), worldtest.NewDevice()
	w.Passkey(u, d, "")
	w.Put(u.UID, func(u *account.User) { u.Unproved, u.State = true, account.StateActive })
	w.Must(w.reset(w.resetLink(u.Email), worldtest.Password))
	if _, err := byPasskey(w.World, d); !errors.Is(err, factor.ErrBadPasskey) {
		t.Errorf("after the first proof: %v, want ErrBadPasskey", err)
	}

	boss, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
		Email: "boss@example.com", Password: worldtest.Password, Role: account.RoleSuperadmin, Level: 1, Operator: true,
	})
	w.Must(err)
	lost, phone := w.User("b@example.com", 1), worldtest.NewDevice()
	var none account.NoChange
	if err := w.Accounts.SwitchOffOTP(t.Context(), worldtest.ActorOf(boss), lost.UID); !errors.As(err, &none) {
		t.Errorf("without a second factor: %v, want NoChange", err)
	}
	w.Passkey(lost, phone, "")
	before := w.Reload(lost.UID).SessionGeneration
	w.Must(w.Accounts.SwitchOffOTP(t.Context(), worldtest.ActorOf(boss), lost.UID))
	w.Must(byPassword(w.World, lost, ""))
	if w.Reload(lost.UID).SessionGeneration <= before {
		t.Error("sessions go on")
	}
}

// A passkey that is registered while a sign-in by password is under way refuses that.
func TestPasskeyRegisteredDuringASignIn(t *testing.T) {
	cfg := worldtest.Config{}
	var w *worldtest.World
	var u account.User
	armed := false
	cfg.Commit = nil
	cfg.Begin = func() error {
		if !armed {
			return nil
		}
		armed = false
		w.Passkey(u, worldtest.NewDevice(), "")
		return nil
	}
	w = worldtest.New(t, cfg)
	u = w.User("a@example.com", 1)
	armed = true
	if err := byPassword(w, u, ""); !errors.Is(err, signin.ErrBadCredentials) {
		t.Errorf("got %v, want ErrBadCredentials", err)
	}
}
