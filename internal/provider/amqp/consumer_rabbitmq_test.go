package amqp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/expect"
	"barong/internal/notify"
	"barong/internal/provider/amqp"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
)

const peatioExchange = "peatio.events.model"

// peatio publishes as that service does, signed by a key of its own.
type peatio struct {
	key ed25519.PrivateKey
}

func newPeatio(seed byte) peatio {
	return peatio{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))}
}

// rules are a mailer.yml with deposits that were accepted.
func (p peatio) rules(t testing.TB) notify.Rules {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(p.key.Public())
	expect.OK(t, err)
	key := base64.URLEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	rules, err := notify.ParseRules([]byte(`
keychain: { peatio: { algorithm: EdDSA, value: ` + key + ` } }
exchanges: { peatio: { name: ` + peatioExchange + `, signer: peatio } }
events:
- name: Deposit
  key: deposit.updated
  exchange: peatio
  expression: { and: { record.state: accepted } }
  templates: { en: { subject: Deposit Accepted, template_path: deposit } }
`))
	expect.OK(t, err)
	return rules
}

// message is a deposit of a user.
func (p peatio) message(uid, jti, state string, exp time.Time) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	protected := b64([]byte(`{"alg":"EdDSA"}`))
	payload := b64(fmt.Appendf(nil, `{"iss":"peatio","jti":%q,"iat":%d,"exp":%d,"event":{"record":{"tid":%q,"user":{"uid":%q},"currency":"btc","amount":"1.5","state":%q},"name":"model.deposit.updated"}}`,
		jti, exp.Add(-time.Hour).Unix(), exp.Unix(), "TID-"+jti, uid, state))
	return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"header":{"kid":"peatio"},"signature":%q}]}`,
		payload, protected, b64(ed25519.Sign(p.key, []byte(protected+"."+payload))))
}

// publish sends until a queue has taken it: after a restart of the broker the consumer has
// to bind its own first.
func publish(t testing.TB, broker *testenv.Rabbit, bodies ...[]byte) {
	t.Helper()
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	expect.OK(t, ch.ExchangeDeclare(peatioExchange, "direct", false, false, false, false, nil))
	expect.OK(t, ch.Confirm(false))
	returns := ch.NotifyReturn(make(chan amqp091.Return, 1))
	for _, body := range bodies {
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			sent, err := ch.PublishWithDeferredConfirm(peatioExchange, "deposit.updated", true, false, amqp091.Publishing{
				ContentType: "application/octet-stream", DeliveryMode: amqp091.Persistent, Body: body,
			})
			expect.OK(t, err)
			sent.Wait()
			if len(returns) == 0 {
				break
			}
			<-returns
			if time.Now().After(deadline) {
				t.Fatal("nobody is bound to the exchange")
			}
		}
	}
}

// waiting is how many messages the queues hold that nobody has been sent.
func waiting(t testing.TB, broker *testenv.Rabbit) (n int) {
	t.Helper()
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	for _, name := range []string{mainQueue, retryQueue} {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		expect.OK(t, err)
		n += q.Messages
	}
	return n
}

// mails is a notify.Sender that keeps them.
type mails chan notify.Message

func (m mails) Send(_ context.Context, msg notify.Message) error {
	m <- msg
	return nil
}

func (m mails) next(t testing.TB) notify.Message {
	t.Helper()
	select {
	case msg := <-m:
		return msg
	case <-time.After(60 * time.Second):
		t.Fatal("no mail comes")
		return notify.Message{}
	}
}

// exchange is barong as far as mails of peatio's events go.
type exchange struct {
	peatio
	db    *store.DB
	mails mails
	log   *testenv.Log
	stop  func() // the consumer
}

func addUser(t testing.TB, db *store.DB, uid string) {
	t.Helper()
	expect.OK(t, db.AddUser(t.Context(), &account.User{
		UID: uid, Email: strings.ToLower(uid) + "@example.com", PasswordDigest: "x", Role: "member", State: "active",
	}))
}

// receiverFunc is an amqp.Receiver.
type receiverFunc func(ctx context.Context, exchange, key string, body []byte) error

func (f receiverFunc) Receive(ctx context.Context, exchange, key string, body []byte) error {
	return f(ctx, exchange, key, body)
}

// consumes starts a Consumer that ends with the test, or by stop.
func consumes(t testing.TB, broker *testenv.Rabbit, c amqp.ConsumerConfig, r amqp.Receiver, log *testenv.Log) (stop func()) {
	t.Helper()
	if c.Bindings == nil {
		c.Bindings = []amqp.Binding{{Exchange: peatioExchange, Key: "deposit.updated"}}
	}
	if c.RetryAfter == 0 {
		c.RetryAfter = retryAfter * time.Millisecond
	}
	consumer, err := amqp.NewConsumer(amqp.Config{URL: broker.URL(), Timeout: 5 * time.Second}, c, r,
		slog.New(slog.NewTextHandler(log, nil)))
	expect.OK(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		consumer.Run(ctx)
		close(ended)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func newExchange(t testing.TB, broker *testenv.Rabbit) exchange {
	t.Helper()
	x := exchange{peatio: newPeatio(1), mails: make(mails, 100), log: &testenv.Log{}}
	rules := x.rules(t)
	x.db = storetest.Open(t, store.WithDestinations(func(e event.Event) []string {
		if rules.Wants(e) {
			return []string{"broker"} // the name that relay gives to its one destination
		}
		return nil
	}))
	addUser(t, x.db, "ID1")
	mailer, err := notify.New(notify.Config{From: "noreply@barong.io", DefaultLanguage: "en"}, rules, x.mails, x.db)
	expect.OK(t, err)
	relay(t, x.db, mailer)
	x.stop = consumes(t, broker, amqp.ConsumerConfig{Rounds: 3}, notify.Receiver{Rules: rules, Users: x.db, Outbox: x.db}, x.log)
	return x
}

// drained stops the consumer and checks that it has answered for every message.
func (x exchange) drained(t testing.TB, broker *testenv.Rabbit) {
	t.Helper()
	x.stop()
	if n := waiting(t, broker); n != 0 {
		t.Errorf("%d messages are left, want none", n)
	}
	if n := len(x.mails); n != 0 {
		t.Errorf("%d more mails came, want none", n)
	}
}

// One broker for all: it takes seconds to start.
func TestConsumer(t *testing.T) {
	broker := testenv.StartRabbit(t, testenv.RabbitConfig{})
	for _, part := range []struct {
		name string
		test func(*testing.T, *testenv.Rabbit)
	}{
		{"a mail comes once, of a message that comes twice", mailOnce},
		{"what is tampered with, expired or somebody else's is dropped (AZ-396)", droppedMessages},
		{"a user who is unknown is tried again, and then given up", unknownUser},
		{"a user who is there by then gets the mail", lateUser},
		{"a database that is away costs no round", unavailableReceiver},
		{"it stops after the message in hand, and leaves the others", stopsCleanly},
		{"queues are those of the reference (AZ-395)", referenceQueues},
		{"an exchange of other flags is used as it is", exchangeOfOtherFlags},
		{"a queue that is deleted is made again", queueDeleted},
		{"a broker that restarts is connected to again", brokerRestarts},
	} {
		t.Run(part.name, func(t *testing.T) {
			clean(t, broker)
			part.test(t, broker)
		})
	}
}

func mailOnce(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	hour := time.Now().Add(time.Hour)
	one := x.message("ID1", "1", "accepted", hour)
	// The expression skips the one in the middle (AZ-397).
	publish(t, broker, one, one, x.message("ID1", "2", "rejected", hour), x.message("ID1", "3", "accepted", hour))
	for _, want := range []string{"TID-1", "TID-3"} {
		m := x.mails.next(t)
		if m.To != "id1@example.com" || m.Subject != "Deposit Accepted" || !strings.Contains(m.Text, want) || !strings.Contains(m.Text, "1.5 btc") {
			t.Errorf("got a mail %q to %s:\n%s\nwant one of %s", m.Subject, m.To, m.Text, want)
		}
	}
	x.drained(t, broker)
}

func droppedMessages(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	hour := time.Now().Add(time.Hour)
	good := string(x.message("ID1", "9", "accepted", hour))
	_, other, _ := strings.Cut(string(x.message("ID1", "8", "accepted", hour)), `"payload":"`)
	payload, _, _ := strings.Cut(other, `"`)
	_, mine, _ := strings.Cut(good, `"payload":"`)
	own, _, _ := strings.Cut(mine, `"`)
	publish(t, broker,
		[]byte(strings.Replace(good, own, payload, 1)),
		x.message("ID1", "2", "accepted", time.Now().Add(-time.Second)),
		newPeatio(2).message("ID1", "3", "accepted", hour),
		[]byte("no message at all"),
		[]byte(good))
	if m := x.mails.next(t); !strings.Contains(m.Text, "TID-9") {
		t.Errorf("got a mail\n%s\nwant that of the good message", m.Text)
	}
	x.drained(t, broker)
	if n := strings.Count(x.log.String(), "one was dropped"); n != 4 {
		t.Errorf("the log tells of %d dropped messages, want 4:\n%s", n, x.log)
	}
}

