package account_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/account/worldtest"
	"barong/internal/event"
	"barong/internal/signin"
)

// told are events as "name changes", without changes when there are none.
func told(all []event.Event) (out []string) {
	for _, e := range all {
		out = append(out, strings.TrimSpace(e.Name+" "+string(e.Changes)))
	}
	return out
}

// Each write is announced by its event, or by none (AZ-385 to AZ-388).
func TestWritesAnnounceThemselves(t *testing.T) {
	const document = "document"
	for name, c := range map[string]struct {
		before func(w *world, u account.User) // not looked at
		act    func(w *world, u account.User)
		want   []string
	}{
		"a new user with labels": {
			act: func(w *world, _ account.User) { w.User("b@example.com", 1) },
			want: []string{
				"model.user.created", "model.label.created", `model.user.updated {"level":0,"state":"pending"}`,
			},
		},
		"a public label": {
			act:  func(w *world, u account.User) { w.Label(u.UID, "colour", "red", "public") },
			want: []string{"model.label.created"},
		},
		"a label that lowers the level": {
			act:  func(w *world, u account.User) { w.Label(u.UID, "email", "rejected", "private") },
			want: []string{`model.label.updated {"value":"verified"}`, `model.user.updated {"level":1,"state":"active"}`},
		},
		"a label written again as it is": {
			act: func(w *world, u account.User) { w.Label(u.UID, "email", "verified", "private") },
		},
		"a label's description, from none": {
			act: func(w *world, u account.User) {
				_, err := w.Accounts.SetLabel(w.T.Context(), worldtest.Peer, account.LabelInput{
					UserUID: u.UID, Key: "email", Value: "verified", Scope: "private", Description: ptr("by hand"),
				})
				w.Must(err)
			},
			want: []string{"model.label.updated {}"},
		},
		"a removed label": {
			act: func(w *world, u account.User) {
				w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, u.UID, "email", "private"))
			},
			want: []string{`model.user.updated {"level":1,"state":"active"}`},
		},
		"a verified document": {
			act:  func(w *world, u account.User) { w.Label(u.UID, document, "verified", "private") },
			want: []string{"model.label.created", "system.document.verified"},
		},
		"a rejected document": {
			before: func(w *world, u account.User) { w.Label(u.UID, document, "verified", "private") },
			act:    func(w *world, u account.User) { w.Label(u.UID, document, "rejected", "private") },
			want:   []string{`model.label.updated {"value":"verified"}`, "system.document.rejected"},
		},
		"a verified document written again as it is": {
			before: func(w *world, u account.User) { w.Label(u.UID, document, "verified", "private") },
			act:    func(w *world, u account.User) { w.Label(u.UID, document, "verified", "private") },
		},
		"a removed verified document": {
			before: func(w *world, u account.User) { w.Label(u.UID, document, "verified", "private") },
			act: func(w *world, u account.User) {
				w.Must(w.Accounts.RemoveLabel(w.T.Context(), worldtest.Peer, u.UID, document, "private"))
			},
			want: []string{"system.document.verified"},
		},
		"a public label of that name": {
			act:  func(w *world, u account.User) { w.Label(u.UID, document, "verified", "public") },
			want: []string{"model.label.created"},
		},
		"a pending document": {
			act:  func(w *world, u account.User) { w.Label(u.UID, document, "pending", "private") },
			want: []string{"model.label.created"},
		},
		"one-time codes on": {
			act: func(w *world, u account.User) { w.SecondFactor(u) },
			want: []string{
				`model.user.updated {"otp":false}`, "model.label.created",
			},
		},
		"another address": {
			before: func(w *world, u account.User) { w.SetEmail(u, "old@example.com") },
			act:    func(w *world, u account.User) { w.SetEmail(u, "new@example.com") },
			want:   []string{`model.user.updated {"email":"old@example.com"}`},
		},
		"ended sessions, a counter alone": {
			act: func(w *world, u account.User) {
				_, err := w.Accounts.RevokeSessions(w.T.Context(), account.Operator("sessions revoke"), u.UID)
				w.Must(err)
			},
		},
		"a sign-in": {
			act: func(w *world, u account.User) {
				w.Must(w.signIn(u.Email, password))
			},
			want: []string{"system.session.create"},
		},
		"a sign-in that renews the digest": {
			before: func(w *world, u account.User) {
				w.Put(u.UID, func(u *account.User) { u.PasswordDigest = "old:" + password })
			},
			act: func(w *world, u account.User) {
				w.Must(w.signIn(u.Email, password))
			},
			want: []string{"model.user.updated {}", "system.session.create"},
		},
		"a refused sign-in": {
			act: func(w *world, u account.User) {
				if err := w.signIn(u.Email, "x"); err == nil {
					w.T.Error("signed in")
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worldtest.Config{})
			u := w.User("a@example.com", 1)
			if c.before != nil {
				c.before(w, u)
			}
			w.News()
			c.act(w, u)
			if d := cmp.Diff(c.want, told(w.News())); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The content of a record (AZ-385, AZ-386).
func TestRecords(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	referrer, err := w.signUp("r@example.com")
	w.Must(err)
	w.News()
	u, err := w.SignIns.SignUp(t.Context(), signin.SignUp{
		Email: "a@example.com", Password: password, RefID: &referrer.UID, Client: browser,
	})
	w.Must(err)
	w.Label(u.UID, "Phone", "verified", "private")
	news := w.News()
	user := map[string]any{
		"uid": u.UID, "email": "a@example.com", "role": "member", "level": 0.0, "otp": false, "state": "pending",
		"referral_uid": referrer.UID, "created_at": "2026-11-21T08:00:00Z", "updated_at": "2026-11-21T08:00:00Z",
	}
	whole := map[string]any{"username": nil}
	for k, v := range user {
		whole[k] = v
	}
	for i, want := range []map[string]any{
		user,
		{"user": whole, "domain": "http://localhost", "token": worldtest.Member(news[1], "token"), "language": "en"},
		{"id": 1.0, "key": "phone", "value": "verified", "user": whole},
	} {
		var got map[string]any
		if err := json.Unmarshal(news[i].Record, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" || news[i].UID != u.UID {
			t.Errorf("%v (-want +got):\n%s", news[i], d)
		}
	}
}

// An event is committed with its change, or neither is.
func TestAFailedWriteTellsNothing(t *testing.T) {
	w := newWorld(t, worldtest.Config{})
	u := w.User("a@example.com", 1)
	w.News()
	oops := errors.New("oops")
	w.Serve(worldtest.Config{Commit: func() error { return oops }}, w.Hasher, nil)
	_, err := w.Accounts.SetLabel(t.Context(), worldtest.Peer, account.LabelInput{UserUID: u.UID, Key: "phone", Value: "verified", Scope: "private"})
	if !errors.Is(err, oops) || len(w.News()) != 0 {
		t.Errorf("%v; want the error of the transaction and no event", err)
	}
}
