package e2e_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/testenv"
)

// verifyEvent is the event of a message, {"name": …, "record": …}, if barong has signed it
// and it has not expired.
func verifyEvent(body []byte, key *rsa.PublicKey, now time.Time) (json.RawMessage, error) {
	var message struct {
		Payload    string
		Signatures []struct{ Protected, Signature string }
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	if len(message.Signatures) != 1 {
		return nil, errors.New("not one signature")
	}
	s := message.Signatures[0]
	if header, err := base64.RawURLEncoding.DecodeString(s.Protected); err != nil || string(header) != `{"alg":"RS256"}` {
		return nil, errors.New("not signed by RS256")
	}
	signature, err := base64.RawURLEncoding.DecodeString(s.Signature)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(s.Protected + "." + message.Payload))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(message.Payload)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Iss   string
		Exp   int64
		Event json.RawMessage
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, err
	}
	if claims.Iss != "barong" || now.Unix() >= claims.Exp {
		return nil, errors.New("expired, or of somebody else")
	}
	return claims.Event, nil
}

// docs/events.md shows the code above, and names every event.
func TestEventsDocIsTrue(t *testing.T) {
	code, err := os.ReadFile("identity_events_test.go")
	must(t, err)
	_, after, _ := strings.Cut(string(code), "\nfunc verifyEvent(")
	body, _, _ := strings.Cut(after, "\n}\n")
	page, err := os.ReadFile(root(t) + "/docs/events.md")
	must(t, err)
	if body == "" || !strings.Contains(string(page), "func verifyEvent("+body+"\n}\n") {
		t.Error("docs/events.md does not have verifyEvent as it is here")
	}
	golden, err := filepath.Glob(root(t) + "/internal/event/testdata/*.json")
	if err != nil || len(golden) == 0 {
		t.Fatalf("no events of the golden files: %v", err)
	}
	for _, file := range golden {
		var e struct{ Name string }
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, json.Unmarshal(text, &e))
		if !strings.Contains(string(page), "`"+e.Name+"`") {
			t.Errorf("docs/events.md does not have %s", e.Name)
		}
	}
}

// A told is an event that an eventListener has verified.
type told struct {
	name            string
	uid             string // whom it is about
	record, changes map[string]json.RawMessage
}

// members are the names of an object's, sorted.
func members(object map[string]json.RawMessage) string {
	return strings.Join(slices.Sorted(maps.Keys(object)), " ")
}

// An eventListener reads events as the reference's mailer does (AZ-395, AZ-396), and comes back
// when the broker does. It knows the broker and a public key, and nothing of Barong.
type eventListener struct {
	broker *testenv.Rabbit
	key    *rsa.PublicKey

	mu    sync.Mutex
	got   []told
	wrong []string // faults of messages
}

const (
	mailerQueue, mailerExchange = "barong.event.mailer.main", "barong.event.mailer.main.exchange"
	retryQueue, retryExchange   = "barong.event.mailer.retry", "barong.event.mailer.retry.exchange"
)

// heard are the events that the listener is bound to, by exchange.
var heard = map[string][]string{
	"barong.events.model": {"user.created", "user.updated", "label.created", "label.updated"},
	"barong.events.system": {
		"user.email.confirmation.token", "user.email.confirmed", "user.password.reset.token", "user.password.reset",
		"session.create", "session.new_device",
	},
}

