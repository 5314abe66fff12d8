package signin_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/factor"
	"barong/internal/signin"
)

func (w *world) auth0(email, code string) (signin.SignedIn, error) {
	return w.SignIns.SignInAuth0(w.T.Context(), w.vouched(signin.Auth0{Email: email, OTPCode: code}))
}

// vouched completes a sign-in with a verified address and a token of its own.
func (w *world) vouched(in signin.Auth0) signin.Auth0 {
	in.EmailVerified, in.Client = ptr(true), browser
	in.Token, in.ExpiresAt = rand.Text(), w.Now.Add(time.Hour)
	return in
}

// A sign-in by Auth0.
func TestAuth0MakesAUser(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	got, err := w.SignIns.SignInAuth0(t.Context(), w.vouched(signin.Auth0{Email: " A@Example.com", Language: "ru"}))
	w.Must(err)
	labels, err := w.DB.Labels(t.Context(), got.UID)
	w.Must(err)
	if got.Email != "a@example.com" || got.State != "active" || got.Level != 1 || got.Role != "member" ||
		len(labels) != 1 || labels[0].Key != "email" || labels[0].Value != "verified" || labels[0].Scope != "private" {
		t.Errorf("made %+v with %+v; want an active member of level 1 with one label", got.User, labels)
	}
	if d := cmp.Diff([]string{"session login succeed"}, w.Activities(got.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{
		"model.user.created:en", "model.label.created:en", "model.user.updated:en", "system.session.create:ru",
	}, worldtest.Names(w.News())); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	again, err := w.auth0("a@example.com", "")
	if err != nil || again.UID != got.UID || again.PasswordDigest != got.PasswordDigest ||
		again.SessionGeneration != got.SessionGeneration {
		t.Errorf("again %+v, %v; want the same user, unchanged", again.User, err)
	}
}

// W-I5: the provider must vouch for the address, of known users too.
func TestAuth0WantsAVerifiedAddress(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	w.User("known@example.com", 1)
	for _, email := range []string{"known@example.com", "new@example.com"} {
		for name, c := range map[string]struct {
			verified *bool
			want     error
		}{
			"not verified": {ptr(false), signin.ErrUnverifiedEmail},
			"not said":     {nil, signin.ErrVerificationAbsent},
		} {
			_, err := w.SignIns.SignInAuth0(t.Context(), signin.Auth0{Email: email, EmailVerified: c.verified})
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", email, name, err, c.want)
			}
		}
	}
	if _, err := w.auth0(" ", ""); !errors.Is(err, signin.ErrUnverifiedEmail) {
		t.Errorf("no address: %v, want ErrUnverifiedEmail", err)
	}
	if d := cmp.Diff([]string{"email.invalid"}, tokens(second(w.auth0("a@b@c", "")))); d != "" {
		t.Errorf("an address that cannot sign up (-want +got):\n%s", d)
	}
	if _, err := w.DB.UserByEmail(t.Context(), "new@example.com"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("the unverified address: %v, want no user", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A sign-in by Auth0 checks state and second factor like one by password (W-I5).
func TestAuth0KeepsStatesAndSecondFactor(t *testing.T) {
	for state, want := range map[string]error{
		"banned": signin.ErrBanned, "deleted": signin.ErrDeleted, "locked": signin.ErrNotActive,
	} {
		for _, level := range []int{0, 1} { // with and without proof of the address
			w := newWorld(t, worldtest.Config{})
			u := w.User("a@example.com", level)
			w.Put(u.UID, func(u *account.User) { u.State = state })
			before := w.Reload(u.UID)
			if _, err := w.auth0("a@example.com", ""); !errors.Is(err, want) {
				t.Errorf("%s at level %d: %v, want %v", state, level, err, want)
			}
			if d := cmp.Diff(before, w.Reload(u.UID)); d != "" {
				t.Errorf("%s at level %d: the user changed:\n%s", state, level, d)
			}
		}
	}
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	code := w.SecondFactor(u)
	before := len(w.Activities(u.UID))
	for _, step := range []struct {
		code string
		want error
	}{{"", factor.ErrMissingOTP}, {"abcdef", factor.ErrInvalidOTP}, {code(), nil}, {code(), factor.ErrOTPReplay}} {
		if _, err := w.auth0("a@example.com", step.code); !errors.Is(err, step.want) {
			t.Errorf("code %q: %v, want %v", step.code, err, step.want)
		}
	}
	if d := cmp.Diff([]string{
		`session login::2fa failed {"reason":"OTP code is missing"}`,
		`session login::2fa failed {"reason":"OTP code is invalid"}`,
		"session login::2fa succeed",
	}, w.Activities(u.UID)[before:]); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
}

// A stranger that signed up with another's address keeps no way in once the owner proves it.
func TestAuth0TakesOverAnUnprovedAccount(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	squatter, err := w.signUp("a@example.com")
	w.Must(err)
	w.SecondFactor(squatter)
	robot := w.ServiceAccount(squatter, "SI1")
	own, robots := w.Key(squatter.UID, account.KindUser), w.Key(robot.UID, account.KindServiceAccount)
	reset := w.resetLink("a@example.com")
	w.Must(w.SignIns.SendConfirmation(t.Context(), signin.MailRequest{Email: "a@example.com", Client: browser}))
	confirmation := w.link()
	before := w.Reload(squatter.UID)

	recorded := len(w.Activities(squatter.UID))
	got, err := w.auth0("a@example.com", "") // no code: the second factor is the squatter's
	w.Must(err)
	if d := cmp.Diff([]string{
		`password password reset succeed {"reason":"Address proved by the identity provider"}`, "session login succeed",
	}, w.Activities(squatter.UID)[recorded:]); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	if got.UID != squatter.UID || got.State != "active" || got.Level != 1 || got.OTP {
		t.Errorf("signed in %+v; want active at level 1 without a second factor", got.User)
	}
	if got.SessionGeneration <= before.SessionGeneration || got.PasswordDigest == before.PasswordDigest {
		t.Errorf("generation %d after %d, digest %q; want the sessions and the password to end",
			got.SessionGeneration, before.SessionGeneration, got.PasswordDigest)
	}
	if _, err := w.DB.TOTPSecret(t.Context(), got.UID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("one-time code secret: %v, want ErrNotFound", err)
	}
	if _, err := w.DB.Label(t.Context(), got.UID, "otp", "private"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("label otp: %v, want ErrNotFound", err)
	}
	for holder, kid := range map[string]string{got.UID: own, robot.UID: robots} {
		if _, err := w.DB.APIKey(t.Context(), holder, kid); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("key of %s: %v, want it gone", holder, err)
		}
	}
	if err := w.reset(reset, otherPassword); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("the squatter's reset link: %v, want ErrUtilizedToken", err)
	}
	w.Put(got.UID, func(u *account.User) { u.State = "pending" })
	if _, _, err := w.confirm(confirmation); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("the squatter's confirmation link: %v, want ErrUtilizedToken", err)
	}
}

