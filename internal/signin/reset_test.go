package signin_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/apikey"
	"barong/internal/limit"
	passwords "barong/internal/password"
	"barong/internal/secret"
	"barong/internal/signin"
	"barong/internal/store/storetest"
	"barong/internal/token"
)

const otherPassword = "ZahSh8ei"

func (w *world) askReset(email string) {
	w.T.Helper()
	w.Must(w.SignIns.SendReset(w.T.Context(), signin.MailRequest{Email: email, Client: browser}))
	w.Now = w.Now.Add(time.Minute) // W-I11
}

func (w *world) resetLink(email string) string {
	w.T.Helper()
	w.News()
	w.askReset(email)
	return w.link()
}

func (w *world) reset(link, password string) error {
	return w.SignIns.ResetPassword(w.T.Context(), signin.Reset{Token: link, Password: password, Client: browser})
}

// A reset from the request to the new password.
func TestResetPassword(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.SecondFactor(u)
	kid := w.Key(u.UID, account.KindUser)
	a := w.ServiceAccount(u, "SI0000000001")
	robot := w.Key(a.UID, account.KindServiceAccount)
	before := w.Reload(u.UID)
	link := w.resetLink("A@example.com")
	told := len(w.Activities(u.UID))
	w.Must(w.SignIns.ResetPassword(t.Context(), signin.Reset{Token: link, Password: otherPassword, Language: "de", Client: browser}))

	after := w.Reload(u.UID)
	if after.PasswordDigest != "new:"+otherPassword || after.SessionGeneration <= before.SessionGeneration {
		t.Errorf("digest %q, generation %d after %d; want the new password, and all sessions to end",
			after.PasswordDigest, after.SessionGeneration, before.SessionGeneration)
	}
	if !after.OTP || w.KeyState(u.UID, kid) != apikey.Inactive || w.KeyState(a.UID, robot) != apikey.Inactive {
		t.Errorf("second factor %v, keys %s and %s; want it on, and them off", after.OTP, w.KeyState(u.UID, kid), w.KeyState(a.UID, robot))
	}
	if d := cmp.Diff([]string{
		"password request password reset succeed", "account api keys stop succeed", "password password reset succeed",
	}, w.Activities(u.UID)[told-1:]); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}
	news := w.News()
	if d := cmp.Diff([]string{"model.user.updated:en", "system.user.password.reset:de"}, worldtest.Names(news)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if string(news[0].Changes) != "{}" {
		t.Errorf("changes %s, want {}: no published field is another", news[0].Changes)
	}
	if err := w.reset(link, otherPassword); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("again: %v, want ErrUtilizedToken", err)
	}
	w.Must(w.reset(w.resetLink("a@example.com"), otherPassword)) // the old one is allowed
}

// Where an operator says so, keys go on.
func TestResetMayLeaveKeys(t *testing.T) {
	w := newWorld(t, worldtest.Config{KeepKeys: true})
	u := w.User("a@example.com", 1)
	kid := w.Key(u.UID, account.KindUser)
	w.Must(w.reset(w.resetLink("a@example.com"), otherPassword))
	if state := w.KeyState(u.UID, kid); state != apikey.Active {
		t.Errorf("the key is %s, want active", state)
	}
}

// A user tries some passwords before a reset: they do not hold back the new one.
func TestResetForgetsFailedSignIns(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	w.User("a@example.com", 1)
	link := w.resetLink("a@example.com")
	for range 6 {
		_, _ = w.signIn("a@example.com", "x", "")
	}
	if _, err := w.signIn("a@example.com", password, ""); !errors.Is(err, limit.ErrTooMany) {
		t.Fatalf("before: %v, want TooManyAttempts", err)
	}
	w.Must(w.reset(link, otherPassword))
	if _, err := w.signIn("a@example.com", otherPassword, ""); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

// The newest three links work, and each use voids the others.
func TestResetLinks(t *testing.T) {
	for used := range 4 {
		w := newWorld(t, worldtest.Config{})
		w.User("a@example.com", 1)
		w.News()
		for range 4 {
			w.askReset("a@example.com")
		}
		links := w.links()
		err := w.reset(links[used], otherPassword)
		if void := errors.Is(err, signin.ErrUtilizedToken); void != (used == 0) || !void && err != nil {
			t.Errorf("link %d of 4: %v; want the newest three to work", used+1, err)
		}
		for i, link := range links {
			err := w.reset(link, password)
			if works := err == nil; works != (used == 0 && i == 1) {
				t.Errorf("link %d of 4 after link %d: %v", i+1, used+1, err)
			}
		}
	}
}

// The order of checks, and a refused password leaves the link.
func TestResetPasswordRefusesPasswords(t *testing.T) {
	w := newWorld(t, worldtest.Config{Passwords: passwords.Rules{Dictionary: common}})
	u := w.User("a@example.com", 1)
	link := w.resetLink("a@example.com")
	for weak, want := range map[string]string{
		"Simple": "password.requirements", "Password1": "password.weak", "": "password.blank",
	} {
		if d := cmp.Diff([]string{want}, tokens(w.reset(link, weak))); d != "" {
			t.Errorf("%q (-want +got):\n%s", weak, d)
		}
	}
	got := map[string]bool{}
	for _, a := range w.Activities(u.UID) {
		got[a] = true
	}
	if !got[`password password reset failed {"reason":"password.weak"}`] {
		t.Errorf("activities %v; want the refused password", got)
	}
	if err := w.reset(forge(t, link, func(c *token.MailClaims) { c.ID = "x" }), "Simple"); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("a void link with a weak password: %v, want ErrUtilizedToken", err)
	}
	if err := w.reset("x", "Simple"); word(err) != "segments" {
		t.Errorf("no token with a weak password: %v, want segments", err)
	}
	w.Hasher.Fail = secret.ErrBusy
	if err := w.reset(link, otherPassword); !errors.Is(err, secret.ErrBusy) {
		t.Errorf("a full pool: %v, want secret.ErrBusy", err)
	}
	w.Hasher.Fail = nil
	w.Must(w.reset(link, otherPassword))
}

