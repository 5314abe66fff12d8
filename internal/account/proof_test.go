package account_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"barong/internal/account"
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
	w.t.Helper()
	u, err := w.signUp(email)
	w.must(err)
	s := squatter{User: u, confirmationOfHers: w.link()}
	in, err := w.svc.SignIn(w.t.Context(), account.SignIn{Email: email, Password: password, Client: browser})
	w.must(err)
	s.device = in.Device
	s.code = w.secondFactor(u)
	s.robot = w.service(u, "SI1")
	s.own, s.robots = w.key(u.UID, account.KindUser), w.key(s.robot.UID, account.KindServiceAccount)
	s.reset = w.resetLink(email)
	w.must(w.svc.SendConfirmation(w.t.Context(), account.MailRequest{Email: email, Client: browser}))
	s.confirm = w.link()
	s.before = w.reload(u.UID)
	return s
}

// proofs are the ways to prove an address, by an owner that knows no password of the account.
func (w *world) proofs() map[string]func(email string) error {
	return map[string]func(email string) error{
		"confirmation": func(email string) error {
			w.must(w.svc.SendConfirmation(w.t.Context(), account.MailRequest{Email: email, Client: browser}))
			_, _, err := w.svc.ConfirmEmail(w.t.Context(), account.Confirmation{Token: w.link(), Client: browser})
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
			w := newWorld(t, account.Config{Devices: devices})
			s := w.squat("ann@example.com")
			if !s.before.AwaitsProof() || !s.before.OTP {
				t.Fatalf("planted %+v; want a second factor on an account that awaits its proof", s.before)
			}
			w.now = w.now.Add(2 * time.Minute)
			w.news()
			w.must(w.proofs()[proof](s.Email))

			got := w.reload(s.UID)
			if got.State != account.StateActive || got.Level != 1 || got.Unproved {
				t.Errorf("proved %+v; want active at level 1", got)
			}
			if got.SessionGeneration <= s.before.SessionGeneration {
				t.Error("the squatter's sessions go on")
			}
			if _, err := w.db.TOTPSecret(t.Context(), s.UID); got.OTP || !errors.Is(err, account.ErrNotFound) {
				t.Errorf("second factor %v, its secret %v; want both gone", got.OTP, err)
			}
			if _, err := w.db.Label(t.Context(), s.UID, "otp", "private"); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("label otp: %v, want ErrNotFound", err)
			}
			for holder, kid := range map[string]string{s.UID: s.own, s.robot.UID: s.robots} {
				if _, err := w.db.APIKey(t.Context(), holder, kid); !errors.Is(err, account.ErrNotFound) {
					t.Errorf("key of %s: %v, want it gone", holder, err)
				}
			}
			if _, known := devices.Known(s.device, s.UID, w.now); known {
				t.Error("the squatter's device is a known one")
			}
			for _, code := range []string{"", s.code()} {
				_, err := w.svc.SignIn(t.Context(), account.SignIn{
					Email: s.Email, Password: password, OTPCode: code, Device: s.device, Client: browser,
				})
				if !errors.Is(err, account.ErrBadCredentials) {
					t.Errorf("the squatter's password: %v, want ErrBadCredentials", err)
				}
			}
			if err := w.reset(s.reset, "Gol4aid1"); !errors.Is(err, account.ErrUtilizedToken) {
				t.Errorf("the reset link of before: %v, want ErrUtilizedToken", err)
			}
			w.put(s.UID, func(u *account.User) { u.State = "pending" })
			for _, link := range []string{s.confirm, s.confirmationOfHers} {
				if _, _, err := w.confirm(link); !errors.Is(err, account.ErrUtilizedToken) {
					t.Errorf("a confirmation link of before: %v, want ErrUtilizedToken", err)
				}
			}
			w.put(s.UID, func(u *account.User) { u.State = "active" })

			// The owner gets in, without anything of the squatter's.
			if proof == "confirmation" {
				w.must(w.reset(w.link(), otherPassword)) // mailed with the confirmation
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
		prover func(w *world, s squatter) account.Confirmation
		kept   bool
	}{
		"in the browser of the sign-up": {func(w *world, s squatter) account.Confirmation {
			return account.Confirmation{Device: w.svc.RememberDevice("", s.User)}
		}, true},
		"in a browser that has signed in": {func(_ *world, s squatter) account.Confirmation {
			return account.Confirmation{Device: s.device}
		}, true},
		"by saying it": {func(*world, squatter) account.Confirmation {
			return account.Confirmation{Password: password}
		}, true},
		"a wrong one": {func(*world, squatter) account.Confirmation {
			return account.Confirmation{Password: otherPassword}
		}, false},
		"in another browser": {func(*world, squatter) account.Confirmation { return account.Confirmation{} }, false},
		"in a browser that knows another account": {func(w *world, _ squatter) account.Confirmation {
			return account.Confirmation{Device: w.svc.RememberDevice("", account.User{UID: "ID9", Unproved: true})}
		}, false},
		"with a cookie of after a proof": {func(w *world, s squatter) account.Confirmation {
			return account.Confirmation{Device: w.svc.RememberDevice("", account.User{UID: s.UID})}
		}, false},
		"with a made-up cookie": {func(*world, squatter) account.Confirmation {
			return account.Confirmation{Device: "AAAA"}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, account.Config{Devices: newDevices(t, 7)})
			s := w.squat("ann@example.com")
			in := c.prover(w, s)
			in.Token, in.Client = s.confirm, browser
			recorded := len(w.activities(s.UID))
			u, session, err := w.svc.ConfirmEmail(t.Context(), in)
			w.must(err)
			if !session || u.State != "active" || u.OTP || u.SessionGeneration <= s.before.SessionGeneration {
				t.Errorf("%+v, session %v; want active, a session, no second factor, other sessions ended", u, session)
			}
			if kept := u.PasswordDigest == s.before.PasswordDigest; kept != c.kept {
				t.Errorf("the password stays: %v, want %v", kept, c.kept)
			}
			if _, err := w.db.APIKey(t.Context(), s.UID, s.own); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("the key: %v, want it gone", err)
			}
			told := slices.Contains(w.activities(s.UID)[recorded:],
				`password password reset succeed {"reason":"Address proved in another browser than the sign-up's"}`)
			links := w.links()
			if len(links) == 0 == !c.kept || told == c.kept {
				t.Errorf("%d links, activity %v; want both: %v", len(links), told, !c.kept)
			}
			if !c.kept {
				w.must(w.reset(links[0], otherPassword))
			}
		})
	}
}