// Where no proof is asked for, an account without one may be in use: its second factor stands.
func TestAuth0AsksActiveAccountsForTheSecondFactor(t *testing.T) {
	w := newWorld(t, worldtest.Config{Activation: map[string]string{}})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	code := w.SecondFactor(u)
	if _, err := w.auth0("a@example.com", ""); !errors.Is(err, factor.ErrMissingOTP) {
		t.Errorf("without a code: %v, want ErrMissingOTP", err)
	}
	got, err := w.auth0("a@example.com", code())
	if err != nil || !got.OTP || got.PasswordDigest == u.PasswordDigest {
		t.Errorf("%+v, %v; want the second factor on, another password", got.User, err)
	}
	if _, err := w.DB.TOTPSecret(t.Context(), u.UID); err != nil {
		t.Errorf("one-time code secret: %v, want it kept", err)
	}
}

// An account of which more is known than an unproved address is somebody's: staff that take the
// proof away do not take the second factor with it.
func TestAuth0AsksForTheSecondFactorOfWhoeverIsKnown(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 2)
	code := w.SecondFactor(u)
	w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, "email", "private"))
	if got := w.Reload(u.UID); got.State != "pending" {
		t.Fatalf("state %s without the proof, want pending", got.State)
	}
	if _, err := w.auth0("a@example.com", ""); !errors.Is(err, factor.ErrMissingOTP) {
		t.Errorf("without a code: %v, want ErrMissingOTP", err)
	}
	if got, err := w.auth0("a@example.com", code()); err != nil || !got.OTP {
		t.Errorf("%+v, %v; want the second factor on", got.User, err)
	}
}

