package notify

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/internal/event"
)

var update = flag.Bool("update", false, "rewrite the golden mails")

type sent []Message

func (s *sent) Send(_ context.Context, m Message) error {
	*s = append(*s, m)
	return nil
}

func user() event.User {
	return event.User{
		UID: "ID0000000001", Email: "ann@example.com", Role: "member", Level: 1, State: "active",
		CreatedAt: event.Time(time.Unix(1e9, 0)), UpdatedAt: event.Time(time.Unix(1e9, 0)),
	}
}

func newMailer(t *testing.T, c Config, rules []byte) (*Mailer, *sent) {
	t.Helper()
	parsed, err := ParseRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	if c.From == "" {
		c.From, c.FromName = "noreply@barong.io", "Barong"
	}
	if c.DefaultLanguage == "" {
		c.DefaultLanguage = "en"
	}
	out := &sent{}
	m, err := New(c, parsed, out, people{})
	if err != nil {
		t.Fatal(err)
	}
	return m, out
}

// TestGoldenMails holds every built-in mail in every language.
func TestGoldenMails(t *testing.T) {
	m, out := newMailer(t, Config{Logo: "https://cdn.example.com/logo.png"}, DefaultRules())
	if d := cmp.Diff([]string{"en", "ru"}, m.Languages()); d != "" {
		t.Errorf("languages (-want +got):\n%s", d)
	}
	notice := event.Notice{User: user(), Domain: "exchange.example"}
	at := time.Date(2026, 11, 21, 9, 8, 7, 0, time.UTC)
	label := event.Label{ID: 7, Key: "phone", Value: "verified", User: user()}
	document := event.Label{ID: 8, Key: "document", Value: "rejected", User: user()}
	for name, e := range map[string]event.Event{
		"email_confirmation": event.ConfirmationToken(notice, "head.pay+load.sig"),
		"password_reset":     event.ResetToken(notice, "head.payload.sig"),
		"password_changed":   event.PasswordReset(notice),
		"new_login":          event.DeviceAdded(user(), "192.0.2.7", "Mozilla/5.0 <script>", "Germany", at),
		"recovery_code_used": event.RecoveryCodeUsed(user(), 9, "192.0.2.7", "Mozilla/5.0 <script>", "Germany", at),
		"passkey_added":      event.PasskeyAdded(user(), "192.0.2.7", "Mozilla/5.0 <script>", "Germany", at),
		"phone":              event.LabelCreated(label),
		"document":           event.LabelUpdated(document, label),
	} {
		for _, lang := range m.Languages() {
			*out = nil
			e.Language = lang
			if err := m.Send(t.Context(), event.Item{ID: 3, Event: e, CreatedAt: at}); err != nil {
				t.Fatalf("%s in %s: %v", name, lang, err)
			}
			if len(*out) != 1 {
				t.Fatalf("%s in %s: got %d mails, want 1", name, lang, len(*out))
			}
			msg := (*out)[0]
			file := golden(t, name+"."+lang, msg)
			if strings.Contains(msg.HTML, "<script>") {
				t.Errorf("%s: what a client sent is markup in the mail", file)
			}
		}
	}
}

// golden compares a mail with the file that holds it, and names the file.
func golden(t *testing.T, name string, msg Message) (file string) {
	t.Helper()
	got := strings.Join([]string{
		"id: " + msg.ID, "from: " + msg.From.String(), "to: " + msg.To, "subject: " + msg.Subject,
		"language: " + msg.Language, "link: " + msg.Link, "", msg.Text, "", msg.HTML,
	}, "\n")
	file = filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
	return file
}

func TestLanguageOfAMail(t *testing.T) {
	rules := []byte(`
exchanges: { s: { name: barong.events.system } }
events:
- { key: user.password.reset, exchange: s, templates: { ru: { subject: R, template_path: password_changed }, en: { subject: E, template_path: password_changed } } }
- { key: user.password.change, exchange: s, templates: { ru: { subject: R, template_path: password_changed } } }
`)
	notice := event.Notice{User: user(), Domain: "d"}
	tests := map[string]struct {
		configured, asked string
		e                 event.Event
		want              string
	}{
		"the one asked for":                              {"en", "ru", event.PasswordReset(notice), "R"},
		"upper case is the same":                         {"en", "RU", event.PasswordReset(notice), "R"},
		"the default where none is asked for":            {"ru", "", event.PasswordReset(notice), "R"},
		"the default where there is no template (W-I22)": {"ru", "fr", event.PasswordReset(notice), "R"},
		"English where the default has none":             {"de", "fr", event.PasswordReset(notice), "E"},
		"any rather than no mail (W-I22)":                {"en", "fr", event.PasswordChanged(notice), "R"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, out := newMailer(t, Config{DefaultLanguage: tt.configured}, rules)
			tt.e.Language = tt.asked
			if err := m.Send(t.Context(), event.Item{Event: tt.e}); err != nil {
				t.Fatal(err)
			}
			if len(*out) != 1 || (*out)[0].Subject != tt.want {
				t.Errorf("got %v, want one mail with subject %s", *out, tt.want)
			}
		})
	}
}

