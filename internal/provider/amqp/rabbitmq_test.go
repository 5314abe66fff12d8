package amqp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/event"
	"barong/internal/expect"
	"barong/internal/provider/amqp"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/testenv"
	"barong/internal/token"
)

const eventName = "system.test.number"

// numbered is an event of a user, in the form that consumers know.
func numbered(uid string, n int) event.Event {
	return event.Event{Name: eventName, UID: uid, Record: fmt.Appendf(nil, `{"user":{"uid":%q},"n":%d}`, uid, n)}
}

func toBroker(event.Event) []string { return []string{"broker"} }

// A world is a store with its keys.
type world struct {
	db   *store.DB
	keys *token.Keys
}

func openWorld(t testing.TB, path string) world {
	t.Helper()
	db := storetest.OpenPath(t, path, store.WithDestinations(toBroker))
	keys, err := token.OpenKeys(t.Context(), db, configured.Keys(config.Default()), nil)
	expect.OK(t, err)
	return world{db, keys}
}

func newWorld(t testing.TB) world { return openWorld(t, filepath.Join(t.TempDir(), "barong.db")) }

func (w world) publicKey(t testing.TB) []byte {
	t.Helper()
	key, err := w.keys.Public(token.UseWire, token.FormPEM)
	expect.OK(t, err)
	return key
}

func (w world) emit(t testing.TB, users, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		for u := range users {
			expect.OK(t, w.db.Emit(context.Background(), numbered(fmt.Sprint("u", u), n)))
		}
	}
}

func (w world) sender(t testing.TB, url string) *amqp.Sender {
	t.Helper()
	s, err := amqp.New(amqp.Config{URL: url, Timeout: 2 * time.Second}, w.keys, nil)
	expect.OK(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// relay starts one that ends with the test or, as if killed, by stop.
func relay(t testing.TB, o event.Outbox, to event.Sender) (r *event.Relay, stop func()) {
	t.Helper()
	r, err := event.NewRelay(event.Config{
		Poll: 10 * time.Millisecond, Lease: 500 * time.Millisecond, FirstRetry: 10 * time.Millisecond, LastRetry: time.Second,
	}, o, []event.Destination{{Name: "broker", Sender: to}}, nil, nil)
	expect.OK(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return r, stop
}

// One broker for all: it takes seconds to start. The parts run in this order.
func TestRabbitMQ(t *testing.T) {
	broker := testenv.StartRabbit(t, testenv.RabbitConfig{})
	for _, part := range []struct {
		name string
		test func(*testing.T, *testenv.Rabbit)
	}{
		{"a message is what the wire says (AZ-370, AZ-371, AZ-372)", wireForm},
		{"an exchange with other flags is unavailable, and names itself", foreignExchange},
		{"a message that nobody listens for is sent", unrouted},
		{"listeners that a new connection has not yet are waited for, a minute", rebound},
		{"a wrong password is unavailable and not told", wrongPassword},
		{"the reference's consumer verifies, drops and retries (AZ-395, AZ-396)", referenceConsumer},
		{"a relay killed before it noted a delivery sends again", relayKilled},
		{"a process killed by SIGKILL loses nothing", processKilled},
		{"a broker that is away delays, in order and without loss", brokerOutage},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, broker) })
	}
}

// clean removes the objects that consumers leave on the broker.
func clean(t testing.TB, broker *testenv.Rabbit) {
	t.Helper()
	t.Cleanup(func() {
		conn, err := broker.Dial()
		expect.OK(t, err)
		defer conn.Close()
		ch, err := conn.Channel()
		expect.OK(t, err)
		for _, q := range []string{mainQueue, retryQueue} {
			_, err := ch.QueueDelete(q, false, false, false)
			expect.OK(t, err)
		}
	})
}

func wireForm(t *testing.T, broker *testenv.Rabbit) {
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	expect.OK(t, ch.ExchangeDeclare("barong.events.system", "direct", false, false, false, false, nil))
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	expect.OK(t, err)
	expect.OK(t, ch.QueueBind(q.Name, "user.password.reset.token", "barong.events.system", false, nil))

	w := newWorld(t)
	e := event.ResetToken(event.Notice{User: event.User{UID: "ID1"}, Domain: "example.com"}, "token")
	expect.OK(t, w.sender(t, broker.URL()).Send(t.Context(), event.Item{ID: 1, Event: e}))
	d, ok, err := ch.Get(q.Name, true)
	if err != nil || !ok {
		t.Fatalf("got %v, %v; want a message", ok, err)
	}
	if d.ContentType != "application/octet-stream" || d.DeliveryMode != amqp091.Persistent || d.Priority != 0 ||
		len(d.Headers) != 0 || d.MessageId != "" || d.Type != "" || d.AppId != "" || d.Expiration != "" || !d.Timestamp.IsZero() {
		t.Errorf("properties are %+v", d)
	}
	m, err := consume(t, broker, w.publicKey(t)).verify(d)
	expect.OK(t, err)
	var claims struct{ Event json.RawMessage }
	expect.OK(t, json.Unmarshal(m.Event, &claims))
	if got, want := string(claims.Event), string(e.Object()); got != want {
		t.Errorf("event is %s, want %s", got, want)
	}
	// The flags are those of AZ-370: declaring it with others fails.
	if err := ch.ExchangeDeclarePassive("barong.events.system", "direct", false, false, false, false, nil); err != nil {
		t.Error(err)
	}
	if err := ch.ExchangeDeclare("barong.events.system", "direct", true, false, false, false, nil); err == nil {
		t.Error("the exchange is durable")
	}
}