// A link that is good for nothing costs no hash.
func TestConfirmationHashesForGoodLinksOnly(t *testing.T) {
	w := newWorld(t, account.Config{})
	s := w.squat("ann@example.com")
	w.hasher.fail = errors.New("hashed")
	say := func(link string) error {
		_, _, err := w.svc.ConfirmEmail(t.Context(), account.Confirmation{Token: link, Password: password, Client: browser})
		return err
	}
	if err := say(s.reset); word(err) != "raised" {
		t.Errorf("a reset link: %v", err)
	}
	if err := say(s.confirm); !errors.Is(err, w.hasher.fail) {
		t.Errorf("a good link: %v, want the hasher's failure, and the link unused", err)
	}
	w.hasher.fail = nil
	w.must(say(s.confirm))
	w.put(s.UID, func(u *account.User) { u.State = "pending" })
	w.hasher.fail = errors.New("hashed")
	if err := say(s.confirm); !errors.Is(err, account.ErrUtilizedToken) {
		t.Errorf("a used link: %v, want ErrUtilizedToken", err)
	}
}

// Nothing goes of accounts that no stranger made: the gifts of operators, seeds and staff stay.
func TestProofsTakeNothingOfOthers(t *testing.T) {
	for _, proof := range []string{"confirmation", "reset", "auth0"} {
		t.Run(proof, func(t *testing.T) {
			w := newWorld(t, account.Config{})
			u := w.user("ann@example.com", 0)
			kid := w.key(u.UID, account.KindUser)
			if u.AwaitsProof() {
				t.Fatal("an account of the operator's awaits a proof")
			}
			w.news()
			w.must(w.proofs()[proof](u.Email))
			got := w.reload(u.UID)
			if kept := got.PasswordDigest == u.PasswordDigest; kept != (proof != "reset") {
				t.Errorf("the password stays: %v", kept)
			}
			if _, err := w.db.APIKey(t.Context(), u.UID, kid); err != nil {
				t.Errorf("the key: %v, want it kept", err)
			}
		})
	}
}

// The proof ends waiting for it, and so do staff that say there is one. A role does not, for a
// stranger that signed up with the address of somebody important has not become that person.
func TestAwaitsProof(t *testing.T) {
	w := newWorld(t, account.Config{})
	u, err := w.signUp("ann@example.com")
	w.must(err)
	w.put(u.UID, func(u *account.User) { u.Role = account.RoleSuperadmin })
	w.label(u.UID, "vip", "yes", "private")
	p, err := w.db.Principal(t.Context(), u.UID)
	w.must(err)
	if got := w.reload(u.UID); !got.AwaitsProof() || !p.AwaitsProof() {
		t.Errorf("a role and a label: %+v, %+v; want it to wait", got, p)
	}
	w.label(u.UID, "email", "verified", "private")
	if got := w.reload(u.UID); got.Unproved || got.State != "active" {
		t.Errorf("verified by staff: %+v; want it proved and active", got)
	}
	w.must(w.svc.RemoveLabel(t.Context(), u.UID, "email", "private"))
	if got := w.reload(u.UID); got.AwaitsProof() || got.State != "pending" {
		t.Errorf("taken back: %+v; want pending, of somebody who is known", got)
	}
	open := newWorld(t, account.Config{Activation: map[string]string{}})
	if u, err := open.signUp("ann@example.com"); err != nil || u.AwaitsProof() || !u.Unproved {
		t.Errorf("where no proof is asked for: %+v, %v; want it to wait for none", u, err)
	}
}