func unknownUser(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	publish(t, broker, x.message("ID404", "lonely", "accepted", time.Now().Add(time.Hour)))
	x.log.Until(t, 1, "one was given up")
	log := x.log.String()
	if n := strings.Count(log, "one will come again"); n != 3 {
		t.Errorf("it came again %d times, want 3:\n%s", n, log)
	}
	_, last, _ := strings.Cut(log, "one was given up")
	if !strings.Contains(last, "lonely") || !strings.Contains(last, "exchange="+peatioExchange) || !strings.Contains(last, "rounds=3") {
		t.Errorf("want jti, exchange and rounds in the line of its end:\n%s", log)
	}
	if strings.Contains(log, "TID-") || strings.Contains(log, "btc") {
		t.Errorf("the log tells the record:\n%s", log)
	}
	x.drained(t, broker)
}

func lateUser(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	publish(t, broker, x.message("ID2", "1", "accepted", time.Now().Add(time.Hour)))
	x.log.Until(t, 1, "one will come again")
	addUser(t, x.db, "ID2")
	if m := x.mails.next(t); m.To != "id2@example.com" {
		t.Errorf("got a mail to %s, want the user who came late", m.To)
	}
	x.drained(t, broker)
}

func unavailableReceiver(t *testing.T, broker *testenv.Rabbit) {
	log, fails := &testenv.Log{}, 2
	received := make(chan string, 10)
	stop := consumes(t, broker, amqp.ConsumerConfig{Rounds: 1}, receiverFunc(func(_ context.Context, exchange, _ string, body []byte) error {
		if fails > 0 {
			fails--
			return fmt.Errorf("%w: no database", event.ErrUnavailable)
		}
		received <- exchange + " " + string(body)
		return nil
	}), log)
	publish(t, broker, []byte("one"), []byte("two"))
	for _, want := range []string{peatioExchange + " one", peatioExchange + " two"} {
		if got := <-received; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	log.Until(t, 1, "received again")
	stop()
	if n := strings.Count(log.String(), "nothing is received until"); n != 1 {
		t.Errorf("the log tells %d times that nothing is received, want once:\n%s", n, log)
	}
	if strings.Contains(log.String(), "come again") || waiting(t, broker) != 0 {
		t.Errorf("a message was rejected, or is left:\n%s", log)
	}
}

func stopsCleanly(t *testing.T, broker *testenv.Rabbit) {
	log := &testenv.Log{}
	begun, goOn := make(chan bool, 10), make(chan bool)
	stop := consumes(t, broker, amqp.ConsumerConfig{}, receiverFunc(func(ctx context.Context, _, _ string, _ []byte) error {
		begun <- true
		<-goOn
		return ctx.Err()
	}), log)
	publish(t, broker, []byte("one"), []byte("two"), []byte("three"))
	<-begun
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("it stopped in the middle of a message")
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	<-stopped
	if n := waiting(t, broker); n != 2 || log.String() != "" {
		t.Errorf("%d messages are left, want the two that were not begun; the log says\n%s", n, log)
	}
}

func referenceQueues(t *testing.T, broker *testenv.Rabbit) {
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	_, err = ch.QueueDeclare("barong.postmaster.event.mailer", true, false, false, false, nil)
	expect.OK(t, err)
	received := make(chan bool, 1)
	stop := consumes(t, broker, amqp.ConsumerConfig{RetryAfter: 2 * time.Minute}, receiverFunc(func(context.Context, string, string, []byte) error {
		received <- true
		return nil
	}), &testenv.Log{})
	publish(t, broker, []byte("one"))
	<-received
	stop()
	// The declarations of the reference at its own start must not be refused.
	for _, name := range []string{mainExchange, retryExchange} {
		expect.OK(t, ch.ExchangeDeclare(name, "fanout", false, false, false, false, nil))
	}
	expect.OK(t, ch.ExchangeDeclare(peatioExchange, "direct", false, false, false, false, nil))
	_, err = ch.QueueDeclare(mainQueue, true, false, false, false, amqp091.Table{"x-dead-letter-exchange": retryExchange})
	expect.OK(t, err)
	_, err = ch.QueueDeclare(retryQueue, true, false, false, false, amqp091.Table{
		"x-dead-letter-exchange": mainExchange, "x-message-ttl": int32(120000),
	})
	expect.OK(t, err)
	if _, err := ch.QueueDeclarePassive("barong.postmaster.event.mailer", true, false, false, false, nil); err == nil {
		t.Error("the old queue is still there")
	}
}

func exchangeOfOtherFlags(t *testing.T, broker *testenv.Rabbit) {
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	expect.OK(t, ch.ExchangeDeclare("applogic.events", "topic", true, false, false, false, nil))
	received := make(chan string, 1)
	log := &testenv.Log{}
	consumes(t, broker, amqp.ConsumerConfig{Bindings: []amqp.Binding{{Exchange: "applogic.events", Key: "a.b"}}},
		receiverFunc(func(_ context.Context, exchange, key string, _ []byte) error {
			received <- exchange + " " + key
			return nil
		}), log)
	for done := false; !done; {
		expect.OK(t, ch.Publish("applogic.events", "a.b", false, false, amqp091.Publishing{Body: []byte("x")}))
		select {
		case got := <-received:
			done = true
			if got != "applogic.events a.b" {
				t.Errorf("got %q", got)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	if log.String() != "" {
		t.Errorf("the log says\n%s", log)
	}
	expect.OK(t, ch.ExchangeDelete("applogic.events", false, false))
}

func queueDeleted(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	publish(t, broker, x.message("ID1", "1", "accepted", time.Now().Add(time.Hour)))
	x.mails.next(t)
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	_, err = ch.QueueDelete(mainQueue, false, false, false)
	expect.OK(t, err)
	publish(t, broker, x.message("ID1", "2", "accepted", time.Now().Add(time.Hour)))
	if m := x.mails.next(t); !strings.Contains(m.Text, "TID-2") {
		t.Errorf("got\n%s", m.Text)
	}
	x.drained(t, broker)
}

func brokerRestarts(t *testing.T, broker *testenv.Rabbit) {
	x := newExchange(t, broker)
	hour := time.Now().Add(time.Hour)
	publish(t, broker, x.message("ID1", "1", "accepted", hour))
	x.mails.next(t)
	broker.Kill()
	x.log.Until(t, 1, "nothing is received until")
	broker.Restart(t)
	publish(t, broker, x.message("ID1", "2", "accepted", hour))
	if m := x.mails.next(t); !strings.Contains(m.Text, "TID-2") {
		t.Errorf("got\n%s", m.Text)
	}
	x.log.Until(t, 1, "received again")
	x.drained(t, broker)
}

func TestConsumerConfigTellsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]amqp.ConsumerConfig{
		"no time to retry after": {RetryAfter: time.Microsecond},
		"a very long time":       {RetryAfter: 10000 * time.Hour},
		"less than one round":    {Rounds: -1},
	} {
		if _, err := amqp.NewConsumer(local, c, nil, nil); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := amqp.NewConsumer(amqp.Config{Port: -1}, amqp.ConsumerConfig{}, nil, nil); err == nil {
		t.Error("a broker that cannot be: got no error")
	}
}

// Where nobody listens, the attempts end at once with the context.
func TestConsumerStopsWhileItConnects(t *testing.T) {
	log := &testenv.Log{}
	c, err := amqp.NewConsumer(amqp.Config{URL: "amqp://u:sw0rdfish@127.0.0.1:1"}, amqp.ConsumerConfig{}, nil, slog.New(slog.NewTextHandler(log, nil)))
	expect.OK(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	log.Until(t, 1, "nothing is received until")
	cancel()
	<-ended
	if strings.Contains(log.String(), "sw0rdfish") {
		t.Errorf("the log tells the password:\n%s", log)
	}
}