// A token signs in once; one that asked for the second factor first has signed nobody in yet.
func TestAuth0TokensSignInOnce(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	code := w.SecondFactor(u)
	known, fresh := w.vouched(signin.Auth0{Email: "a@example.com"}), w.vouched(signin.Auth0{Email: "new@example.com"})
	for _, step := range []struct {
		in   signin.Auth0
		code string
		want error
	}{
		{known, "", factor.ErrMissingOTP},
		{known, code(), nil},
		{fresh, "", nil},
		{fresh, "", signin.ErrTokenUsed},
	} {
		step.in.OTPCode = step.code
		if _, err := w.SignIns.SignInAuth0(t.Context(), step.in); !errors.Is(err, step.want) {
			t.Errorf("%s with code %q: %v, want %v", step.in.Email, step.code, err, step.want)
		}
	}
	w.Now = w.Now.Add(30 * time.Minute) // within the token's life, past the code's
	known.OTPCode = code()
	if _, err := w.SignIns.SignInAuth0(t.Context(), known); !errors.Is(err, signin.ErrTokenUsed) {
		t.Errorf("again: %v, want ErrTokenUsed", err)
	}
	w.Now = w.Now.Add(time.Hour)
	late := w.vouched(signin.Auth0{Email: "new@example.com"})
	late.ExpiresAt = w.Now
	if _, err := w.SignIns.SignInAuth0(t.Context(), late); !errors.Is(err, signin.ErrTokenUsed) {
		t.Errorf("a token that is over: %v, want ErrTokenUsed", err)
	}
}

// A label of the same name that does not prove the address proves nothing.
func TestAuth0LabelMustSayVerified(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	w.Label(u.UID, "email", "pending", "private")
	w.Label(u.UID, "email", "verified", "public")
	got, err := w.auth0("a@example.com", "")
	if err != nil || got.PasswordDigest == u.PasswordDigest || got.Level != 1 {
		t.Errorf("%+v, %v; want the password gone and level 1", got.User, err)
	}
}

// Staff were given their role as persons: a mailbox does not undo their second factor.
func TestAuth0AsksStaffForTheSecondFactor(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 0)
	code := w.SecondFactor(u)
	w.Put(u.UID, func(u *account.User) { u.Role = account.RoleSuperadmin })
	if _, err := w.auth0("a@example.com", ""); !errors.Is(err, factor.ErrMissingOTP) {
		t.Errorf("without a code: %v, want ErrMissingOTP", err)
	}
	got, err := w.auth0("a@example.com", code())
	if err != nil || !got.OTP || got.Level != 1 || got.PasswordDigest != u.PasswordDigest {
		t.Errorf("%+v, %v; want the second factor on, level 1, the password that the operator gave", got.User, err)
	}
}

// A provider proves one mailbox. The owner of another mailbox, of a letter that some writing
// folds to the same, does not get the account.
func TestAuth0ProvesNoOtherMailbox(t *testing.T) {
	const victim = "kim.kirk@ink-inc.example"
	w := newWorld(t, worldtest.Config{})
	u := w.User(victim, 1)
	tried := 0
	for c := rune(utf8.RuneSelf); c <= unicode.MaxRune; c++ {
		for _, small := range []rune{unicode.ToLower(c), unicode.ToLower(unicode.ToUpper(c)), unicode.SimpleFold(c)} {
			at := strings.IndexRune(victim, small)
			for small < utf8.RuneSelf && at >= 0 {
				tried++
				email := victim[:at] + string(c) + victim[at+1:]
				if in, err := w.auth0(email, ""); err == nil && in.UID == u.UID {
					t.Errorf("%+q signs in as %s", email, victim)
				}
				next := strings.IndexRune(victim[at+1:], small)
				if next < 0 {
					break
				}
				at += 1 + next
			}
		}
	}
	if tried < 10 {
		t.Fatalf("%d spellings were tried: the test sees nothing", tried)
	}
	if got, err := w.auth0("KIM.Kirk@Ink-Inc.Example ", ""); err != nil || got.UID != u.UID {
		t.Errorf("the mailbox itself: %v, %v", got.User, err)
	}
}
