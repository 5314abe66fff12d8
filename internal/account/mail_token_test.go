package account_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/token"
)

// letters are MailTokens that live an hour and are their claims as JSON.
type letters struct{}

func (letters) MintMail(c token.MailClaims, _ time.Time) (string, error) {
	text, err := json.Marshal(c)
	return string(text), err
}

func (letters) VerifyMail(text, purpose string, now time.Time) (c token.MailClaims, err error) {
	switch {
	case json.Unmarshal([]byte(text), &c) != nil:
		return c, &token.MailError{Word: "segments"}
	case !now.Before(c.Expires):
		return c, &token.MailError{Word: "expired"}
	case c.Purpose != purpose:
		return c, &token.MailError{Word: "raised"}
	}
	return c, nil
}

func (letters) MailLifetime() time.Duration { return time.Hour }

// news are the events since the last call, oldest first.
func (w *world) news() (all []event.Event) {
	w.t.Helper()
	items, err := w.db.DueEvents(w.t.Context(), "test", w.now.Add(24*time.Hour), 1000, 1000)
	w.must(err)
	for _, i := range items {
		w.must(i.Err)
		all = append(all, i.Event)
		w.must(w.db.DeleteEvents(w.t.Context(), i.UUID))
	}
	return all
}

// names are the events' names and, after a colon, their languages.
func names(all []event.Event) (out []string) {
	for _, e := range all {
		out = append(out, e.Name+":"+e.Language)
	}
	return out
}

// member is a member of a record, "" for none.
func member(e event.Event, name string) string {
	var members map[string]any
	_ = json.Unmarshal(e.Record, &members)
	text, _ := members[name].(string)
	return text
}

// links are the tokens mailed since the last call of news.
func (w *world) links() (tokens []string) {
	w.t.Helper()
	for _, e := range w.news() {
		if strings.HasSuffix(e.Name, ".token") {
			tokens = append(tokens, member(e, "token"))
		}
	}
	return tokens
}

// link is the one token mailed since the last call of news.
func (w *world) link() string {
	w.t.Helper()
	all := w.links()
	if len(all) != 1 {
		w.t.Fatalf("%d links were mailed, want 1", len(all))
	}
	return all[0]
}

// forge is a token that says something else.
func forge(t testing.TB, link string, change func(*token.MailClaims)) string {
	t.Helper()
	var c token.MailClaims
	if err := json.Unmarshal([]byte(link), &c); err != nil {
		t.Fatal(err)
	}
	change(&c)
	text, _ := letters{}.MintMail(c, time.Time{})
	return text
}

// W-I11: an account's excess is silent, a network's is shown; identity §9.12, §9.14: nobody
// learns which addresses have users, not by time either.
func TestMailRequests(t *testing.T) {
	for name, c := range map[string]struct {
		send   func(*account.Service) func(w *world, email string) error
		states map[string]int // links mailed
	}{
		"confirmation": {func(s *account.Service) func(*world, string) error {
			return func(w *world, email string) error {
				return s.SendConfirmation(w.t.Context(), account.MailRequest{Email: email, Client: browser})
			}
		}, map[string]int{"pending": 1, "active": 0, "banned": 0, "deleted": 0, "locked": 0, "": 0}},
		"reset": {func(s *account.Service) func(*world, string) error {
			return func(w *world, email string) error {
				return s.SendReset(w.t.Context(), account.MailRequest{Email: email, Client: browser})
			}
		}, map[string]int{"pending": 1, "active": 1, "banned": 0, "deleted": 0, "locked": 0, "": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			for state, want := range c.states {
				w := newWorld(t, account.Config{})
				send := c.send(w.svc)
				if state != "" {
					u := w.user("a@example.com", 0)
					w.put(u.UID, func(u *account.User) { u.State = state })
				}
				w.news()
				w.must(send(w, " A@Example.com"))
				if got := len(w.links()); got != want || w.slept != 300*time.Millisecond {
					t.Errorf("state %q: %d links after %v, want %d after the floor", state, got, w.slept, want)
				}
			}

			w := newWorld(t, account.Config{})
			send := c.send(w.svc)
			w.user("a@example.com", 0)
			w.news()
			for range 3 { // one a minute
				w.must(send(w, "a@example.com"))
			}
			w.link()
			for range 10 { // five an hour, one of which comes back after 12 minutes
				w.now = w.now.Add(61 * time.Second)
				w.must(send(w, "a@example.com"))
			}
			if got := len(w.links()); got != 4 {
				t.Errorf("%d more links within the hour, want 4", got)
			}
			err := error(nil)
			tries := 0
			for err == nil && tries < 100 {
				tries++
				err = send(w, "nobody@example.com")
			}
			if wait, ok := tooMany(err); !ok || wait <= 0 || tries > 20 {
				t.Errorf("try %d: %v; want the network to wait after 20 in all", tries, err)
			}
		})
	}
}

// The vain requests of a stranger, however often and from wherever, take nothing of the owner's
// mails: above the limits of an account nothing is mailed and nothing shows.
func TestStrangersDoNotUseUpTheOwnersMails(t *testing.T) {
	w := newWorld(t, account.Config{})
	w.user("a@example.com", 1) // active: nothing to confirm
	for n := range 3 * 24 * 60 {
		stranger := browser
		stranger.IP = netip.AddrFrom4([4]byte{203, byte(n >> 8), byte(n), 1})
		w.must(w.svc.SendConfirmation(t.Context(), account.MailRequest{Email: "a@example.com", Client: stranger}))
		w.now = w.now.Add(time.Minute)
	}
	if got := len(w.links()); got != 0 {
		t.Fatalf("%d links to confirm an active account", got)
	}
	for range 5 { // an hour's
		w.askReset("a@example.com")
	}
	if got := len(w.links()); got != 5 {
		t.Errorf("then the owner is mailed %d of 5 reset links", got)
	}
}

func tooMany(err error) (time.Duration, bool) {
	many, ok := errors.AsType[account.TooManyAttempts](err)
	return many.RetryAfter, ok
}

// A service without mail tokens mails no link and takes none.
func TestWithoutMailTokens(t *testing.T) {
	w := newWorld(t, account.Config{})
	svc := account.NewService(account.Config{}, w.db, w.hasher, new(limit.Memory), nil)
	in := account.SignUp{Email: "a@example.com", Password: password, Client: browser}
	if _, err := svc.SignUp(t.Context(), in); err == nil {
		t.Error("signed up without a link")
	}
	if _, err := w.db.UserByEmail(t.Context(), "a@example.com"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("the user of a failed sign-up: %v, want ErrNotFound", err)
	}
	if _, _, err := svc.ConfirmEmail(t.Context(), account.Confirmation{Token: "x"}); err == nil {
		t.Error("confirmed by a token that nobody checks")
	}
	if err := svc.ResetPassword(t.Context(), account.Reset{Token: "x", Password: password}); err == nil {
		t.Error("reset by a token that nobody checks")
	}
}
