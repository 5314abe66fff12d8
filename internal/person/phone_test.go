package person_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/store/storetest"
)

const number, otherNumber = "+44 7418 084106", "+380 97 123 23 22"

// often are limits that no test meets by chance.
var often = limit.Rule{Burst: 1000, Period: time.Hour}

var unbounded = person.PhoneLimits{
	Ask: often, AskNetwork: often, Pause: often, Number: often, Owner: often, Network: often,
}

// phoneWorld is a world with an inbox.
type phoneWorld struct {
	*world
	inbox *worldtest.Inbox
	ctx   context.Context
}

func newPhoneWorld(t testing.TB, open storetest.Opener, cfg worldtest.Config) *phoneWorld {
	t.Helper()
	inbox := &worldtest.Inbox{}
	cfg.Phones = inbox
	return &phoneWorld{&world{worldtest.NewOn(t, cfg, open)}, inbox, t.Context()}
}

// add adds a number to u's and returns the code that was sent.
func (w *phoneWorld) add(u account.User, number string) (code string) {
	w.T.Helper()
	_, err := w.Persons.AddPhone(w.ctx, worldtest.ActorOf(u), number, person.ChannelSMS)
	w.Must(err)
	return w.code()
}

// code is that of the one message that was sent.
func (w *phoneWorld) code() string {
	w.T.Helper()
	all := w.inbox.Take()
	if len(all) != 1 || !regexp.MustCompile(`^[0-9]{5}$`).MatchString(all[0].Code) {
		w.T.Fatalf("%d messages, want one with a code", len(all))
	}
	return all[0].Code
}

// verify tries a code, whose outcome is want.
func (w *phoneWorld) verify(u account.User, number, code string, want error) account.User {
	w.T.Helper()
	got, err := w.Persons.VerifyPhone(w.ctx, worldtest.ActorOf(u), number, code)
	if !errors.Is(err, want) || want == nil && err != nil {
		w.T.Fatalf("verify %s: %v, want %v", number, err, want)
	}
	return got
}

// wrong is another code than the right one.
func wrong(right string) string {
	if right == "00000" {
		return "11111"
	}
	return "00000"
}

func (w *phoneWorld) phoneLabel(uid string) string {
	w.T.Helper()
	l, err := w.DB.Label(w.ctx, uid, "phone", account.ScopePrivate)
	if errors.Is(err, account.ErrNoLabel) {
		return ""
	}
	w.Must(err)
	return l.Value
}

// A code proves the number: label, level, activities and events follow.
func TestAPhoneIsVerified(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newPhoneWorld(t, open, worldtest.Config{})
		u := w.User("a@example.com", 1)
		w.News()
		via, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelCall)
		w.Must(err)
		m := w.inbox.Take()[0]
		want := person.PhoneMessage{
			To: "+447418084106", Channel: "call", Language: "en", Code: m.Code, Text: "Your verification code for Barong: " + m.Code,
		}
		if d := cmp.Diff(want, m); d != "" || via != "call" {
			t.Errorf("via %s, message (-want +got):\n%s", via, d)
		}
		held, err := w.Persons.Phones(t.Context(), worldtest.ActorOf(u))
		w.Must(err)
		if len(held) != 1 || held[0].Number != "447418084106" || held[0].Country != "GB" || !held[0].ProvedAt.IsZero() {
			t.Errorf("phones %#v", held)
		}
		w.verify(u, number, wrong(m.Code), person.ErrWrongPhoneCode)
		if got := w.verify(u, "447418084106", " "+m.Code+"\n", nil); got.Level != 2 || w.Reload(u.UID).Level != 2 {
			t.Errorf("level %d, want 2", got.Level)
		}
		held, err = w.Persons.Phones(t.Context(), worldtest.ActorOf(u))
		w.Must(err)
		if !held[0].ProvedAt.Equal(w.Now) || w.phoneLabel(u.UID) != "verified" {
			t.Errorf("proved at %v with label %q", held[0].ProvedAt, w.phoneLabel(u.UID))
		}
		acts := []string{
			"account phone create succeed", `account phone verify failed {"reason":"Code is wrong or lapsed"}`, "account phone verify succeed",
		}
		if d := cmp.Diff(acts, w.Activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"model.label.created:en", "model.user.updated:en"}, worldtest.Names(w.News())); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		w.verify(u, number, m.Code, person.ErrPhoneProved)
		_, err = w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		worldMust(t, err, person.ErrPhoneProved)
	})
}

