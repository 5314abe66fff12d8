package signin_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/signin"
)

// A squatter has signed up with somebody's address and left whatever can be left, past the
// gate and the endpoints that let nobody do so before the proof.
type squatter struct {
	account.User
	device             string
	own, robots        string // kids of keys
	robot              account.ServiceAccount
	reset, confirm     string // mailed links that still work
	code               func() string
	before             account.User
	confirmationOfHers string
}

func (w *world) squat(email string) squatter {
	w.T.Helper()
	u, err := w.signUp(email)
	w.Must(err)
	s := squatter{User: u, confirmationOfHers: w.link()}
	in, err := w.SignIns.SignIn(w.T.Context(), signin.SignIn{Email: email, Password: password, Client: browser})
	w.Must(err)
	s.device = in.Device
	s.code = w.SecondFactor(u)
	s.robot = w.ServiceAccount(u, "SI1")
	s.own, s.robots = w.Key(u.UID, account.KindUser), w.Key(s.robot.UID, account.KindServiceAccount)
	s.reset = w.resetLink(email)
	w.Must(w.SignIns.SendConfirmation(w.T.Context(), signin.MailRequest{Email: email, Client: browser}))
	s.confirm = w.link()
	s.before = w.Reload(u.UID)
	return s
}

// proofs are the ways to prove an address, by an owner that knows no password of the account.
func (w *world) proofs() map[string]func(email string) error {
	return map[string]func(email string) error{
		"confirmation": func(email string) error {
			w.Must(w.SignIns.SendConfirmation(w.T.Context(), signin.MailRequest{Email: email, Client: browser}))
			_, _, err := w.SignIns.ConfirmEmail(w.T.Context(), signin.Confirmation{Token: w.link(), Client: browser})
			return err
		},
		"reset": func(email string) error { return w.reset(w.resetLink(email), otherPassword) },
		"auth0": func(email string) error { return second(w.auth0(email, "")) },
	}
}

// The first proof of an address leaves nothing of a stranger that signed up with it before its
// owner came: not one of the ways of "Pre-hijacked accounts" (USENIX Security 2022) that an
// account here has, and the same for each way to prove.
func TestTheFirstProofLeavesNothingOfASquatter(t *testing.T) {
	for _, proof := range []string{"confirmation", "reset", "auth0"} {
		t.Run(proof, func(t *testing.T) {
			devices := newDevices(t, 7)
			w := newWorld(t, worldtest.Config{Devices: devices})
			s := w.squat("ann@example.com")
			if !s.before.AwaitsProof() || !s.before.OTP {
				t.Fatalf("planted %+v; want a second factor on an account that awaits its proof", s.before)
			}
			w.Now = w.Now.Add(2 * time.Minute)
			w.News()
			w.Must(w.proofs()[proof](s.Email))

			got := w.Reload(s.UID)
			if got.State != account.StateActive || got.Level != 1 || got.Unproved {
				t.Errorf("proved %+v; want active at level 1", got)
			}
			if got.SessionGeneration <= s.before.SessionGeneration {
				t.Error("the squatter's sessions go on")
			}
			if _, err := w.DB.TOTPSecret(t.Context(), s.UID); got.OTP || !errors.Is(err, account.ErrNotFound) {
				t.Errorf("second factor %v, its secret %v; want both gone", got.OTP, err)
			}
			if _, err := w.DB.Label(t.Context(), s.UID, "otp", "private"); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("label otp: %v, want ErrNotFound", err)
			}
			for holder, kid := range map[string]string{s.UID: s.own, s.robot.UID: s.robots} {
				if _, err := w.DB.APIKey(t.Context(), holder, kid); !errors.Is(err, account.ErrNotFound) {
					t.Errorf("key of %s: %v, want it gone", holder, err)
				}
			}
			if _, known := devices.Known(s.device, s.UID, w.Now); known {
				t.Error("the squatter's device is a known one")
			}
			for _, code := range []string{"", s.code()} {
				_, err := w.SignIns.SignIn(t.Context(), signin.SignIn{
					Email: s.Email, Password: password, OTPCode: code, Device: s.device, Client: browser,
				})
				if !errors.Is(err, signin.ErrBadCredentials) {
					t.Errorf("the squatter's password: %v, want ErrBadCredentials", err)
				}
			}
			if err := w.reset(s.reset, "Gol4aid1"); !errors.Is(err, signin.ErrUtilizedToken) {
				t.Errorf("the reset link of before: %v, want ErrUtilizedToken", err)
			}
			w.Put(s.UID, func(u *account.User) { u.State = "pending" })
			for _, link := range []string{s.confirm, s.confirmationOfHers} {
				if _, _, err := w.confirm(link); !errors.Is(err, signin.ErrUtilizedToken) {
					t.Errorf("a confirmation link of before: %v, want ErrUtilizedToken", err)
				}
			}
			w.Put(s.UID, func(u *account.User) { u.State = "active" })

			// The owner gets in, without anything of the squatter's.
			if proof == "confirmation" {
				w.Must(w.reset(w.link(), otherPassword)) // mailed with the confirmation
			}
			if proof != "auth0" {
				if _, err := w.signIn(s.Email, otherPassword, ""); err != nil {
					t.Errorf("the owner's sign-in: %v", err)
				}
			}
		})
	}
}