func TestLink(t *testing.T) {
	m, out := newMailer(t, Config{}, DefaultRules())
	tests := map[string]struct{ domain, want string }{
		"a bare domain gets https":    {"exchange.example", "https://exchange.example/accounts/confirmation?confirmation_token=t%2B1&lang=en"},
		"a scheme stays":              {"http://localhost:3000", "http://localhost:3000/accounts/confirmation?confirmation_token=t%2B1&lang=en"},
		"a slash at the end is eaten": {"https://a.example/", "https://a.example/accounts/confirmation?confirmation_token=t%2B1&lang=en"},
	}
	for name, tt := range tests {
		*out = nil
		e := event.ConfirmationToken(event.Notice{User: user(), Domain: tt.domain}, "t+1")
		if err := m.Send(t.Context(), event.Item{Event: e}); err != nil {
			t.Fatal(err)
		}
		if got := (*out)[0].Link; got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		if !strings.Contains((*out)[0].Text, tt.want) {
			t.Errorf("%s: the text has no link:\n%s", name, (*out)[0].Text)
		}
	}
}

func TestOwnTemplatesReplaceBuiltInOnes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("password_changed.en.html", "<p>Dear {{.User.uid}} of {{.Site}}</p>")
	m, out := newMailer(t, Config{Templates: dir}, DefaultRules())
	notice := event.Notice{User: user(), Domain: "exchange.example"}
	if err := m.Send(t.Context(), event.Item{Event: event.PasswordReset(notice)}); err != nil {
		t.Fatal(err)
	}
	if got := (*out)[0]; got.HTML != "<p>Dear ID0000000001 of exchange.example</p>" || got.Text != "" {
		t.Errorf("got HTML %q and text %q, want the operator's and none", got.HTML, got.Text)
	}

	rules, err := ParseRules(DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	write("new_login.ru.txt", "{{.Broken")
	_, err = New(Config{From: "a@b.c", DefaultLanguage: "en", Templates: dir}, rules, out, nil)
	if err == nil || !strings.Contains(err.Error(), "new_login.ru.txt") {
		t.Errorf("a broken template: got %v, want an error that names it", err)
	}
	_, err = New(Config{From: "a@b.c", DefaultLanguage: "en", Templates: filepath.Join(dir, "none")}, rules, out, nil)
	if err == nil {
		t.Error("a folder that is not there: got no error")
	}
	missing, err := ParseRules([]byte(strings.ReplaceAll(string(DefaultRules()), "template_path: label", "template_path: gone")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = New(Config{From: "a@b.c", DefaultLanguage: "en"}, missing, out, nil); err == nil || !strings.Contains(err.Error(), "gone.en.html") {
		t.Errorf("a missing template: got %v, want an error that names it", err)
	}
}

// A client's text is not ours to repeat in a mail, where a link in it would be made one.
func TestMailsHoldNothingOfAUserAgent(t *testing.T) {
	m, out := newMailer(t, Config{}, DefaultRules())
	e := event.DeviceAdded(user(), "192.0.2.7", "Firefox/1 (Linux) locked: go to https://evil.example", "", time.Unix(0, 0))
	if err := m.Send(t.Context(), event.Item{Event: e}); err != nil {
		t.Fatal(err)
	}
	got := (*out)[0]
	if strings.Contains(got.Text+got.HTML, "evil") || !strings.Contains(got.Text, "Firefox on Linux") {
		t.Errorf("got %s", got.Text)
	}
}

func TestDeadLinksAreNotMailed(t *testing.T) {
	made := time.Unix(1e9, 0)
	for late, sent := range map[time.Duration]int{time.Hour - 1: 1, time.Hour: 0} {
		m, out := newMailer(t, Config{LinkLife: time.Hour, Now: func() time.Time { return made.Add(late) }}, DefaultRules())
		notice := event.Notice{User: user(), Domain: "exchange.example"}
		err := m.Send(t.Context(), event.Item{Event: event.ResetToken(notice, "t"), CreatedAt: made})
		if len(*out) != sent || errors.Is(err, event.ErrPermanent) != (sent == 0) {
			t.Errorf("after %v: %d mails, %v; want %d", late, len(*out), err, sent)
		}
		err = m.Send(t.Context(), event.Item{Event: event.PasswordReset(notice), CreatedAt: made})
		if err != nil || len(*out) != sent+1 {
			t.Errorf("without a link, after %v: %d mails, %v; want another", late, len(*out), err)
		}
	}
}

func TestWhatCannotBeAMailIsGivenUp(t *testing.T) {
	m, out := newMailer(t, Config{}, DefaultRules())
	noAddress := user()
	noAddress.Email = ""
	header := user()
	header.Email = "a@example.com\r\nBcc: b@example.com"
	for name, e := range map[string]event.Event{
		"no address":                 event.PasswordReset(event.Notice{User: noAddress}),
		"an address with a header":   event.PasswordReset(event.Notice{User: header}),
		"a record that is no object": {Name: "system.user.password.reset", Record: []byte(`[]`)},
	} {
		err := m.Send(t.Context(), event.Item{Event: e})
		if !errors.Is(err, event.ErrPermanent) {
			t.Errorf("%s: got %v, want one that is given up", name, err)
		}
	}
	if err := m.Send(t.Context(), event.Item{Event: event.UserCreated(user())}); err != nil {
		t.Errorf("an event that makes no mail: got %v", err)
	}
	if len(*out) != 0 {
		t.Errorf("got %d mails, want none", len(*out))
	}
}