func worldMust(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// A label that staff have set stays as it is.
func TestAPhoneLabelOfStaffStays(t *testing.T) {
	w := newPhoneWorld(t, storetest.Open, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.Label(u.UID, "phone", "rejected", account.ScopePrivate)
	if got := w.verify(u, number, w.add(u, number), nil); got.Level != 1 || w.phoneLabel(u.UID) != "rejected" {
		t.Errorf("level %d, label %s", got.Level, w.phoneLabel(u.UID))
	}
}

// A code that lapsed or was tried too often is of no use, and another one is.
func TestAFailedPhoneIsTriedAgain(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newPhoneWorld(t, open, worldtest.Config{})
		u := w.User("a@example.com", 1)
		again := func() string {
			t.Helper()
			w.Now = w.Now.Add(5 * time.Hour) // the bucket of the day has one more
			_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
			w.Must(err)
			return w.code()
		}
		first := w.add(u, number)
		w.Now = w.Now.Add(10 * time.Minute)
		w.verify(u, number, first, person.ErrWrongPhoneCode) // lapsed
		_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		worldMust(t, err, person.ErrPhoneHeld)
		second := again()
		for range 5 {
			w.verify(u, number, wrong(second), person.ErrWrongPhoneCode)
		}
		w.verify(u, number, second, person.ErrWrongPhoneCode) // spent
		third := again()
		if third != second {
			w.verify(u, number, second, person.ErrWrongPhoneCode)
		}
		w.inbox.Fail = errors.New("away")
		w.Now = w.Now.Add(5 * time.Hour)
		_, err = w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		worldMust(t, err, person.ErrPhoneProvider)
		w.inbox.Fail = nil
		w.inbox.Take()
		w.verify(u, number, again(), nil)
	})
}

// Numbers of others: those proved are taken, those not proved are not; one number has one proof.
func TestPhonesOfOthers(t *testing.T) {
	w := newPhoneWorld(t, storetest.Open, worldtest.Config{PhoneLimits: unbounded})
	a, b := w.User("a@example.com", 1), w.User("b@example.com", 1)
	mine := w.add(a, number)
	w.verify(b, number, mine, person.ErrNoPhone)
	theirs := w.add(b, number) // a has not proved it
	if mine != theirs {
		w.verify(b, number, mine, person.ErrWrongPhoneCode)
	}
	w.verify(b, number, theirs, nil)
	w.verify(a, number, mine, person.ErrPhoneProved)
	c := w.User("c@example.com", 1)
	for name, call := range map[string]func(context.Context, account.Actor, string, string) (string, error){
		"add": w.Persons.AddPhone, "send": w.Persons.SendPhoneCode,
	} {
		for _, text := range []string{number, "++447418084106", "+44 07418084106"} {
			if _, err := call(t.Context(), worldtest.ActorOf(c), text, person.ChannelSMS); !errors.Is(err, person.ErrPhoneProved) {
				t.Errorf("%s %s: %v, want ErrPhoneProved", name, text, err)
			}
		}
		if _, err := call(t.Context(), worldtest.ActorOf(c), "123", person.ChannelSMS); !errors.Is(err, person.ErrNoNumber) {
			t.Errorf("%s 123: %v, want ErrNoNumber", name, err)
		}
	}
	w.verify(c, "123", "12345", person.ErrNoNumber)
	w.verify(c, number, "12345", person.ErrPhoneProved)
	_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(c), otherNumber, person.ChannelSMS)
	worldMust(t, err, person.ErrNoPhone)
	if n := len(w.inbox.Take()); n != 0 {
		t.Errorf("%d messages were sent in vain", n)
	}
}

// Of accounts that prove one number at the same moment one wins.
func TestOneAccountProvesANumber(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newPhoneWorld(t, open, worldtest.Config{PhoneLimits: unbounded})
		var users []account.User
		var codes []string
		for i := range 6 {
			users = append(users, w.User(fmt.Sprintf("u%d@example.com", i), 1))
			codes = append(codes, w.add(users[i], number))
		}
		errs := make([]error, len(users))
		var group sync.WaitGroup
		for i := range users {
			group.Go(func() {
				_, errs[i] = w.Persons.VerifyPhone(context.Background(), worldtest.ActorOf(users[i]), number, codes[i])
			})
		}
		group.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, person.ErrPhoneProved):
				t.Errorf("%v, want ErrPhoneProved", err)
			}
			if label := w.phoneLabel(users[i].UID); (label == "verified") != (err == nil) {
				t.Errorf("label %q after %v", label, err)
			}
		}
		if won != 1 {
			t.Errorf("%d accounts have the number", won)
		}
	})
}

