package factor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/signin"
)

// W-R13, D11, AZ-286, T-OTP-1…3.
func TestOTPLifeCycle(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u := w.User("a@example.com", 1)
	a := w.ServiceAccount(u, "SI0000000001")
	mine, its := w.Key(u.UID, account.KindUser), w.Key(a.UID, account.KindServiceAccount)
	me := actor(u)

	_, disabled := w.Codes.DisableOTP(ctx, me, "123456")
	for name, refused := range map[string]error{
		"disable": disabled,
		"verify":  w.Codes.VerifyOTP(ctx, me, "123456"),
		"gate":    w.Codes.RequireOTP(ctx, me, "123456"),
	} {
		if !errors.Is(refused, factor.ErrOTPNotEnabled) {
			t.Errorf("%s while off: %v, want ErrOTPNotEnabled", name, refused)
		}
	}
	if _, err := w.Codes.EnableOTP(ctx, me, "123456"); !errors.Is(err, factor.ErrInvalidOTP) {
		t.Errorf("enable without a secret: %v, want ErrInvalidOTP", err)
	}
	setup, err := w.Codes.OTPSecret(ctx, me)
	w.Must(err)
	if want := "otpauth://totp/Barong:a@example.com?algorithm=SHA1&digits=6&issuer=Barong&period=30&secret=" + setup.Secret; setup.URL != want {
		t.Errorf("url %s\nwant %s", setup.URL, want)
	}
	if !strings.HasPrefix(string(setup.PNG), "\x89PNG") || strings.Contains(fmt.Sprintf("%v %#v", setup, setup), setup.Secret) {
		t.Error("the QR code is no PNG, or printing the setup tells the secret")
	}

	code := w.SecondFactor(u)
	on := w.Reload(u.UID)
	if !on.OTP || on.SessionGeneration <= u.SessionGeneration || on.Level != 1 || on.State != "active" {
		t.Errorf("after enabling: otp %v, generation %d, level %d, %s", on.OTP, on.SessionGeneration, on.Level, on.State)
	}
	if l, err := w.DB.Label(ctx, u.UID, "otp", account.ScopePrivate); err != nil || l.Value != "enabled" {
		t.Errorf("label %v (%v), want otp:enabled", l.Value, err)
	}
	if got := w.KeyState(u.UID, mine); got != "active" { // T-ADMU-2
		t.Errorf("key is %s after enabling, want active", got)
	}
	if _, err := w.Codes.EnableOTP(ctx, me, code()); !errors.Is(err, factor.ErrOTPEnabled) {
		t.Errorf("enable twice: %v, want ErrOTPEnabled", err)
	}
	if _, err := w.Codes.OTPSecret(ctx, me); !errors.Is(err, factor.ErrOTPEnabled) {
		t.Errorf("new secret while on: %v, want ErrOTPEnabled", err)
	}
	w.Must(w.Codes.RequireOTP(ctx, me, " "+code()+" "))
	for name, c := range map[string]struct {
		code string
		want error
	}{
		"none": {" ", factor.ErrMissingOTP}, "wrong": {"12345x", factor.ErrInvalidOTP}, "used": {code(), factor.ErrOTPReplay},
	} {
		if err := w.Codes.RequireOTP(ctx, me, c.code); !errors.Is(err, c.want) {
			t.Errorf("gate, code %s: %v, want %v", name, err, c.want)
		}
	}
	w.Now = w.Now.Add(time.Minute)
	w.Must(w.Codes.VerifyOTP(ctx, me, code()))
	if err := w.Codes.VerifyOTP(ctx, me, "x"); !errors.Is(err, factor.ErrInvalidOTP) {
		t.Errorf("verify a wrong code: %v, want ErrInvalidOTP", err)
	}

	w.Now = w.Now.Add(time.Minute)
	generation, err := w.Codes.DisableOTP(ctx, me, code())
	w.Must(err)
	off := w.Reload(u.UID)
	if off.OTP || off.SessionGeneration <= on.SessionGeneration || generation != off.SessionGeneration {
		t.Errorf("after disabling: otp %v, generation %d (told %d)", off.OTP, off.SessionGeneration, generation)
	}
	if _, err := w.DB.Label(ctx, u.UID, "otp", account.ScopePrivate); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("label after disabling: %v, want none", err)
	}
	if _, err := w.DB.TOTPSecret(ctx, u.UID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("secret after disabling: %v, want none", err)
	}
	if a, b := w.KeyState(u.UID, mine), w.KeyState(a.UID, its); a != "inactive" || b != "inactive" {
		t.Errorf("keys are %s, %s after disabling; want inactive", a, b)
	}
	if d := cmp.Diff([]string{
		`otp disable 2FA failed {"reason":"2FA has not been enabled for this account"}`,
		`otp verify 2FA code failed {"reason":"2FA has not been enabled for this account"}`,
		`otp enable 2FA failed {"reason":"OTP code is invalid"}`,
		"otp request QR code for 2FA succeed",
		"otp request QR code for 2FA succeed",
		"otp enable 2FA succeed",
		`otp enable 2FA failed {"reason":"2FA has been already enabled for this account"}`,
		`otp request QR code for 2FA failed {"reason":"2FA has been already enabled for this account"}`,
		`otp verify 2FA code failed {"reason":"OTP code is invalid"}`,
		"otp disable 2FA succeed",
	}, w.Activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

// A session that ended between the code and the commit changes nothing.
func TestAnEndedSessionSwitchesNothing(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	code := w.SecondFactor(u)
	w.Now = w.Now.Add(time.Minute)
	me := actor(u)
	me.Session = account.SessionMark{ID: [32]byte{1}, Generation: w.Reload(u.UID).SessionGeneration}
	w.Must(w.DB.EndSession(t.Context(), time.Hour, me.Session.ID))
	if _, err := w.Codes.DisableOTP(t.Context(), me, code()); !errors.Is(err, account.ErrSessionEnded) || !w.Reload(u.UID).OTP {
		t.Errorf("%v, second factor on: %v; want ErrSessionEnded, true", err, w.Reload(u.UID).OTP)
	}
	if _, err := w.SignIns.SignOutEverywhere(t.Context(), me); !errors.Is(err, account.ErrSessionEnded) {
		t.Errorf("sign out everywhere: %v, want ErrSessionEnded", err)
	}
	w.Now = w.Now.Add(time.Minute)
	me.Session.ID, me.NextSessionID = [32]byte{2}, [32]byte{3}
	if _, err := w.Codes.DisableOTP(t.Context(), me, code()); err != nil {
		t.Errorf("from one that stands: %v", err)
	}
}

// W-I3: wrong codes count together, wherever they are tried; right ones do not.
func TestFiveWrongCodesCloseEveryDoor(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u := w.User("a@example.com", 1)
	code := w.SecondFactor(u)
	me := actor(u)
	wrong := []func() error{
		func() error {
			_, err := w.SignIns.SignIn(ctx, signin.SignIn{Email: u.Email, Password: password, OTPCode: "x", Client: browser})
			return err
		},
		func() error { return w.Codes.RequireOTP(ctx, me, "x") },
		func() error { return w.Codes.VerifyOTP(ctx, me, "x") },
		func() error { _, err := w.Codes.DisableOTP(ctx, me, "x"); return err },
	}
	w.Must(w.Codes.VerifyOTP(ctx, me, code()))
	for i := range 5 {
		if err := wrong[i%len(wrong)](); !errors.Is(err, factor.ErrInvalidOTP) {
			t.Errorf("wrong code %d: %v, want ErrInvalidOTP", i+1, err)
		}
	}
	w.Now = w.Now.Add(time.Minute)
	for i, try := range wrong {
		if err := try(); !errors.Is(err, limit.ErrTooMany) {
			t.Errorf("door %d: %v, want ErrTooManyAttempts", i, err)
		}
	}
	err := w.Codes.VerifyOTP(ctx, me, code())
	if many, ok := errors.AsType[limit.TooMany](err); !ok || many.RetryAfter != 2*time.Minute {
		t.Errorf("the right code now: %v, want to wait 2 minutes", err)
	}
	w.Now = w.Now.Add(2 * time.Minute)
	w.Must(w.Codes.VerifyOTP(ctx, me, code()))
}

func TestSecretsPerHourAreBounded(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	for range 5 {
		_, err := w.Codes.OTPSecret(t.Context(), actor(u))
		w.Must(err)
	}
	if _, err := w.Codes.OTPSecret(t.Context(), actor(u)); !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("sixth: %v, want ErrTooManyAttempts", err)
	}
}

