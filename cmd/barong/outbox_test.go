package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/testenv"
)

// peatioRules is a mailer.yml with a withdrawal of peatio, and the key that signs it.
func peatioRules(t *testing.T, dir string) (file string, key ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.URLEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	file = filepath.Join(dir, "mailer.yml")
	err = os.WriteFile(file, []byte(`
keychain: { peatio: { algorithm: EdDSA, value: `+text+` } }
exchanges: { peatio: { name: peatio.events.model, signer: peatio } }
events:
- { key: withdraw.updated, exchange: peatio, templates: { en: { subject: Withdrawal, template_path: withdraw } } }
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file, private
}

// An event of another service becomes a mail of the whole program.
func TestMailOfAnotherService(t *testing.T) {
	broker := testenv.StartRabbit(t, testenv.RabbitConfig{})
	dir := t.TempDir()
	email := withMembers(t, dir, 1)[0]
	db := openStore(t, filepath.Join(dir, "data"))
	u, err := db.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	rules, key := peatioRules(t, dir)
	p := serving(t, dir, "BARONG_MAILER="+rules, "BARONG_MAIL_DELIVERY=folder", "BARONG_EVENT_API_RABBITMQ_URL="+broker.URL())

	b64 := base64.RawURLEncoding.EncodeToString
	protected := b64([]byte(`{"alg":"EdDSA"}`))
	payload := b64(fmt.Appendf(nil, `{"iss":"peatio","jti":"j1","exp":%d,"event":{"record":{"uid":%q,"tid":"TID42","amount":"7.5","currency":"eth"},"name":"model.withdraw.updated"}}`,
		time.Now().Add(time.Hour).Unix(), u.UID))
	body := fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"header":{"kid":"peatio"},"signature":%q}]}`,
		payload, protected, b64(ed25519.Sign(key, []byte(protected+"."+payload))))
	conn, err := broker.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("peatio.events.model", "direct", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	var mail []byte
	// It is published until the queue is bound; all of them are one mail.
	p.eventually("a mail", func() bool {
		if err := ch.Publish("peatio.events.model", "withdraw.updated", false, false, amqp091.Publishing{Body: body}); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(p.data(), "outbox", "*.eml"))
		if err != nil || len(files) == 0 {
			return false
		}
		mail, err = os.ReadFile(files[0])
		return err == nil
	})
	for _, want := range []string{email, "7.5 eth", "TID42"} {
		if !strings.Contains(string(mail), want) {
			t.Errorf("the mail lacks %q:\n%s", want, mail)
		}
	}
	p.stop()
	if files, _ := filepath.Glob(filepath.Join(p.data(), "outbox", "*.eml")); len(files) != 1 {
		t.Errorf("got %d mails, want 1: %v", len(files), files)
	}
	if strings.Contains(p.err.String(), "TID42") {
		t.Error("the log tells the record")
	}
}

func TestMailOfAnotherServiceNeedsABroker(t *testing.T) {
	dir := t.TempDir()
	rules, _ := peatioRules(t, dir)
	p := serving(t, dir, "BARONG_MAILER="+rules, "BARONG_MAIL_DELIVERY=folder")
	line := p.logged("mails of other services' events are not sent: BARONG_EVENT_API_RABBITMQ_* names no broker")
	if got := line["events"]; got != "peatio.events.model withdraw.updated" {
		t.Errorf("got the warning %v, want it to name the event", line)
	}
	p.stop()
}
