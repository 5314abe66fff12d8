package signin_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/limit"
	"barong/internal/signin"
	"barong/internal/token"
)

// links are the tokens mailed since the last call of news.
func (w *world) links() (tokens []string) {
	w.T.Helper()
	for _, e := range w.News() {
		if strings.HasSuffix(e.Name, ".token") {
			tokens = append(tokens, worldtest.Member(e, "token"))
		}
	}
	return tokens
}

// link is the one token mailed since the last call of news.
func (w *world) link() string {
	w.T.Helper()
	all := w.links()
	if len(all) != 1 {
		w.T.Fatalf("%d links were mailed, want 1", len(all))
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
	text, _ := worldtest.Letters{}.MintMail(c, time.Time{})
	return text
}

// W-I11: an account's excess is silent, a network's is shown; nobody
// learns which addresses have users, not by time either.
func TestMailRequests(t *testing.T) {
	for name, c := range map[string]struct {
		send   func(*signin.Service) func(w *world, email string) error
		states map[string]int // links mailed
	}{
		"confirmation": {func(s *signin.Service) func(*world, string) error {
			return func(w *world, email string) error {
				return s.SendConfirmation(w.T.Context(), signin.MailRequest{Email: email, Client: browser})
			}
		}, map[string]int{"pending": 1, "active": 0, "banned": 0, "deleted": 0, "locked": 0, "": 0}},
		"reset": {func(s *signin.Service) func(*world, string) error {
			return func(w *world, email string) error {
				return s.SendReset(w.T.Context(), signin.MailRequest{Email: email, Client: browser})
			}
		}, map[string]int{"pending": 1, "active": 1, "banned": 0, "deleted": 0, "locked": 0, "": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			for state, want := range c.states {
				w := newWorld(t, worldtest.Config{})
				send := c.send(w.SignIns)
				if state != "" {
					u := w.User("a@example.com", 0)
					w.Put(u.UID, func(u *account.User) { u.State = state })
				}
				w.News()
				w.Must(send(w, " A@Example.com"))
				if got := len(w.links()); got != want || w.Slept != floor {
					t.Errorf("state %q: %d links after %v, want %d after the floor", state, got, w.Slept, want)
				}
			}

			w := newWorld(t, worldtest.Config{})
			send := c.send(w.SignIns)
			w.User("a@example.com", 0)
			w.News()
			for range 3 { // one a minute
				w.Must(send(w, "a@example.com"))
			}
			w.link()
			for range 10 { // five an hour, one of which comes back after 12 minutes
				w.Now = w.Now.Add(61 * time.Second)
				w.Must(send(w, "a@example.com"))
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
	w := newWorld(t, worldtest.Config{})
	w.User("a@example.com", 1) // active: nothing to confirm
	for n := range 3 * 24 * 60 {
		stranger := browser
		stranger.IP = netip.AddrFrom4([4]byte{203, byte(n >> 8), byte(n), 1})
		w.Must(w.SignIns.SendConfirmation(t.Context(), signin.MailRequest{Email: "a@example.com", Client: stranger}))
		w.Now = w.Now.Add(time.Minute)
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
	many, ok := errors.AsType[limit.TooMany](err)
	return many.RetryAfter, ok
}

// A service without mail tokens mails no link and takes none.
func TestWithoutMailTokens(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	svc := worldtest.Open(worldtest.Config{}, w.DB, w.Hasher, new(limit.Memory), nil)
	in := signin.SignUp{Email: "a@example.com", Password: password, Client: browser}
	if _, err := svc.SignIns.SignUp(t.Context(), in); err == nil {
		t.Error("signed up without a link")
	}
	if _, err := w.DB.UserByEmail(t.Context(), "a@example.com"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("the user of a failed sign-up: %v, want ErrNotFound", err)
	}
	if _, _, err := svc.SignIns.ConfirmEmail(t.Context(), signin.Confirmation{Token: "x"}); err == nil {
		t.Error("confirmed by a token that nobody checks")
	}
	if err := svc.SignIns.ResetPassword(t.Context(), signin.Reset{Token: "x", Password: password}); err == nil {
		t.Error("reset by a token that nobody checks")
	}
}
