package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/token"
)

func (w *world) confirm(link string) (account.User, bool, error) {
	return w.svc.ConfirmEmail(w.t.Context(), account.Confirmation{Token: link, Password: password, Client: browser})
}

// Identity §9.13 under W-I12, §6.8.
func TestConfirmEmail(t *testing.T) {
	w := newWorld(t, account.Config{})
	u, err := w.signUp("a@example.com")
	w.must(err)
	link := w.link()
	got, session, err := w.svc.ConfirmEmail(t.Context(), account.Confirmation{Token: link, Password: password, Language: "FR", Client: browser})
	w.must(err)
	if got.UID != u.UID || got.State != "active" || got.Level != 1 || !session {
		t.Errorf("confirmed %+v, session %v; want active at level 1, and a session", got, session)
	}
	if got.SessionGeneration <= u.SessionGeneration || w.reload(u.UID).SessionGeneration != got.SessionGeneration {
		t.Errorf("generation %d after %d; want the sessions of before to end", got.SessionGeneration, u.SessionGeneration)
	}
	if l, err := w.db.Label(t.Context(), u.UID, "email", "private"); err != nil || l.Value != "verified" {
		t.Errorf("label %+v, %v", l, err)
	}
	if d := cmp.Diff([]string{
		"model.label.created:en", "model.user.updated:en", "system.user.email.confirmed:fr",
	}, names(w.news())); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"account signup succeed"}, w.activities(u.UID)); d != "" {
		t.Errorf("activities (-want +got):\n%s", d)
	}

	if _, _, err := w.confirm(link); !errors.Is(err, account.ErrActiveOrUnknown) {
		t.Errorf("again: %v, want ErrActiveOrUnknown", err)
	}
	w.put(u.UID, func(u *account.User) { u.State = "pending" }) // 14.3-43
	if _, _, err := w.confirm(link); !errors.Is(err, account.ErrUtilizedToken) {
		t.Errorf("again, pending: %v, want ErrUtilizedToken", err)
	}
	w.now = w.now.Add(time.Hour + 10*time.Second) // 14.3-44
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
	w := newWorld(t, account.Config{})
	u, err := w.signUp("a@example.com")
	w.must(err)
	link := w.link()
	w.label(u.UID, "email", "verified", "private")
	w.put(u.UID, func(u *account.User) { u.State = "pending" })
	if got, session, err := w.confirm(link); err != nil || got.State != "active" || !session {
		t.Errorf("%+v, %v, %v; want active", got, session, err)
	}
}

// A mailbox is not two factors, and no state is overcome by it.
func TestConfirmEmailWithoutASession(t *testing.T) {
	t.Run("second factor on", func(t *testing.T) {
		w := newWorld(t, account.Config{})
		u := w.user("a@example.com", 0) // by the operator: not anybody's
		w.news()
		w.must(w.svc.SendConfirmation(t.Context(), account.MailRequest{Email: u.Email, Client: browser}))
		link := w.link()
		w.secondFactor(u)
		got, session, err := w.confirm(link)
		if err != nil || session || got.State != "active" || got.Level != 1 {
			t.Errorf("%+v, session %v, %v; want active at level 1 without a session", got, session, err)
		}
	})
	t.Run("a state that may not act", func(t *testing.T) {
		w := newWorld(t, account.Config{Triggers: []account.Trigger{{State: "review", Keys: []string{"email"}}}})
		_, err := w.signUp("a@example.com")
		w.must(err)
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
			w.must(w.svc.SendReset(w.t.Context(), account.MailRequest{Email: u.Email}))
			return w.link()
		}, word: "raised"},
		"a banned user without labels (W-I12)": {change: func(w *world, u account.User, link string) string {
			w.label(u.UID, "ban", "staff", "private")
			return link
		}, want: account.ErrActiveOrUnknown},
		"a user whom staff banned": {change: func(w *world, u account.User, link string) string {
			w.put(u.UID, func(u *account.User) { u.State, u.AdminState = "banned", "banned" })
			return link
		}, want: account.ErrActiveOrUnknown},
		"a locked user": {change: func(w *world, u account.User, link string) string {
			w.put(u.UID, func(u *account.User) { u.State = "locked" })
			return link
		}, want: account.ErrActiveOrUnknown},
		"an active user": {change: func(w *world, u account.User, link string) string {
			w.label(u.UID, "email", "verified", "private")
			return link
		}, want: account.ErrActiveOrUnknown},
		"another address by now": {change: func(w *world, u account.User, link string) string {
			w.put(u.UID, func(u *account.User) { u.Email = "new@example.com" })
			return link
		}, want: account.ErrActiveOrUnknown},
		"an unknown user": {change: func(w *world, _ account.User, link string) string {
			return forge(w.t, link, func(c *token.MailClaims) { c.UID = "ID404" })
		}, want: account.ErrActiveOrUnknown},
		"a jti that nobody mailed": {change: func(w *world, _ account.User, link string) string {
			return forge(w.t, link, func(c *token.MailClaims) { c.ID = "x" })
		}, want: account.ErrUtilizedToken},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, account.Config{})
			u, err := w.signUp("a@example.com")
			w.must(err)
			link := c.change(w, u, w.link())
			before := w.reload(u.UID)
			_, session, err := w.confirm(link)
			if session || word(err) != c.word || c.want != nil && !errors.Is(err, c.want) || err == nil {
				t.Errorf("session %v, %v; want %v %s", session, err, c.want, c.word)
			}
			if d := cmp.Diff(before, w.reload(u.UID)); d != "" {
				t.Errorf("the user changed (-before +after):\n%s", d)
			}
		})
	}
}

// Identity §9.12: earlier links work until one is used.
func TestConfirmationLinks(t *testing.T) {
	w := newWorld(t, account.Config{})
	u, err := w.signUp("a@example.com")
	w.must(err)
	first := w.link()
	w.must(w.svc.SendConfirmation(t.Context(), account.MailRequest{Email: u.Email, Language: "ru", Client: browser}))
	news := w.news()
	if d := cmp.Diff([]string{"system.user.email.confirmation.token:ru"}, names(news)); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
	if _, _, err := w.confirm(first); err != nil {
		t.Errorf("the first link: %v", err)
	}
	w.put(u.UID, func(u *account.User) { u.State = "pending" })
	if _, _, err := w.confirm(member(news[0], "token")); !errors.Is(err, account.ErrUtilizedToken) {
		t.Errorf("the second link after the first: %v, want ErrUtilizedToken", err)
	}
}

// Tries of mailed tokens, of both kinds together, are limited by network.
func TestMailTokenTriesAreLimited(t *testing.T) {
	w := newWorld(t, account.Config{})
	for range 5 {
		_, _, err := w.confirm("x")
		reset := w.svc.ResetPassword(t.Context(), account.Reset{Token: "x", Client: browser})
		if word(err) != "segments" || word(reset) != "segments" {
			t.Fatalf("%v, %v; want segments", err, reset)
		}
	}
	_, _, err := w.confirm("x")
	reset := w.svc.ResetPassword(t.Context(), account.Reset{Token: "x", Client: browser})
	if !errors.Is(err, account.ErrTooManyAttempts) || !errors.Is(reset, account.ErrTooManyAttempts) {
		t.Errorf("after ten: %v, %v; want TooManyAttempts", err, reset)
	}
}