// The password of the sign-up stays for a caller that shows to know it, whatever else goes;
// anybody else is mailed a link that sets one.
func TestConfirmationKeepsThePasswordOfWhoKnowsIt(t *testing.T) {
	for name, c := range map[string]struct {
		prover func(w *world, s squatter) signin.Confirmation
		kept   bool
	}{
		"in the browser of the sign-up": {func(w *world, s squatter) signin.Confirmation {
			return signin.Confirmation{Device: w.SignIns.RememberDevice("", s.User)}
		}, true},
		"in a browser that has signed in": {func(_ *world, s squatter) signin.Confirmation {
			return signin.Confirmation{Device: s.device}
		}, true},
		"by saying it": {func(*world, squatter) signin.Confirmation {
			return signin.Confirmation{Password: password}
		}, true},
		"a wrong one": {func(*world, squatter) signin.Confirmation {
			return signin.Confirmation{Password: otherPassword}
		}, false},
		"in another browser": {func(*world, squatter) signin.Confirmation { return signin.Confirmation{} }, false},
		"in a browser that knows another account": {func(w *world, _ squatter) signin.Confirmation {
			return signin.Confirmation{Device: w.SignIns.RememberDevice("", account.User{UID: "ID9", Unproved: true})}
		}, false},
		"with a cookie of after a proof": {func(w *world, s squatter) signin.Confirmation {
			return signin.Confirmation{Device: w.SignIns.RememberDevice("", account.User{UID: s.UID})}
		}, false},
		"with a made-up cookie": {func(*world, squatter) signin.Confirmation {
			return signin.Confirmation{Device: "AAAA"}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{Devices: newDevices(t, 7)})
			s := w.squat("ann@example.com")
			in := c.prover(w, s)
			in.Token, in.Client = s.confirm, browser
			recorded := len(w.Activities(s.UID))
			u, session, err := w.SignIns.ConfirmEmail(t.Context(), in)
			w.Must(err)
			if !session || u.State != "active" || u.OTP || u.SessionGeneration <= s.before.SessionGeneration {
				t.Errorf("%+v, session %v; want active, a session, no second factor, other sessions ended", u, session)
			}
			if kept := u.PasswordDigest == s.before.PasswordDigest; kept != c.kept {
				t.Errorf("the password stays: %v, want %v", kept, c.kept)
			}
			if _, err := w.DB.APIKey(t.Context(), s.UID, s.own); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("the key: %v, want it gone", err)
			}
			told := slices.Contains(w.Activities(s.UID)[recorded:],
				`password password reset succeed {"reason":"Address proved in another browser than the sign-up's"}`)
			links := w.links()
			if len(links) == 0 == !c.kept || told == c.kept {
				t.Errorf("%d links, activity %v; want both: %v", len(links), told, !c.kept)
			}
			if !c.kept {
				w.Must(w.reset(links[0], otherPassword))
			}
		})
	}
}

// A link that is good for nothing costs no hash.
func TestConfirmationHashesForGoodLinksOnly(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	s := w.squat("ann@example.com")
	w.Hasher.Fail = errors.New("hashed")
	say := func(link string) error {
		_, _, err := w.SignIns.ConfirmEmail(t.Context(), signin.Confirmation{Token: link, Password: password, Client: browser})
		return err
	}
	if err := say(s.reset); word(err) != "raised" {
		t.Errorf("a reset link: %v", err)
	}
	if err := say(s.confirm); !errors.Is(err, w.Hasher.Fail) {
		t.Errorf("a good link: %v, want the hasher's failure, and the link unused", err)
	}
	w.Hasher.Fail = nil
	w.Must(say(s.confirm))
	w.Put(s.UID, func(u *account.User) { u.State = "pending" })
	w.Hasher.Fail = errors.New("hashed")
	if err := say(s.confirm); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("a used link: %v, want ErrUtilizedToken", err)
	}
}

// Nothing goes of accounts that no stranger made: the gifts of operators, seeds and staff stay.
func TestProofsTakeNothingOfOthers(t *testing.T) {
	for _, proof := range []string{"confirmation", "reset", "auth0"} {
		t.Run(proof, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u := w.User("ann@example.com", 0)
			kid := w.Key(u.UID, account.KindUser)
			if u.AwaitsProof() {
				t.Fatal("an account of the operator's awaits a proof")
			}
			w.News()
			w.Must(w.proofs()[proof](u.Email))
			got := w.Reload(u.UID)
			if kept := got.PasswordDigest == u.PasswordDigest; kept != (proof != "reset") {
				t.Errorf("the password stays: %v", kept)
			}
			if _, err := w.DB.APIKey(t.Context(), u.UID, kid); err != nil {
				t.Errorf("the key: %v, want it kept", err)
			}
		})
	}
}

// The proof ends waiting for it, and so do staff that say there is one. A role does not, for a
// stranger that signed up with the address of somebody important has not become that person.
func TestAwaitsProof(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, err := w.signUp("ann@example.com")
	w.Must(err)
	w.Put(u.UID, func(u *account.User) { u.Role = "admin" })
	w.Label(u.UID, "vip", "yes", "private")
	p, err := w.DB.Principal(t.Context(), u.UID)
	w.Must(err)
	if got := w.Reload(u.UID); !got.AwaitsProof() || !p.AwaitsProof() {
		t.Errorf("a role and a label: %+v, %+v; want it to wait", got, p)
	}
	w.Label(u.UID, "email", "verified", "private")
	if got := w.Reload(u.UID); got.Unproved || got.State != "active" {
		t.Errorf("verified by staff: %+v; want it proved and active", got)
	}
	w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, u.UID, "email", "private"))
	if got := w.Reload(u.UID); got.AwaitsProof() || got.State != "pending" {
		t.Errorf("taken back: %+v; want pending, of somebody who is known", got)
	}
	open := newWorld(t, worldtest.Config{Activation: map[string]string{}})
	if u, err := open.signUp("ann@example.com"); err != nil || u.AwaitsProof() || !u.Unproved {
		t.Errorf("where no proof is asked for: %+v, %v; want it to wait for none", u, err)
	}
}
