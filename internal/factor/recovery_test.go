package factor_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/signin"
	"barong/internal/store/storetest"
)

// recovery gives u a second factor and recovery codes.
func (w *world) recovery(u account.User) (code func() string, recovery factor.RecoveryCodes) {
	w.T.Helper()
	code = w.SecondFactor(u)
	recovery, err := w.Codes.NewRecoveryCodes(w.T.Context(), actor(u), code())
	w.Must(err)
	w.Now = w.Now.Add(time.Minute)
	return code, recovery
}

func (w *world) signIn(u account.User, code string) error {
	_, err := w.SignIns.SignIn(w.T.Context(), signin.SignIn{Email: u.Email, Password: password, OTPCode: code, Client: browser})
	return err
}

func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	ctx := t.Context()
	u := w.User("a@example.com", 1)
	if _, err := w.Codes.NewRecoveryCodes(ctx, actor(u), "123456"); !errors.Is(err, factor.ErrOTPNotEnabled) {
		t.Errorf("while off: %v, want ErrOTPNotEnabled", err)
	}
	code, first := w.recovery(u)
	shape := regexp.MustCompile(`^[a-z2-7]{4}(-[a-z2-7]{4}){3}$`)
	for _, one := range first {
		if !shape.MatchString(one) {
			t.Errorf("%q has not the form that is promised", one)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(first)))); n != factor.RecoveryCodeCount {
		t.Errorf("%d different codes, want %d", n, factor.RecoveryCodeCount)
	}
	if text := fmt.Sprintf("%v %#v %s", first, first, first); strings.Contains(text, first[0]) {
		t.Error("printing the codes tells them")
	}

	// Nowhere but to sign in and to switch off.
	for name, refused := range map[string]error{
		"verify":         w.Codes.VerifyOTP(ctx, actor(u), first[0]),
		"gate":           w.Codes.RequireOTP(ctx, actor(u), first[0]),
		"delete account": w.SignIns.DeleteAccount(ctx, actor(u), password, first[0]),
		"new codes": func() error {
			_, err := w.Codes.NewRecoveryCodes(ctx, actor(u), first[0])
			return err
		}(),
	} {
		if !errors.Is(refused, factor.ErrInvalidOTP) {
			t.Errorf("%s takes a recovery code: %v", name, refused)
		}
	}
	w.Now = w.Now.Add(time.Hour)
	w.News()

	w.Must(w.signIn(u, " "+strings.ToUpper(strings.ReplaceAll(first[0], "-", ""))+" "))
	if err := w.signIn(u, first[0]); !errors.Is(err, factor.ErrInvalidOTP) {
		t.Errorf("a second use: %v, want ErrInvalidOTP", err)
	}
	var mails []event.Event
	for _, e := range w.News() {
		if e.Name == event.RecoveryCodeUsedName {
			mails = append(mails, e)
		}
	}
	if len(mails) != 1 || !strings.Contains(string(mails[0].Record), `"left":9`) || worldtest.Member(mails[0], "user_ip") != "10.1.2.3" {
		t.Errorf("events %v, want one with 9 codes left and the address", mails)
	}

	// New ones replace the old.
	second, err := w.Codes.NewRecoveryCodes(ctx, actor(u), code())
	w.Must(err)
	if err := w.signIn(u, first[1]); !errors.Is(err, factor.ErrInvalidOTP) {
		t.Errorf("a replaced code: %v, want ErrInvalidOTP", err)
	}
	if _, err := w.Codes.DisableOTP(ctx, actor(u), second[3]); err != nil {
		t.Errorf("switching off by a recovery code: %v", err)
	}
	if n, err := w.DB.RecoveryCodesLeft(ctx, u.UID); err != nil || n != 0 || w.Reload(u.UID).OTP {
		t.Errorf("%d codes left (%v) after switching off", n, err)
	}
	w.Must(w.signIn(u, ""))
	if d := cmp.Diff([]string{
		`otp make recovery codes failed {"reason":"2FA has not been enabled for this account"}`,
		"otp request QR code for 2FA succeed",
		"otp enable 2FA succeed",
		"otp make recovery codes succeed",
		`otp use recovery code succeed {"reason":"9 left"}`,
		"session login::2fa succeed",
		`session login::2fa failed {"reason":"OTP code is invalid"}`,
		"otp make recovery codes succeed",
		`session login::2fa failed {"reason":"OTP code is invalid"}`,
		`otp use recovery code succeed {"reason":"9 left"}`,
		"otp disable 2FA succeed",
		"session login succeed",
	}, slices.DeleteFunc(w.Activities(u.UID), func(text string) bool { // of the refusals above, in no order
		return strings.HasPrefix(text, "otp verify") || strings.HasPrefix(text, "account delete") ||
			text == `otp make recovery codes failed {"reason":"OTP code is invalid"}`
	})); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