// However many tries there are at once, the provider hears of as many as there may be.
func TestTriesAtOnceAreCounted(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newPhoneWorld(t, open, worldtest.Config{})
		w.inbox.Makes = "123456"
		u := w.User("a@example.com", 1)
		_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		w.Must(err)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, err := w.Persons.VerifyPhone(context.Background(), worldtest.ActorOf(u), number, "000000")
				if !errors.Is(err, person.ErrWrongPhoneCode) {
					t.Errorf("%v, want ErrWrongPhoneCode", err)
				}
			})
		}
		group.Wait()
		if n := w.inbox.Checks(); n != 5 {
			t.Errorf("the provider was asked %d times, want 5", n)
		}
		w.verify(u, number, "123456", person.ErrWrongPhoneCode)
	})
}

// A provider that makes codes is believed about them, and about nothing else.
func TestCodesOfTheProvider(t *testing.T) {
	w := newPhoneWorld(t, storetest.Open, worldtest.Config{PhoneLimits: unbounded})
	w.inbox.Makes = "123456"
	u := w.User("a@example.com", 1)
	_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
	w.Must(err)
	if m := w.inbox.Take()[0]; m.Code != "" {
		t.Error("a code of ours was made")
	}
	for _, odd := range []string{"", "1", "12345a", strings.Repeat("1", 100), "\x00", "123456\n7"} {
		w.verify(u, number, odd, person.ErrWrongPhoneCode)
		_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		w.Must(err)
	}
	if n := w.inbox.Checks(); n != 0 {
		t.Errorf("asked %d times about codes that are none", n)
	}
	for _, fail := range []error{errors.New("away"), person.ErrPhoneUnreachable, person.ErrPhoneUnsubscribed} {
		w.inbox.Fail = fail
		w.verify(u, number, "123456", person.ErrPhoneProvider)
	}
	w.inbox.Fail = nil
	w.verify(u, number, "123456", nil)
}

// Each refusal of a provider is one of ours, and the number stays.
func TestRefusalsOfTheProvider(t *testing.T) {
	for _, want := range []error{
		person.ErrPhoneUnreachable, person.ErrPhoneInvalid, person.ErrPhoneContent, person.ErrPhoneUnsubscribed, person.ErrPhoneProvider,
	} {
		w := newPhoneWorld(t, storetest.Open, worldtest.Config{})
		u := w.User("a@example.com", 1)
		w.inbox.Fail = fmt.Errorf("send: %w", want)
		_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
		worldMust(t, err, want)
		held, err := w.Persons.Phones(t.Context(), worldtest.ActorOf(u))
		w.Must(err)
		if len(held) != 1 {
			t.Errorf("%v: %d phones, want the number to stay", want, len(held))
		}
		acts := []string{"account phone create succeed", `account phone code failed {"reason":"The code was not sent"}`}
		if d := cmp.Diff(acts, w.Activities(u.UID)); d != "" {
			t.Errorf("activities (-want +got):\n%s", d)
		}
	}
}

// Without a provider nothing is asked and nothing is sent.
func TestPhonesThatAreOff(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	by := worldtest.ActorOf(u)
	_, added := w.Persons.AddPhone(t.Context(), by, number, person.ChannelSMS)
	_, sent := w.Persons.SendPhoneCode(t.Context(), by, number, person.ChannelSMS)
	_, verified := w.Persons.VerifyPhone(t.Context(), by, number, "12345")
	for _, err := range []error{added, sent, verified} {
		worldMust(t, err, person.ErrPhonesOff)
	}
}

