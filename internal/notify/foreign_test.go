package notify

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/event"
)

// people is Users of a map, or of everybody without one, and an error for everybody.
type people struct {
	all      map[string]account.User
	err      error
	unproved bool
}

func (p people) User(_ context.Context, uid string) (account.User, error) {
	if p.err != nil {
		return account.User{}, p.err
	}
	if u, ok := p.all[uid]; ok || p.all == nil {
		u.Unproved = p.unproved
		return u, nil
	}
	return account.User{}, account.ErrNotFound
}

func ann() people {
	return people{all: map[string]account.User{"ID1": {
		UID: "ID1", Email: "ann@example.com", Role: "member", Level: 2, State: "active",
	}}}
}

// outbox is an Outbox in memory.
type outbox struct {
	kept []event.Event
	seen map[string]time.Time
	err  error
}

func (o *outbox) EmitOnce(_ context.Context, source, id string, until time.Time, e event.Event) (bool, error) {
	if o.err != nil {
		return false, o.err
	}
	if o.seen == nil {
		o.seen = map[string]time.Time{}
	}
	if _, ok := o.seen[source+" "+id]; ok {
		return false, nil
	}
	o.seen[source+" "+id] = until
	o.kept = append(o.kept, e)
	return true, nil
}

var now = time.Unix(1_700_000_000, 0)

// service signs as another service does, by a key made of one byte.
func service(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
}

