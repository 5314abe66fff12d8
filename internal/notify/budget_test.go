package notify

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"barong/internal/event"
	"barong/internal/limit"
)

// limited is a mailer with budgets, whose clock stands until it is moved.
func limited(t *testing.T, users Users) (m *Mailer, out *sent, log *bytes.Buffer, clock *time.Time) {
	t.Helper()
	rules, err := ParseRules(DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	out, log, clock = &sent{}, &bytes.Buffer{}, new(now)
	m, err = New(Config{
		From: "noreply@barong.io", DefaultLanguage: "en", Limits: &limit.Memory{}, Log: slog.New(slog.NewTextHandler(log, nil)),
		Now: func() time.Time { return *clock },
	}, rules, out, users)
	if err != nil {
		t.Fatal(err)
	}
	return m, out, log, clock
}

// signIn is the notice of a sign-in of the owner of an address.
func signIn(id int64, uid, email string, at time.Time) event.Item {
	u := user()
	u.UID, u.Email = uid, email
	return event.Item{ID: id, Event: event.DeviceAdded(u, "192.0.2.1", "x", "", at), CreatedAt: at}
}

func reset(id int64, uid, email string, at time.Time) event.Item {
	u := user()
	u.UID, u.Email = uid, email
	return event.Item{ID: id, Event: event.ResetToken(event.Notice{User: u, Domain: "x.example"}, "a.b.c"), CreatedAt: at}
}

func dropped(m *Mailer, lane Lane, reason string) int64 {
	for _, d := range m.Dropped() {
		if d.Lane == lane && d.Reason == reason {
			return d.Mails
		}
	}
	return -1
}

// TestNobodyIsMailedMoreThanTheBudget: anyone with the password of a throw-away account may
// sign in as often as they like.
func TestNobodyIsMailedMoreThanTheBudget(t *testing.T) {
	m, out, log, clock := limited(t, people{})
	for i := range int64(40) {
		// The spelling of an address is no way around it.
		email := []string{"ann@example.com", "Ann@Example.COM"}[i%2]
		if err := m.Send(t.Context(), signIn(i, "ID1", email, *clock)); err != nil {
			t.Fatal(err)
		}
	}
	if len(*out) != 3 || dropped(m, Notices, OverBudget) != 37 {
		t.Errorf("got %d mails and %d dropped, want 3 and 37", len(*out), dropped(m, Notices, OverBudget))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || strings.Contains(log.String(), "ann@") {
		t.Errorf("want one line that names no address, got %d:\n%s", n, log)
	}
	if err := m.Send(t.Context(), reset(100, "ID1", "ann@example.com", *clock)); err != nil || len(*out) != 4 {
		t.Errorf("a link after the notices: got %v and %d mails, want it sent", err, len(*out))
	}
	if err := m.Send(t.Context(), signIn(101, "ID2", "bob@example.com", *clock)); err != nil || len(*out) != 5 {
		t.Errorf("another reader: got %v and %d mails, want it sent", err, len(*out))
	}
	*clock = clock.Add(time.Hour)
	if err := m.Send(t.Context(), signIn(102, "ID1", "ann@example.com", *clock)); err != nil || len(*out) != 6 {
		t.Errorf("an hour later: got %v and %d mails, want it sent", err, len(*out))
	}
}

// TestOneDayHasABound over all kinds together, whatever comes.
func TestOneDayHasABound(t *testing.T) {
	most := 0
	for _, b := range budgets {
		most += 2 * b.all.Burst // a bucket gives at most twice its size in its period
	}
	rapid.Check(t, func(r *rapid.T) {
		m, out, _, clock := limited(t, people{})
		begin := *clock
		for i := int64(0); clock.Before(begin.Add(24 * time.Hour)); i++ {
			for range rapid.IntRange(1, 200).Draw(r, "at once") {
				item := signIn(i, "ID1", "ann@example.com", *clock)
				switch rapid.IntRange(0, 2).Draw(r, "kind") {
				case 1:
					item = reset(i, "ID1", "ann@example.com", *clock)
				case 2:
					item.Event = event.PasswordChanged(event.Notice{User: user(), Domain: "x.example"})
				}
				if err := m.Send(context.Background(), item); err != nil {
					r.Fatal(err)
				}
			}
			*clock = clock.Add(time.Duration(rapid.IntRange(10, 600).Draw(r, "minutes")) * time.Minute)
		}
		if len(*out) > most {
			r.Fatalf("%d mails to one address in a day, want at most %d", len(*out), most)
		}
	})
}

// TestOnlyTheProofGoesToAnUnprovedAddress: anybody can sign up with another's.
func TestOnlyTheProofGoesToAnUnprovedAddress(t *testing.T) {
	m, out, _, clock := limited(t, people{unproved: true})
	n := event.Notice{User: user(), Domain: "x.example"}
	label := event.Label{ID: 7, Key: "phone", Value: "verified", User: user()}
	for name, tt := range map[string]struct {
		e    event.Event
		want int
	}{
		"a sign-in":         {signIn(1, "ID1", "ann@example.com", *clock).Event, 0},
		"a password change": {event.PasswordChanged(n), 0},
		"a password reset":  {event.PasswordReset(n), 0},
		"a phone":           {event.LabelCreated(label), 0},
		"a confirmation":    {event.ConfirmationToken(n, "a.b.c"), 1},
		"a reset link":      {event.ResetToken(n, "a.b.c"), 1},
	} {
		*out = nil
		if err := m.Send(t.Context(), event.Item{Event: tt.e, CreatedAt: *clock}); err != nil || len(*out) != tt.want {
			t.Errorf("%s: got %v and %d mails, want %d", name, err, len(*out), tt.want)
		}
	}
	if n := dropped(m, Notices, Unproved); n != 4 {
		t.Errorf("counted %d, want 4", n)
	}
	foreign, err := New(Config{From: "a@b.c", DefaultLanguage: "en"}, peatioRules(t), out, people{all: ann().all, unproved: true})
	if err != nil {
		t.Fatal(err)
	}
	*out = nil
	item := event.Item{Event: event.Event{Name: "mail.peatio.events.model.deposit.updated", UID: "ID1", Record: []byte(`{}`)}}
	if err := foreign.Send(t.Context(), item); err != nil || len(*out) != 0 {
		t.Errorf("a deposit: got %v and %d mails, want none", err, len(*out))
	}
}

// refusing is a Sender that takes nothing, and limits that cannot be read.
type refusing struct{ limit.Store }

func (refusing) Send(context.Context, Message) error { return errors.New("not now") }

func (refusing) Take(context.Context, string, limit.Rule, time.Time) (time.Duration, error) {
	return 0, errors.New("away")
}

// TestWhatWasNotSentIsNotCounted, and a mail that cannot be counted is not sent.
func TestWhatWasNotSentIsNotCounted(t *testing.T) {
	m, out, _, clock := limited(t, people{})
	m.sender = refusing{}
	for i := range int64(100) {
		if err := m.Send(t.Context(), reset(i, "ID1", "ann@example.com", *clock)); err == nil {
			t.Fatal("it was sent")
		}
	}
	m.sender = out
	if err := m.Send(t.Context(), reset(1, "ID1", "ann@example.com", *clock)); err != nil || len(*out) != 1 {
		t.Errorf("after a hundred failures: got %v and %d mails, want it sent", err, len(*out))
	}
	m.cfg.Limits = refusing{}
	if err := m.Send(t.Context(), reset(2, "ID1", "ann@example.com", *clock)); !errors.Is(err, event.ErrUnavailable) || len(*out) != 1 {
		t.Errorf("limits that are away: got %v and %d mails, want it to wait", err, len(*out))
	}
}

func TestLanes(t *testing.T) {
	for name, want := range map[string]Lane{
		event.ConfirmationTokenName: Links, event.ResetTokenName: Links, event.DeviceAddedName: Notices,
		"system.user.password.reset": Notices, "model.label.created": Notices, "mail.peatio.events.model.deposit.updated": Components,
	} {
		if got := LaneOf(event.Event{Name: name}); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