// Codes are bounded by number, by account and by network, questions by account and by network.
func TestPhonesAreBounded(t *testing.T) {
	one := limit.Rule{Burst: 2, Period: time.Hour}
	bounded := func(set func(*person.PhoneLimits)) worldtest.Config {
		l := unbounded
		set(&l)
		return worldtest.Config{PhoneLimits: l}
	}
	send := func(w *phoneWorld, u account.User, number string) error {
		_, err := w.Persons.SendPhoneCode(w.ctx, worldtest.ActorOf(u), number, person.ChannelSMS)
		return err
	}
	for name, test := range map[string]struct {
		limits func(*person.PhoneLimits)
		third  func(w *phoneWorld, a, b account.User) error // after two that pass
		passes func(w *phoneWorld, a, b account.User) error
	}{
		"by number": {
			func(l *person.PhoneLimits) { l.Number = one },
			func(w *phoneWorld, _, b account.User) error { return send(w, b, number) },
			func(w *phoneWorld, a, _ account.User) error { return send(w, a, otherNumber) },
		},
		"by the pause": {
			func(l *person.PhoneLimits) { l.Pause = one },
			func(w *phoneWorld, _, b account.User) error { return send(w, b, number) },
			func(w *phoneWorld, a, _ account.User) error { return send(w, a, otherNumber) },
		},
		"by account": {
			func(l *person.PhoneLimits) { l.Owner = limit.Rule{Burst: 3, Period: time.Hour} },
			func(w *phoneWorld, a, _ account.User) error { return send(w, a, otherNumber) },
			func(w *phoneWorld, _, b account.User) error { return send(w, b, number) },
		},
		"by network": {
			func(l *person.PhoneLimits) { l.Network = limit.Rule{Burst: 4, Period: time.Hour} },
			func(w *phoneWorld, _, b account.User) error { return send(w, b, number) },
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := bounded(func(*person.PhoneLimits) {})
			w := newPhoneWorld(t, storetest.Open, cfg)
			a, b := w.User("a@example.com", 1), w.User("b@example.com", 1)
			w.add(a, number)
			w.add(a, otherNumber)
			w.add(b, number)
			cfg = bounded(test.limits)
			cfg.Phones = w.inbox
			w.Serve(cfg, w.Hasher, new(limit.Memory)) // nothing is counted yet
			w.Must(send(w, a, number))
			w.Must(send(w, a, number))
			switch name {
			case "by account":
				w.Must(send(w, a, otherNumber))
			case "by network":
				w.Must(send(w, a, otherNumber))
				w.Must(send(w, a, otherNumber))
			}
			w.inbox.Take()
			err := test.third(w, a, b)
			if limit.RetryAfter(err) <= 0 || len(w.inbox.Take()) != 0 {
				t.Errorf("%v, want to be asked to wait", err)
			}
			if test.passes != nil {
				w.Must(test.passes(w, a, b))
			}
			w.Now = w.Now.Add(time.Hour)
			w.Must(test.third(w, a, b))
		})
	}
}

// Questions whether somebody has a number are bounded, but not those about numbers of one's own: the
// public front end asks for another code when it hears that it has the number.
func TestQuestionsAboutPhonesAreBounded(t *testing.T) {
	w := newPhoneWorld(t, storetest.Open, worldtest.Config{})
	owner, u := w.User("owner@example.com", 1), w.User("a@example.com", 1)
	w.verify(owner, number, w.add(owner, number), nil)
	w.Now = w.Now.Add(time.Hour)
	w.add(u, otherNumber)
	for i := range 9 {
		switch i % 3 {
		case 0:
			w.verify(u, number, "12345", person.ErrPhoneProved)
		case 1:
			_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
			worldMust(t, err, person.ErrPhoneProved)
		case 2:
			_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), "+44 7418 084107", person.ChannelSMS)
			worldMust(t, err, person.ErrNoPhone)
		}
	}
	w.verify(u, number, "12345", limit.ErrTooMany)
	_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
	worldMust(t, err, limit.ErrTooMany)
	_, err = w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), otherNumber, person.ChannelSMS)
	worldMust(t, err, person.ErrPhoneHeld)
	w.verify(u, otherNumber, "x", person.ErrWrongPhoneCode)
}

