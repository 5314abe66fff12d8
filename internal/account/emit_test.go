package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/event"
)

// told are events as "name changes", without changes when there are none.
func told(all []event.Event) (out []string) {
	for _, e := range all {
		out = append(out, strings.TrimSpace(e.Name+" "+string(e.Changes)))
	}
	return out
}

// AZ-385 to AZ-388, identity §6.8, 14.6-56, 14.7-20, data model §7, admin 7.9.
func TestWritesAnnounceThemselves(t *testing.T) {
	const document = "document"
	for name, c := range map[string]struct {
		before func(w *world, u account.User) // not looked at
		act    func(w *world, u account.User)
		want   []string
	}{
		"a new user with labels": {
			act: func(w *world, _ account.User) { w.user("b@example.com", 1) },
			want: []string{
				"model.user.created", "model.label.created", `model.user.updated {"level":0,"state":"pending"}`,
			},
		},
		"a public label": {
			act:  func(w *world, u account.User) { w.label(u.UID, "colour", "red", "public") },
			want: []string{"model.label.created"},
		},
		"a label that lowers the level": {
			act:  func(w *world, u account.User) { w.label(u.UID, "email", "rejected", "private") },
			want: []string{`model.label.updated {"value":"verified"}`, `model.user.updated {"level":1,"state":"active"}`},
		},
		"a label written again as it is": {
			act: func(w *world, u account.User) { w.label(u.UID, "email", "verified", "private") },
		},
		"a label's description, from none": {
			act: func(w *world, u account.User) {
				_, err := w.svc.SetLabel(w.t.Context(), account.Label{
					UserUID: u.UID, Key: "email", Value: "verified", Scope: "private", Description: ptr("by hand"),
				})
				w.must(err)
			},
			want: []string{"model.label.updated {}"},
		},
		"a removed label": {
			act: func(w *world, u account.User) {
				w.must(w.svc.RemoveLabel(w.t.Context(), u.UID, "email", "private"))
			},
			want: []string{`model.user.updated {"level":1,"state":"active"}`},
		},
		"a verified document": {
			act:  func(w *world, u account.User) { w.label(u.UID, document, "verified", "private") },
			want: []string{"model.label.created", "system.document.verified"},
		},
		"a rejected document": {
			before: func(w *world, u account.User) { w.label(u.UID, document, "verified", "private") },
			act:    func(w *world, u account.User) { w.label(u.UID, document, "rejected", "private") },
			want:   []string{`model.label.updated {"value":"verified"}`, "system.document.rejected"},
		},
		"a verified document written again as it is": {
			before: func(w *world, u account.User) { w.label(u.UID, document, "verified", "private") },
			act:    func(w *world, u account.User) { w.label(u.UID, document, "verified", "private") },
		},
		"a removed verified document": {
			before: func(w *world, u account.User) { w.label(u.UID, document, "verified", "private") },
			act: func(w *world, u account.User) {
				w.must(w.svc.RemoveLabel(w.t.Context(), u.UID, document, "private"))
			},
			want: []string{"system.document.verified"},
		},
		"a public label of that name": {
			act:  func(w *world, u account.User) { w.label(u.UID, document, "verified", "public") },
			want: []string{"model.label.created"},
		},
		"a pending document": {
			act:  func(w *world, u account.User) { w.label(u.UID, document, "pending", "private") },
			want: []string{"model.label.created"},
		},
		"one-time codes on": {
			act: func(w *world, u account.User) { w.secondFactor(u) },
			want: []string{
				`model.user.updated {"otp":false}`, "model.label.created",
			},
		},
		"another address": {
			before: func(w *world, u account.User) { w.setEmail(u, "old@example.com") },
			act:    func(w *world, u account.User) { w.setEmail(u, "new@example.com") },
			want:   []string{`model.user.updated {"email":"old@example.com"}`},
		},
		"ended sessions, a counter alone": {
			act: func(w *world, u account.User) {
				_, err := w.svc.RevokeSessions(w.t.Context(), u.UID)
				w.must(err)
			},
		},
		"a sign-in": {
			act: func(w *world, u account.User) {
				_, err := w.signIn(u.Email, password, "")
				w.must(err)
			},
			want: []string{"system.session.create"},
		},
		"a sign-in that renews the digest": {
			before: func(w *world, u account.User) {
				w.put(u.UID, func(u *account.User) { u.PasswordDigest = "old:" + password })
			},
			act: func(w *world, u account.User) {
				_, err := w.signIn(u.Email, password, "")
				w.must(err)
			},
			want: []string{"model.user.updated {}", "system.session.create"},
		},
		"a refused sign-in": {
			act: func(w *world, u account.User) {
				if _, err := w.signIn(u.Email, "x", ""); err == nil {
					w.t.Error("signed in")
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, account.Config{})
			u := w.user("a@example.com", 1)
			if c.before != nil {
				c.before(w, u)
			}
			w.news()
			c.act(w, u)
			if d := cmp.Diff(c.want, told(w.news())); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The content of a record (AZ-385, AZ-386).
func TestRecords(t *testing.T) {
	w := newWorld(t, account.Config{})
	referrer, err := w.signUp("r@example.com")
	w.must(err)
	w.news()
	u, err := w.svc.SignUp(t.Context(), account.SignUp{
		Email: "a@example.com", Password: password, RefID: &referrer.UID, Client: browser,
	})
	w.must(err)
	w.label(u.UID, "Phone", "verified", "private")
	news := w.news()
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
		{"user": whole, "domain": "http://localhost", "token": member(news[1], "token"), "language": "en"},
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
	w := newWorld(t, account.Config{})
	u := w.user("a@example.com", 1)
	w.news()
	oops := errors.New("oops")
	svc := account.NewService(account.Config{}, failing{w.db, oops}, w.hasher, nil, nil)
	_, err := svc.SetLabel(t.Context(), account.Label{UserUID: u.UID, Key: "phone", Value: "verified", Scope: "private"})
	if !errors.Is(err, oops) || len(w.news()) != 0 {
		t.Errorf("%v; want the error of the transaction and no event", err)
	}
}

// failing is a store whose transactions do their work and fail.
type failing struct {
	account.Store
	err error
}

func (f failing) Update(ctx context.Context, work func(account.Tx) error) error {
	return f.Store.Update(ctx, func(tx account.Tx) error { return errors.Join(work(tx), f.err) })
}

// Identity §6.1, the request before it, and the browser after it.
func TestLanguageOfMails(t *testing.T) {
	for _, c := range []struct{ said, data, browser, want string }{
		{"", ``, "", "fr"},
		{"ru", `{"language":"DE"}`, "es", "ru"},
		{"EN-us", `{"language":"DE"}`, "", "en"},
		{"zh_Hant", ``, "", "zh"},
		{"", `{"language":"DE"}`, "es", "de"},
		{"", ``, "es", "es"},
		{"", `{"language":5}`, "es-AR", "es"},
		{"", ``, "*", "fr"},
		{"", `{"language":" de-CH "}`, "", "de"},
		{"", `{"Language":"DE"}`, "", "fr"},
		{"", `{"language":5}`, "", "fr"},
		{"", `{"language":"deutsch"}`, "", "fr"},
		{"*", `{"language":"d3"}`, "", "fr"},
		{"../x", `{"language":{"a":1}}`, "", "fr"},
	} {
		w := newWorld(t, account.Config{DefaultLanguage: "FR"})
		u := w.user("a@example.com", 0)
		w.put(u.UID, func(u *account.User) {
			if c.data != "" {
				u.Data = &c.data
			}
		})
		w.news()
		client := browser
		client.Language = c.browser
		w.must(w.svc.SendReset(t.Context(), account.MailRequest{Email: u.Email, Language: c.said, Client: client}))
		if news := w.news(); len(news) != 1 || news[0].Language != c.want || member(news[0], "language") != c.want {
			t.Errorf("said %q, data %s, browser %q: %v, want %s", c.said, c.data, c.browser, names(news), c.want)
		}
	}
}

// A write past Service.update announces nothing.
func TestEveryTransactionAnnounces(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	past := regexp.MustCompile(`\bstore\.(Update|AddUser|PutUser|PutLabel|DeleteLabel|EndSessions)\(`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := past.Find(text); found != nil && file != "emit.go" && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s calls %s; want Service.update", file, found)
		}
	}
}