func message(by ed25519.PrivateKey, jti string, exp time.Time, object string) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	protected := b64([]byte(`{"alg":"EdDSA"}`))
	payload := b64(fmt.Appendf(nil, `{"iss":"peatio","jti":%q,"iat":%d,"exp":%d,"event":%s}`,
		jti, exp.Add(-time.Hour).Unix(), exp.Unix(), object))
	return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"header":{"kid":"peatio"},"signature":%q}]}`,
		payload, protected, b64(ed25519.Sign(by, []byte(protected+"."+payload))))
}

// peatioRules are those of the built-in file's example, with the key of service(1).
func peatioRules(t *testing.T) Rules {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(service(1).Public())
	if err != nil {
		t.Fatal(err)
	}
	key := base64.URLEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	_, example, _ := strings.Cut(string(DefaultRules()), "# keychain:\n")
	var text strings.Builder
	for line := range strings.Lines("# keychain:\n" + example) {
		text.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
	}
	in := strings.NewReplacer("RS256 ", "EdDSA ", "LS0tLS1CRUdJTi…", key).Replace(text.String())
	rules, err := ParseRules([]byte(in))
	if err != nil {
		t.Fatalf("the example of the built-in file: %v\n%s", err, in)
	}
	return rules
}

const (
	deposit     = `{"record":{"tid":"TID1","user":{"uid":"ID1","email":"old@example.com"},"uid":"ID1","currency":"btc","amount":"0.00000001","state":"accepted"},"changes":{"state":"submitted"},"name":"model.deposit.updated"}`
	withdraw    = `{"record":{"tid":"TID2","uid":"ID1","currency":"usd","amount":1000000.10,"state":"succeed"},"name":"model.withdraw.updated"}`
	beneficiary = `{"record":{"user":{"uid":"ID1"},"currency":"eth","name":"<b>Bob</b>","pin":654321,"state":"pending"},"name":"model.beneficiary.created"}`
)

func receiver(t *testing.T, users Users) (Receiver, *outbox) {
	o := &outbox{}
	return Receiver{Rules: peatioRules(t), Users: users, Outbox: o, Now: func() time.Time { return now }}, o
}

// The mails about other services' events, from the message to the text.
func TestGoldenMailsOfOtherServices(t *testing.T) {
	for _, lang := range []string{"en", "ru"} {
		users := ann()
		u := users.all["ID1"]
		u.Data = new(fmt.Sprintf(`{"language":%q}`, strings.ToUpper(lang)))
		users.all["ID1"] = u
		r, kept := receiver(t, users)
		out := &sent{}
		m, err := New(Config{From: "noreply@barong.io", DefaultLanguage: "en", FromName: "Barong", Site: "exchange.example"}, r.Rules, out, users)
		if err != nil {
			t.Fatal(err)
		}
		for key, object := range map[string]string{
			"deposit.updated": deposit, "withdraw.updated": withdraw, "beneficiary.created": beneficiary,
		} {
			*out, kept.kept = nil, nil
			if err := r.Receive(t.Context(), "peatio.events.model", key, message(service(1), key, now.Add(time.Hour), object)); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			if len(kept.kept) != 1 {
				t.Fatalf("%s: kept %d events, want 1", key, len(kept.kept))
			}
			e := kept.kept[0]
			if e.UID != "ID1" || e.Name != "mail.peatio.events.model."+key || e.Category() != Category {
				t.Errorf("%s: kept %s of %s", key, e.Name, e.UID)
			}
			if !r.Rules.Wants(e) {
				t.Errorf("%s: the mail is not wanted", key)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), "654321") {
				t.Errorf("%s: printing it tells the pin", key)
			}
			if err := m.Send(t.Context(), event.Item{ID: 9, Event: e, CreatedAt: now}); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			if len(*out) != 1 {
				t.Fatalf("%s: got %d mails, want 1", key, len(*out))
			}
			name, _, _ := strings.Cut(key, ".")
			golden(t, name+"."+lang, (*out)[0])
			if (*out)[0].To != "ann@example.com" {
				t.Errorf("%s: to %s, want the address of our own user", key, (*out)[0].To)
			}
			if strings.Contains((*out)[0].HTML, "<b>") {
				t.Errorf("%s: what a client sent is markup in the mail", key)
			}
		}
	}
}

func TestReceive(t *testing.T) {
	const model = "peatio.events.model"
	hour := now.Add(time.Hour)
	good := message(service(1), "j1", hour, deposit)
	without := func(uid string) []byte {
		return message(service(1), "j1", hour, strings.ReplaceAll(deposit, `"uid":"ID1"`, uid))
	}
	away := errors.New("the database says no")
	tests := map[string]struct {
		exchange, key string
		body          []byte
		users         people
		outbox        error
		want          error // nil is done with
		kept          int
	}{
		"a deposit is kept":                                {model, "deposit.updated", good, ann(), nil, nil, 1},
		"uid of the record alone will do":                  {model, "withdraw.updated", message(service(1), "j", hour, withdraw), ann(), nil, nil, 1},
		"an exchange without rules is skipped":             {"barong.events.system", "deposit.updated", good, ann(), nil, nil, 0},
		"a key without rules is skipped":                   {model, "deposit.created", good, ann(), nil, nil, 0},
		"the expression skips (AZ-397)":                    {model, "deposit.updated", message(service(1), "j", hour, strings.Replace(deposit, "accepted", "rejected", 1)), ann(), nil, nil, 0},
		"another key of the same name is dropped (AZ-396)": {model, "deposit.updated", message(service(2), "j1", hour, deposit), ann(), nil, event.ErrPermanent, 0},
		"an expired message is dropped (AZ-396)":           {model, "deposit.updated", message(service(1), "j1", now, deposit), ann(), nil, event.ErrPermanent, 0},
		"what is no message is dropped":                    {model, "deposit.updated", []byte("?"), ann(), nil, event.ErrPermanent, 0},
		"an event without a record is dropped":             {model, "beneficiary.created", message(service(1), "j1", hour, `{}`), ann(), nil, event.ErrPermanent, 0},
		"a record that is a list is dropped":               {model, "beneficiary.created", message(service(1), "j1", hour, `{"record":[]}`), ann(), nil, event.ErrPermanent, 0},
		"changes that are a list are dropped":              {model, "beneficiary.created", message(service(1), "j1", hour, `{"record":{"uid":"ID1"},"changes":[]}`), ann(), nil, event.ErrPermanent, 0},
		"changes that are null are none":                   {model, "beneficiary.created", message(service(1), "j1", hour, `{"record":{"uid":"ID1"},"changes":null}`), ann(), nil, nil, 1},
		"an event of nobody is dropped":                    {model, "deposit.updated", without(`"x":"y"`), ann(), nil, event.ErrPermanent, 0},
		"a uid that is a number is nobody's":               {model, "deposit.updated", without(`"uid":1`), ann(), nil, event.ErrPermanent, 0},
		"an unknown user is worth another try":             {model, "deposit.updated", without(`"uid":"ID2"`), ann(), nil, ErrUnknownUser, 0},
		"users that cannot be read are":                    {model, "deposit.updated", good, people{err: away}, nil, away, 0},
		"an outbox that takes nothing is":                  {model, "deposit.updated", good, ann(), away, away, 0},
	}
	for name, tt := range tests {
		r, kept := receiver(t, tt.users)
		kept.err = tt.outbox
		err := r.Receive(t.Context(), tt.exchange, tt.key, tt.body)
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if !errors.Is(tt.want, event.ErrPermanent) && errors.Is(err, event.ErrPermanent) {
			t.Errorf("%s: got %v, which is never tried again", name, err)
		}
		if len(kept.kept) != tt.kept {
			t.Errorf("%s: kept %d, want %d", name, len(kept.kept), tt.kept)
		}
		if err != nil && (strings.Contains(err.Error(), "TID1") || strings.Contains(err.Error(), "example.com")) {
			t.Errorf("%s: the error tells the record: %v", name, err)
		}
	}
}

// TestEntriesOfAnotherServicesEvent: each outcome of a withdrawal has a mail of its own, and
// a waiting event is written by the entry that it was kept for, or not at all.
func TestEntriesOfAnotherServicesEvent(t *testing.T) {
	const model = "peatio.events.model"
	rules := func(text string) Rules {
		r, err := ParseRules([]byte(strings.Replace(referenceFile, "  - name: Deposit\n", text+"  - name: Deposit\n", 1)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.foreign {
			r.foreign[i].Signer = peatioRules(t).foreign[0].Signer
		}
		return r
	}
	accepted := "  - { name: Accepted, key: deposit.updated, exchange: peatio, expression: { and: { record.state: accepted } }, templates: { en: { subject: Accepted, template_path: deposit } } }\n"
	rejected := "  - { name: Rejected, key: deposit.updated, exchange: peatio, expression: \"record.state == 'rejected' && name != 'x'\", templates: { en: { subject: Rejected, template_path: deposit } } }\n"
	both := rules(accepted + rejected)
	kept := &outbox{}
	r := Receiver{Rules: both, Users: ann(), Outbox: kept, Now: func() time.Time { return now }}
	var got []string
	items := map[string]event.Item{}
	for _, state := range []string{"accepted", "rejected", "other"} {
		kept.kept = nil
		body := message(service(1), state, now.Add(time.Hour), strings.ReplaceAll(deposit, "accepted", state))
		if err := r.Receive(t.Context(), model, "deposit.updated", body); err != nil || len(kept.kept) != 1 {
			t.Fatalf("%s: got %v, %d kept", state, err, len(kept.kept))
		}
		out := &sent{}
		m, err := New(Config{From: "a@b.c", DefaultLanguage: "en"}, both, out, ann())
		if err != nil {
			t.Fatal(err)
		}
		items[state] = event.Item{Event: kept.kept[0], CreatedAt: now}
		if err := m.Send(t.Context(), items[state]); err != nil {
			t.Fatal(err)
		}
		got = append(got, (*out)[0].Subject)
	}
	if want := "Accepted, Rejected, Deposit Accepted"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}

	// Another file at the next start: the entry is another one, or gone.
	out := &sent{}
	m, err := New(Config{From: "a@b.c", DefaultLanguage: "en"}, rules(accepted), out, ann())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), items["rejected"]); !errors.Is(err, event.ErrPermanent) || len(*out) != 0 {
		t.Errorf("its entry is gone: got %v and %d mails, want it given up", err, len(*out))
	}

	two := strings.Replace(referenceFile, "  peatio: { name: peatio.events.model, signer: peatio }\n",
		"  peatio: { name: peatio.events.model, signer: peatio }\n  evil: { name: peatio.events.model, signer: barong }\n", 1)
	two = strings.Replace(two, "  - name: Deposit\n", strings.Replace(accepted, "exchange: peatio", "exchange: evil", 1)+"  - name: Deposit\n", 1)
	if _, err := ParseRules([]byte(two)); err == nil || !strings.Contains(err.Error(), "two signers") {
		t.Errorf("an event of two signers: got %v, want it refused", err)
	}
}

func TestMessageThatComesAgainIsOneMail(t *testing.T) {
	r, kept := receiver(t, ann())
	body := message(service(1), "j1", now.Add(time.Hour), deposit)
	for range 2 {
		if err := r.Receive(t.Context(), "peatio.events.model", "deposit.updated", body); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept.kept) != 1 {
		t.Errorf("kept %d mails, want 1", len(kept.kept))
	}
	if until := kept.seen["events of peatio j1"]; !until.After(now.Add(time.Hour)) {
		t.Errorf("it is remembered until %v, want longer than the message lives", until)
	}
}

func TestMailOfAnotherServiceGoesToWhoTheUserIsNow(t *testing.T) {
	users := ann()
	out := &sent{}
	rules := peatioRules(t)
	m, err := New(Config{From: "a@b.c", DefaultLanguage: "ru"}, rules, out, &users)
	if err != nil {
		t.Fatal(err)
	}
	item := event.Item{Event: event.Event{
		Name: "mail.peatio.events.model.deposit.updated", UID: "ID1",
		Record: json.RawMessage(`{"user":{"email":"mallory@example.com"},"domain":"evil.example","state":"rejected"}`),
	}}
	u := users.all["ID1"]
	u.Email = "new@example.com"
	users.all["ID1"] = u
	if err := m.Send(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	if got := (*out)[0]; got.To != "new@example.com" || got.Language != "ru" {
		t.Errorf("got a mail to %s in %s, want the new address and the default language", got.To, got.Language)
	}
	delete(users.all, "ID1")
	if err := m.Send(t.Context(), item); !errors.Is(err, event.ErrPermanent) {
		t.Errorf("a user who is gone: got %v, want ErrPermanent", err)
	}
	users.err = event.ErrUnavailable
	if err := m.Send(t.Context(), item); !errors.Is(err, event.ErrUnavailable) || errors.Is(err, event.ErrPermanent) {
		t.Errorf("users that cannot be read: got %v, want ErrUnavailable", err)
	}
}

// The languages of our own mails are negotiated with browsers; another service's do not narrow them.
func TestLanguagesAreThoseOfOurOwnMails(t *testing.T) {
	const en = "      en: { subject: Phone verified, template_path: label }\n"
	m, _ := newMailer(t, Config{}, []byte(strings.Replace(referenceFile, en, en+strings.Replace(en, "en:", "ru:", 1), 1)))
	if got := strings.Join(m.Languages(), " "); got != "en ru" {
		t.Errorf("got %q, want en ru, though the deposit has en alone", got)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(deposit)
	f.Add(`{"record":{"uid":"ID1","user":[]},"changes":{}}`)
	f.Add(`{"record":null}`)
	f.Fuzz(func(t *testing.T, object string) {
		if !json.Valid([]byte(object)) {
			return
		}
		r, kept := receiver(t, ann())
		err := r.Receive(t.Context(), "peatio.events.model", "beneficiary.created", message(service(1), "j", now.Add(time.Hour), object))
		if (err == nil) != (len(kept.kept) == 1) {
			t.Errorf("got %v, and %d kept", err, len(kept.kept))
		}
		m, newErr := New(Config{From: "a@b.c", DefaultLanguage: "en"}, r.Rules, &sent{}, ann())
		if newErr != nil {
			t.Fatal(newErr)
		}
		for _, e := range kept.kept {
			if err := m.Send(t.Context(), event.Item{Event: e}); err != nil {
				t.Errorf("what was kept makes no mail: %v", err)
			}
		}
	})
}