// betweenTimes is a limit.Store that does something once, when a good code is given back its try.
type betweenTimes struct {
	limit.Memory
	then func()
}

func (b *betweenTimes) Return(ctx context.Context, key string, r limit.Rule, now time.Time) error {
	if then := b.then; then != nil {
		b.then = nil
		then()
	}
	return b.Memory.Return(ctx, key, r, now)
}

// A second factor is switched on with the secret whose code was shown, or not at all: else its
// owner is locked out by a secret that no app may have.
func TestEnableOTPWithTheSecretOfTheCode(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	limits := &betweenTimes{}
	w.Serve(worldtest.Config{}, w.Hasher, limits)
	u := w.User("a@example.com", 1)
	setup, err := w.Codes.OTPSecret(t.Context(), actor(u))
	w.Must(err)
	code, err := totp.GenerateCode(setup.Secret, w.Now)
	w.Must(err)
	limits.then = func() { _, err := w.Codes.OTPSecret(t.Context(), actor(u)); w.Must(err) }
	if _, err := w.Codes.EnableOTP(t.Context(), actor(u), code); !errors.Is(err, factor.ErrInvalidOTP) || w.Reload(u.UID).OTP {
		t.Errorf("a secret that was replaced meanwhile: %v, on %v; want ErrInvalidOTP", err, w.Reload(u.UID).OTP)
	}
	w.SecondFactor(u)
	if !w.Reload(u.UID).OTP {
		t.Error("it cannot be switched on any more")
	}
}