func foreignExchange(t *testing.T, broker *testenv.Rabbit) {
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	expect.OK(t, ch.ExchangeDeclare("barong.events.odd", "fanout", true, true, false, false, nil))
	s := newWorld(t).sender(t, broker.URL())
	err = s.Send(t.Context(), event.Item{Event: event.Event{Name: "odd.one", UID: "u", Record: []byte(`{}`)}})
	if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "barong.events.odd") {
		t.Errorf("got %v, want ErrUnavailable that names the exchange", err)
	}
	if err := s.Send(t.Context(), event.Item{Event: numbered("u1", 1)}); err != nil {
		t.Errorf("another event afterwards: got %v, want it sent", err)
	}
	expect.OK(t, ch.ExchangeDelete("barong.events.odd", false, false))
}

func unrouted(t *testing.T, broker *testenv.Rabbit) {
	s := newWorld(t).sender(t, broker.URL())
	for range 2 {
		if err := s.Send(t.Context(), event.Item{Event: event.AccountDeleted(event.User{UID: "u"})}); err != nil {
			t.Errorf("got %v, want it sent", err)
		}
	}
}

func rebound(t *testing.T, broker *testenv.Rabbit) {
	conn, err := broker.Dial()
	expect.OK(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	expect.OK(t, err)
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	expect.OK(t, err)
	w := newWorld(t)
	now := time.Now()
	s, err := amqp.New(amqp.Config{URL: broker.URL()}, w.keys, func() time.Time { return now })
	expect.OK(t, err)
	defer s.Close()
	send := func() error { return s.Send(t.Context(), event.Item{Event: numbered("u1", 1)}) }

	expect.OK(t, ch.QueueBind(q.Name, "test.number", "barong.events.system", false, nil))
	expect.OK(t, send())
	expect.OK(t, ch.QueueUnbind(q.Name, "test.number", "barong.events.system", nil))
	if err := send(); err == nil || errors.Is(err, event.ErrPermanent) {
		t.Errorf("nobody listens any more: got %v, want an error", err)
	}
	expect.OK(t, ch.QueueBind(q.Name, "test.number", "barong.events.system", false, nil))
	expect.OK(t, send())
	expect.OK(t, ch.QueueUnbind(q.Name, "test.number", "barong.events.system", nil))
	now = now.Add(time.Minute)
	if err := send(); err != nil {
		t.Errorf("nobody listens for long: got %v, want it sent", err)
	}
}

func wrongPassword(t *testing.T, broker *testenv.Rabbit) {
	s := newWorld(t).sender(t, "amqp://barong:swordfish@"+broker.Addr+"/")
	err := s.Send(t.Context(), event.Item{Event: numbered("u1", 1)})
	if !errors.Is(err, event.ErrUnavailable) || strings.Contains(err.Error(), "swordfish") {
		t.Errorf("got %v, want ErrUnavailable without the password", err)
	}
}

func referenceConsumer(t *testing.T, broker *testenv.Rabbit) {
	clean(t, broker)
	w := newWorld(t)
	c := consume(t, broker, w.publicKey(t), "test.number")
	fails := 2
	c.handle = func(m message) error {
		if m.N == 1 && fails > 0 {
			fails--
			return errors.New("the mail server is away")
		}
		return nil
	}
	c.start()
	s := w.sender(t, broker.URL())
	send := func(s *amqp.Sender, n int) {
		t.Helper()
		expect.OK(t, s.Send(t.Context(), event.Item{Event: numbered("u0", n)}))
	}
	send(s, 0)
	send(s, 1) // rejected twice, and back from the retry queue
	other := newWorld(t).sender(t, broker.URL())
	send(other, 2) // signed by somebody else
	old, err := amqp.New(amqp.Config{URL: broker.URL()}, w.keys, func() time.Time { return time.Now().Add(-2 * time.Hour) })
	expect.OK(t, err)
	defer old.Close()
	send(old, 3) // expired
	got := c.await("two messages and two dropped", func(got []message, dropped int) bool {
		return len(got) == 2 && dropped == 2
	})
	if got[0].N != 0 || got[1].N != 1 || fails != 0 || len(got[1].Raw.Headers) == 0 {
		t.Errorf("got %d and %d, %d failures left; want 0, and 1 by way of the retry queue", got[0].N, got[1].N, fails)
	}
}

// forgetful is an outbox whose relay dies before it can note a delivery.
type forgetful struct{ event.Outbox }

func (forgetful) DeleteEvents(context.Context, ...string) error { return errors.New("killed") }

func relayKilled(t *testing.T, broker *testenv.Rabbit) {
	clean(t, broker)
	w := newWorld(t)
	c := consume(t, broker, w.publicKey(t), "test.number").start()
	w.emit(t, 3, 0, 4)
	_, kill := relay(t, forgetful{w.db}, w.sender(t, broker.URL()))
	c.await("a first delivery", func(got []message, _ int) bool { return len(got) > 0 })
	kill()
	relay(t, w.db, w.sender(t, broker.URL()))
	wantOrder(t, c.awaitAll(3, 4))
}

// childVar makes the test binary the process that processKilled kills.
const childVar = "BARONG_TEST_AMQP_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	os.Exit(child(os.Getenv(childVar)))
}

