package signin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/limit"
	"barong/internal/signin"
	"barong/internal/token"
)

func (w *world) confirm(link string) (account.User, bool, error) {
	return w.SignIns.ConfirmEmail(w.T.Context(), signin.Confirmation{Token: link, Password: password, Client: browser})
}

// Confirmation of an address (W-I12).
func TestConfirmEmail(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	link := w.link()
	got, session, err := w.SignIns.ConfirmEmail(t.Context(), signin.Confirmation{Token: link, Password: password, Language: "FR", Client: browser})
	w.Must(err)
	if got.UID != u.UID || got.State != "active" || got.Level != 1 || !session {
		t.Errorf("confirmed %+v, session %v; want active at level 1, and a session", got, session)
	}
	if got.SessionGeneration <= u.SessionGeneration || w.Reload(u.UID).SessionGeneration != got.SessionGeneration {
		t.Errorf("generation %d after %d; want the sessions of before to end", got.SessionGeneration, u.SessionGeneration)
	}
	if l, err := w.DB.Label(t.Context(), u.UID, "email", "private"); err != nil || l.Value != "verified" {
		t.Errorf("label %+v, %v", l, err)
	}
	if d := cmp.Diff([]string{
		"model.label.created:en", "model.user.updated:en", "system.user.email.confirmed:fr",
	}, worldtest.Names(w.News())); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"account signup succeed"}, w.Activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}

	if _, _, err := w.confirm(link); !errors.Is(err, signin.ErrActiveOrUnknown) {
		t.Errorf("again: %v, want ErrActiveOrUnknown", err)
	}
	w.Put(u.UID, func(u *account.User) { u.State = "pending" }) // 14.3-43
	if _, _, err := w.confirm(link); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("again, pending: %v, want ErrUtilizedToken", err)
	}
	w.Now = w.Now.Add(time.Hour + 10*time.Second) // 14.3-44
	if _, _, err := w.confirm(link); word(err) != "expired" {
		t.Errorf("after its life: %v, want expired", err)
	}
}

// word is that of a *token.MailError.
func word(err error) string {
	if bad, ok := errors.AsType[*token.MailError](err); ok {
		return bad.Word
	}
	return ""
}

func TestConfirmEmailWithTheLabelThereAlready(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	link := w.link()
	w.Label(u.UID, "email", "verified", "private")
	w.Put(u.UID, func(u *account.User) { u.State = "pending" })
	if got, session, err := w.confirm(link); err != nil || got.State != "active" || !session {
		t.Errorf("%+v, %v, %v; want active", got, session, err)
	}
}

// A mailbox is not two factors, and no state is overcome by it.
func TestConfirmEmailWithoutASession(t *testing.T) {
	t.Run("second factor on", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{})
		u := w.User("a@example.com", 0) // by the operator: not anybody's
		w.News()
		w.Must(w.SignIns.SendConfirmation(t.Context(), signin.MailRequest{Email: u.Email, Client: browser}))
		link := w.link()
		w.SecondFactor(u)
		got, session, err := w.confirm(link)
		if err != nil || session || got.State != "active" || got.Level != 1 {
			t.Errorf("%+v, session %v, %v; want active at level 1 without a session", got, session, err)
		}
	})
	t.Run("a state that may not act", func(t *testing.T) {
		w := newWorld(t, worldtest.Config{Triggers: []account.Trigger{{State: "review", Keys: []string{"email"}}}})
		_, err := w.signUp("a@example.com")
		w.Must(err)
		got, session, err := w.confirm(w.link())
		if err != nil || session || got.State != "review" {
			t.Errorf("state %q, session %v, %v; want review without a session", got.State, session, err)
		}
	})
}

func TestConfirmEmailRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, u account.User, link string) string
		want   error
		word   string
	}{
		"no token": {change: func(*world, account.User, string) string { return "invalid token" }, word: "segments"},
		"a reset link": {change: func(w *world, u account.User, _ string) string {
			w.Must(w.SignIns.SendReset(w.T.Context(), signin.MailRequest{Email: u.Email}))
			return w.link()
		}, word: "raised"},
		"a banned user without labels (W-I12)": {change: func(w *world, u account.User, link string) string {
			w.Label(u.UID, "ban", "staff", "private")
			return link
		}, want: signin.ErrActiveOrUnknown},
		"a user whom staff banned": {change: func(w *world, u account.User, link string) string {
			w.Put(u.UID, func(u *account.User) { u.State, u.AdminState = "banned", "banned" })
			return link
		}, want: signin.ErrActiveOrUnknown},
		"a locked user": {change: func(w *world, u account.User, link string) string {
			w.Put(u.UID, func(u *account.User) { u.State = "locked" })
			return link
		}, want: signin.ErrActiveOrUnknown},
		"an active user": {change: func(w *world, u account.User, link string) string {
			w.Label(u.UID, "email", "verified", "private")
			return link
		}, want: signin.ErrActiveOrUnknown},
		"another address by now": {change: func(w *world, u account.User, link string) string {
			w.Put(u.UID, func(u *account.User) { u.Email = "new@example.com" })
			return link
		}, want: signin.ErrActiveOrUnknown},
		"an unknown user": {change: func(w *world, _ account.User, link string) string {
			return forge(w.T, link, func(c *token.MailClaims) { c.UID = "ID404" })
		}, want: signin.ErrActiveOrUnknown},
		"a jti that nobody mailed": {change: func(w *world, _ account.User, link string) string {
			return forge(w.T, link, func(c *token.MailClaims) { c.ID = "x" })
		}, want: signin.ErrUtilizedToken},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u, err := w.signUp("a@example.com")
			w.Must(err)
			link := c.change(w, u, w.link())
			before := w.Reload(u.UID)
			_, session, err := w.confirm(link)
			if session || word(err) != c.word || c.want != nil && !errors.Is(err, c.want) || err == nil {
				t.Errorf("session %v, %v; want %v %s", session, err, c.want, c.word)
			}
			if d := cmp.Diff(before, w.Reload(u.UID)); d != "" {
				t.Errorf("the user changed (-before +after):\n%s", d)
			}
		})
	}
}

// Earlier links work until one is used.
func TestConfirmationLinks(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u, err := w.signUp("a@example.com")
	w.Must(err)
	first := w.link()
	w.Must(w.SignIns.SendConfirmation(t.Context(), signin.MailRequest{Email: u.Email, Language: "ru", Client: browser}))
	news := w.News()
	if d := cmp.Diff([]string{"system.user.email.confirmation.token:ru"}, worldtest.Names(news)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if _, _, err := w.confirm(first); err != nil {
		t.Errorf("the first link: %v", err)
	}
	w.Put(u.UID, func(u *account.User) { u.State = "pending" })
	if _, _, err := w.confirm(worldtest.Member(news[0], "token")); !errors.Is(err, signin.ErrUtilizedToken) {
		t.Errorf("the second link after the first: %v, want ErrUtilizedToken", err)
	}
}

// Tries of mailed tokens, of both kinds together, are limited by network.
func TestMailTokenTriesAreLimited(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	for range 5 {
		_, _, err := w.confirm("x")
		reset := w.SignIns.ResetPassword(t.Context(), signin.Reset{Token: "x", Client: browser})
		if word(err) != "segments" || word(reset) != "segments" {
			t.Fatalf("%v, %v; want segments", err, reset)
		}
	}
	_, _, err := w.confirm("x")
	reset := w.SignIns.ResetPassword(t.Context(), signin.Reset{Token: "x", Client: browser})
	if !errors.Is(err, limit.ErrTooMany) || !errors.Is(reset, limit.ErrTooMany) {
		t.Errorf("after ten: %v, %v; want TooManyAttempts", err, reset)
	}
}