// Staff that switch the factor off leave no code of it.
func TestRecoveryCodesGoWithTheFactor(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	boss, err := w.Accounts.CreateUser(t.Context(), account.UserInput{
		Email: "boss@example.com", Password: password, Role: account.RoleSuperadmin, Level: 1, Operator: true,
	})
	w.Must(err)
	_, codes := w.recovery(u)
	w.Must(w.Accounts.SwitchOffOTP(t.Context(), actor(boss), u.UID))
	w.SecondFactor(w.Reload(u.UID))
	if err := w.signIn(u, codes[0]); !errors.Is(err, factor.ErrInvalidOTP) {
		t.Errorf("a code of the former factor: %v, want ErrInvalidOTP", err)
	}
}

// W-I3: wrong recovery codes and wrong codes of the app count together, and good ones are given back.
func TestRecoveryCodesAreLimitedAsCodesAre(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	_, codes := w.recovery(u)
	for i := range 3 {
		w.Must(w.signIn(u, codes[i]))
	}
	for i := range 5 {
		wrong := []string{"000000x", "aaaa-bbbb-cccc-dddd"}[i%2]
		if _, err := w.Codes.DisableOTP(t.Context(), actor(u), wrong); !errors.Is(err, factor.ErrInvalidOTP) {
			t.Errorf("wrong one %d: %v, want ErrInvalidOTP", i, err)
		}
	}
	if err := w.signIn(u, codes[3]); !errors.Is(err, limit.ErrTooMany) {
		t.Errorf("a good code after five wrong ones: %v, want ErrTooMany", err)
	}
	w.Now = w.Now.Add(3 * time.Minute)
	w.Must(w.signIn(u, codes[3]))
}

// Of many sign-ins with one code at once, one is let in, on each engine.
func TestOneOfManyUsesOfARecoveryCodeWins(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := &world{worldtest.NewOn(t, worldtest.Config{Unlimited: true}, open)}
		u := w.User("a@example.com", 1)
		_, codes := w.recovery(u)
		var won, lost atomic.Int32
		done := make(chan struct{})
		for range 6 {
			go func() {
				defer func() { done <- struct{}{} }()
				err := w.Codes.UseOrRecover(context.Background(), actor(u), codes[0])
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, factor.ErrInvalidOTP):
					lost.Add(1)
				}
			}()
		}
		for range 6 {
			<-done
		}
		if won.Load() != 1 || lost.Load() != 5 {
			t.Errorf("%d won and %d lost, want 1 and 5", won.Load(), lost.Load())
		}
	})
}

// Codes are taken however they are typed, and no text that is none is taken for one.
func TestRecoveryCodesAsTyped(t *testing.T) {
	w := newWorld(t, worldtest.Config{Unlimited: true})
	u := w.User("a@example.com", 1)
	code, codes := w.recovery(u)
	rapid.Check(t, func(r *rapid.T) {
		if len(codes) == 0 {
			var err error
			w.Now = w.Now.Add(time.Minute)
			if codes, err = w.Codes.NewRecoveryCodes(context.Background(), actor(u), code()); err != nil {
				r.Fatal(err)
			}
		}
		var typed strings.Builder
		for _, c := range strings.ReplaceAll(codes[0], "-", "") {
			text := string(c)
			if rapid.Bool().Draw(r, "upper") {
				text = strings.ToUpper(text)
			}
			typed.WriteString(rapid.SampledFrom([]string{"", " ", "-", " - ", "\t"}).Draw(r, "between") + text)
		}
		for _, wrong := range []string{typed.String() + "a", typed.String()[1:], typed.String() + "0", typed.String() + "é"} {
			if strings.Trim(wrong, " -\t") == strings.Trim(typed.String(), " -\t") {
				continue // only a blank was cut
			}
			if err := w.Codes.UseOrRecover(context.Background(), actor(u), wrong); !errors.Is(err, factor.ErrInvalidOTP) {
				r.Fatalf("%q: %v, want ErrInvalidOTP", wrong, err)
			}
		}
		if err := w.Codes.UseOrRecover(context.Background(), actor(u), typed.String()); err != nil {
			r.Fatalf("%q: %v", typed.String(), err)
		}
		codes = codes[1:]
	})
}