// child emits the events to be sent, says so, and relays until it is killed. The path of the
// database and the URL of the broker come on standard input.
func child(string) int {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	path := in.Text()
	in.Scan()
	url := in.Text()
	t := &outside{}
	w := openWorld(t, path)
	w.emit(t, 4, 0, 100)
	fmt.Println("emitted")
	relay(t, w.db, w.sender(t, url))
	select {}
}

// outside is a testing.TB of a process that is no test.
type outside struct{ testing.TB }

func (*outside) Helper()                   {}
func (*outside) Cleanup(func())            {}
func (*outside) Context() context.Context  { return context.Background() }
func (*outside) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (*outside) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func processKilled(t *testing.T, broker *testenv.Rabbit) {
	clean(t, broker)
	path := filepath.Join(t.TempDir(), "barong.db")
	key := func() []byte { // makes the keys
		w := world{db: storetest.OpenPath(t, path)}
		defer w.db.Close()
		var err error
		w.keys, err = token.OpenKeys(t.Context(), w.db, configured.Keys(config.Default()), nil)
		expect.OK(t, err)
		return w.publicKey(t)
	}()
	c := consume(t, broker, key, "test.number").start()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.Stdin, cmd.Stderr = strings.NewReader(path+"\n"+broker.URL()+"\n"), os.Stderr
	out, err := cmd.StdoutPipe()
	expect.OK(t, err)
	expect.OK(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "emitted\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	got := c.await("some deliveries", func(got []message, _ int) bool { return len(got) > 20 })
	expect.OK(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	t.Logf("killed after %d of 400 deliveries", len(got))
	w := openWorld(t, path)
	relay(t, w.db, w.sender(t, broker.URL()))
	wantOrder(t, c.awaitAll(4, 100))
}

func brokerOutage(t *testing.T, broker *testenv.Rabbit) {
	w := newWorld(t)
	c := consume(t, broker, w.publicKey(t), "test.number").start()
	r, _ := relay(t, w.db, w.sender(t, broker.URL()))
	w.emit(t, 4, 0, 5)
	c.awaitAll(4, 5)
	broker.Kill()
	now := time.Now()
	fresh, err := amqp.New(amqp.Config{URL: broker.URL()}, w.keys, func() time.Time { return now })
	expect.OK(t, err)
	defer fresh.Close()
	unheard := event.Event{Name: "system.test.unheard", UID: "u1", Record: []byte(`{}`)}
	if err := fresh.Send(t.Context(), event.Item{Event: unheard}); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a broker that is away: got %v, want ErrUnavailable", err)
	}
	w.emit(t, 4, 5, 10)
	for r.Stats()[0].Up {
		time.Sleep(5 * time.Millisecond)
	}
	broker.Restart(t)
	now = now.Add(time.Second) // past the failed attempt's answer for others
	if err := fresh.Send(t.Context(), event.Item{Event: unheard}); err == nil || errors.Is(err, event.ErrPermanent) {
		t.Errorf("nobody listens just after an outage: got %v, want another try", err)
	}
	now = now.Add(time.Minute)
	if err := fresh.Send(t.Context(), event.Item{Event: unheard}); err != nil {
		t.Errorf("nobody listens for long: got %v, want it sent", err)
	}
	w.emit(t, 4, 10, 12)
	wantOrder(t, c.awaitAll(4, 12))
	for !r.Stats()[0].Up { // until the test binary's own time is up
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTLS(t *testing.T) {
	certificates := testenv.NewCertificates(t, "rabbit.test")
	broker := testenv.StartRabbit(t, testenv.RabbitConfig{TLS: certificates})
	w := newWorld(t)
	send := func(caFile string) error {
		s, err := amqp.New(amqp.Config{URL: broker.URL(), CAFile: caFile}, w.keys, nil)
		expect.OK(t, err)
		defer s.Close()
		return s.Send(t.Context(), event.Item{Event: numbered("u1", 1)})
	}
	if err := send(certificates.CA); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	for name, ca := range map[string]string{"the system's roots": "", "another CA": testenv.NewCertificates(t, "rabbit.test").CA} {
		if err := send(ca); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("with %s: got %v, want ErrUnavailable", name, err)
		}
	}
}