// An account has five numbers; one that was not proved makes room for another.
func TestTooManyPhones(t *testing.T) {
	w := newPhoneWorld(t, storetest.Open, worldtest.Config{PhoneLimits: unbounded})
	u := w.User("a@example.com", 1)
	numberOf := func(n int) string { return fmt.Sprintf("+44741808410%d", n) }
	held := func() (digits []string) {
		t.Helper()
		all, err := w.Persons.Phones(t.Context(), worldtest.ActorOf(u))
		w.Must(err)
		for _, p := range all {
			digits = append(digits, p.Number[len(p.Number)-1:])
		}
		return digits
	}
	w.verify(u, numberOf(0), w.add(u, numberOf(0)), nil)
	for n := 1; n < 6; n++ {
		w.add(u, numberOf(n))
	}
	if d := cmp.Diff([]string{"0", "2", "3", "4", "5"}, held()); d != "" {
		t.Errorf("numbers (-want +got):\n%s", d)
	}
	for n := 2; n < 6; n++ {
		_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(u), numberOf(n), person.ChannelSMS)
		w.Must(err)
		w.verify(u, numberOf(n), w.code(), nil)
	}
	_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), numberOf(6), person.ChannelSMS)
	worldMust(t, err, person.ErrTooManyPhones)
}

// Messages are in the language of the account, or as the operator writes them.
func TestTextsOfCodes(t *testing.T) {
	for name, test := range map[string]struct {
		data, template, want string
	}{
		"of the account":              {`{"language":"ru"}`, "", "Ваш код подтверждения для Exchange: %s"},
		"in a language that has none": {`{"language":"xx"}`, "", "Your verification code for Exchange: %s"},
		"at the end":                  {`{}`, "Code {{code}}", "Code %s"},
		"at the start":                {`{"language":"ru"}`, "{{code}} is it", "%s is it"},
		"in the middle":               {`{}`, "It is {{code}}, now", "It is %s, now"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPhoneWorld(t, storetest.Open, worldtest.Config{AppName: "Exchange", CodeText: test.template})
			u := w.User("a@example.com", 1)
			w.Put(u.UID, func(u *account.User) { u.Data = new(test.data) })
			_, err := w.Persons.AddPhone(t.Context(), worldtest.ActorOf(u), number, person.ChannelSMS)
			w.Must(err)
			m := w.inbox.Take()[0]
			if want := fmt.Sprintf(test.want, m.Code); m.Text != want {
				t.Errorf("got %q, want %q", m.Text, want)
			}
		})
	}
}

// A deleted account leaves its number to others, with the level that it brought; restored, it proves
// the number anew, unless somebody else has.
func TestADeletedAccountFreesItsPhone(t *testing.T) {
	storetest.Engines(t, func(t *testing.T, open storetest.Opener) {
		w := newPhoneWorld(t, open, worldtest.Config{PhoneLimits: unbounded})
		a, b := w.User("a@example.com", 1), w.User("b@example.com", 1)
		w.verify(a, number, w.add(a, number), nil)
		w.Must(w.SignIns.DeleteAccount(t.Context(), worldtest.ActorOf(a), worldtest.Password, ""))
		if u := w.Reload(a.UID); u.State != account.StateDeleted || u.Level != 1 || w.phoneLabel(a.UID) != "" {
			t.Errorf("state %s, level %d, label %q", u.State, u.Level, w.phoneLabel(a.UID))
		}
		w.verify(b, number, w.add(b, number), nil)
		w.Must(w.Accounts.RemoveLabel(t.Context(), worldtest.Peer, a.UID, "delete", account.ScopePrivate))
		if u := w.Reload(a.UID); u.State != account.StateActive || u.Level != 1 {
			t.Errorf("restored with state %s, level %d", u.State, u.Level)
		}
		_, err := w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(a), number, person.ChannelSMS)
		worldMust(t, err, person.ErrPhoneProved)
		w.Must(w.SignIns.DeleteAccount(t.Context(), worldtest.ActorOf(b), worldtest.Password, ""))
		_, err = w.Persons.SendPhoneCode(t.Context(), worldtest.ActorOf(a), number, person.ChannelSMS)
		w.Must(err)
		if u := w.verify(a, number, w.code(), nil); u.Level != 2 {
			t.Errorf("proved anew: level %d, want 2", u.Level)
		}
	})
}

// Nothing that is printed of a phone or a message shows the number or the code.
func TestPhonesArePrintedWithoutTheirNumber(t *testing.T) {
	p := person.Phone{ID: 1, UserUID: "ID1", Number: "447418084106"}
	m := person.PhoneMessage{To: "+447418084106", Code: "12345", Text: "12345"}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%#v", p), fmt.Sprintf("%+v", p), fmt.Sprint(m), fmt.Sprintf("%#v", m)} {
		if strings.Contains(text, "4106") || strings.Contains(text, "12345") {
			t.Errorf("printed as %s", text)
		}
	}
}