// listen starts one that ends with the test, and waits until its queues are bound. key is
// the output of `barong keys public`.
func listen(t *testing.T, broker *testenv.Rabbit, key []byte) *eventListener {
	t.Helper()
	block, rest := pem.Decode(key)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("barong keys public: got %q, want one PEM block", key)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	l := &eventListener{broker: broker, key: public.(*rsa.PublicKey)}
	ctx, stop := context.WithCancel(context.Background())
	bound, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var once sync.Once
		for ctx.Err() == nil {
			if l.serve(ctx, func() { once.Do(func() { close(bound) }) }) != nil {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	select {
	case <-bound:
	case <-time.After(patience):
		t.Fatal("the listener's queues cannot be bound")
	}
	return l
}

// serve is one connection.
func (l *eventListener) serve(ctx context.Context, bound func()) error {
	conn, err := l.broker.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := declareMailer(ch); err != nil {
		return err
	}
	deliveries, err := ch.Consume(mailerQueue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	bound()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("connection lost")
			}
			l.take(d)
			if err := d.Ack(false); err != nil {
				return err
			}
		}
	}
}

// declareMailer makes the exchanges and queues of AZ-395. Redeclaring with other flags than
// Barong's fails, so this holds AZ-370, too.
func declareMailer(ch *amqp091.Channel) error {
	_, err := ch.QueueDelete("barong.postmaster.event.mailer", false, false, false)
	errs := []error{err}
	for _, name := range []string{mailerExchange, retryExchange} {
		errs = append(errs, ch.ExchangeDeclare(name, amqp091.ExchangeFanout, true, false, false, false, nil))
	}
	_, err = ch.QueueDeclare(mailerQueue, true, false, false, false, amqp091.Table{"x-dead-letter-exchange": retryExchange})
	errs = append(errs, err)
	_, err = ch.QueueDeclare(retryQueue, true, false, false, false, amqp091.Table{
		"x-dead-letter-exchange": mailerExchange, "x-message-ttl": int32(120000),
	})
	errs = append(errs, err,
		ch.QueueBind(mailerQueue, "", mailerExchange, false, nil), ch.QueueBind(retryQueue, "", retryExchange, false, nil))
	for exchange, keys := range heard {
		errs = append(errs, ch.ExchangeDeclare(exchange, amqp091.ExchangeDirect, false, false, false, false, nil))
		for _, key := range keys {
			errs = append(errs, ch.QueueBind(mailerQueue, key, exchange, false, nil))
		}
	}
	return errors.Join(errs...)
}

// take verifies one and keeps it.
func (l *eventListener) take(d amqp091.Delivery) {
	text, err := verifyEvent(d.Body, l.key, time.Now())
	var e struct {
		Name            string
		Record, Changes map[string]json.RawMessage
	}
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	category, key, _ := strings.Cut(e.Name, ".")
	switch {
	case err != nil:
		l.wrong = append(l.wrong, err.Error())
	case d.Exchange != "barong.events."+category || d.RoutingKey != key:
		l.wrong = append(l.wrong, e.Name+" came by "+d.Exchange+" with "+d.RoutingKey)
	case d.ContentType != "application/octet-stream" || d.DeliveryMode != amqp091.Persistent || len(d.Headers) > 0:
		l.wrong = append(l.wrong, e.Name+" has other properties than AZ-372")
	default:
		l.got = append(l.got, told{e.Name, whom(e.Record), e.Record, e.Changes})
	}
}

// whom is the uid of a record: its own, or its user's.
func whom(record map[string]json.RawMessage) (uid string) {
	if own, ok := record["uid"]; ok {
		_ = json.Unmarshal(own, &uid) // "" is nobody's
		return uid
	}
	var user struct{ UID string }
	_ = json.Unmarshal(record["user"], &user)
	return user.UID
}

// of are the events about a user so far, in the order in which they came.
func (l *eventListener) of(uid string) (all []told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.got {
		if e.uid == uid {
			all = append(all, e)
		}
	}
	return all
}

// names are those of events, in their order.
func names(all []told) []string {
	list := make([]string, len(all))
	for i, e := range all {
		list[i] = e.name
	}
	return list
}

// complaints are the faults of messages so far.
func (l *eventListener) complaints() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.wrong)
}

// object decodes one.
func object(t *testing.T, text json.RawMessage) (members map[string]json.RawMessage) {
	t.Helper()
	must(t, json.Unmarshal(text, &members))
	return members
}