// A link is bound to the account as it was (W-I10).
func TestResetLinksGoVoid(t *testing.T) {
	for name, change := range map[string]func(w *world, u account.User, link string) string{
		"an unknown user": func(w *world, _ account.User, link string) string {
			return forge(w.T, link, func(c *token.MailClaims) { c.UID = "ID404" })
		},
		"another user": func(w *world, _ account.User, link string) string {
			other := w.User("b@example.com", 1)
			return forge(w.T, link, func(c *token.MailClaims) { c.UID, c.Email = other.UID, other.Email })
		},
		"banned by a label": func(w *world, u account.User, link string) string {
			w.Label(u.UID, "ban", "staff", "private")
			return link
		},
		"banned, and let in again": func(w *world, u account.User, link string) string {
			w.Label(u.UID, "ban", "staff", "private")
			w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, u.UID, "ban", "private"))
			return link
		},
		"deleted": func(w *world, u account.User, link string) string {
			w.Label(u.UID, "delete", "by_user", "private")
			return link
		},
		"another address by now": func(w *world, u account.User, link string) string {
			w.SetEmail(u, "new@example.com")
			return link
		},
		"another address, and back": func(w *world, u account.User, link string) string {
			w.SetEmail(u, "new@example.com")
			w.SetEmail(u, "a@example.com")
			return link
		},
		"another password by now": func(w *world, u account.User, link string) string {
			w.Must(w.reset(w.resetLink("a@example.com"), otherPassword))
			return link
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u := w.User("a@example.com", 1)
			link := change(w, u, w.resetLink("a@example.com"))
			before := w.Reload(u.UID)
			if err := w.reset(link, "Gol4aid1"); !errors.Is(err, signin.ErrUtilizedToken) {
				t.Errorf("%v, want ErrUtilizedToken", err)
			}
			if after := w.Reload(u.UID); after.PasswordDigest != before.PasswordDigest {
				t.Error("the password changed")
			}
		})
	}
	t.Run("an hour later", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		w.User("a@example.com", 1)
		link := w.resetLink("a@example.com")
		w.Now = w.Now.Add(time.Hour)
		if err := w.reset(link, otherPassword); word(err) != "expired" {
			t.Errorf("%v, want expired", err)
		}
	})
	t.Run("a confirmation link", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		_, err := w.signUp("a@example.com")
		w.Must(err)
		if err := w.reset(w.link(), otherPassword); word(err) != "raised" {
			t.Errorf("%v, want raised", err)
		}
	})
	t.Run("a new level leaves it", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 1)
		link := w.resetLink("a@example.com")
		w.Label(u.UID, "phone", "verified", "private")
		w.Must(w.reset(link, otherPassword))
	})
}

// Of links used at once, one and only one works, on every engine.
func TestMailedLinksWorkOnce(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newWorldOn(t, worldtest.Config{Unlimited: true}, open)
		// A hasher and limits of their own: the world's hasher is not made for many.
		svc := worldtest.Open(worldtest.Config{Mail: worldtest.Letters{}, Unlimited: true}, w.DB,
			secret.NewHasher(2, 32), new(limit.Memory), func() time.Time { return w.Now })
		u := w.User("a@example.com", 0) // by the operator: the one proof does not void the other's link
		w.News()
		w.Must(w.SignIns.SendConfirmation(t.Context(), signin.MailRequest{Email: u.Email}))
		confirmation := w.link()
		var resets []string
		for range 3 {
			w.askReset(u.Email)
		}
		resets = w.links()

		var mu sync.Mutex
		var wg sync.WaitGroup
		confirmed, reset := 0, 0
		for i := range 6 {
			wg.Go(func() {
				_, _, err := svc.SignIns.ConfirmEmail(t.Context(), signin.Confirmation{Token: confirmation})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					confirmed++
				case !errors.Is(err, signin.ErrActiveOrUnknown) && !errors.Is(err, signin.ErrUtilizedToken):
					t.Errorf("confirm: %v", err)
				}
			})
			wg.Go(func() {
				err := svc.SignIns.ResetPassword(t.Context(), signin.Reset{Token: resets[i%3], Password: otherPassword})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					reset++
				case !errors.Is(err, signin.ErrUtilizedToken):
					t.Errorf("reset: %v", err)
				}
			})
		}
		wg.Wait()
		if confirmed != 1 || reset != 1 {
			t.Errorf("confirmed %d times, reset %d times; want once each", confirmed, reset)
		}
		if got := w.Reload(u.UID); got.State != "active" || got.SessionGeneration <= u.SessionGeneration {
			t.Errorf("state %s, generation %d; want active, and a later one", got.State, got.SessionGeneration)
		}
	})
}
