package amqp_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/rabbitmq/amqp091-go"

	"barong/internal/expect"
	"barong/internal/testenv"
)

// A message is one delivery that a consumer has verified.
type message struct {
	Raw   amqp091.Delivery
	Name  string
	UID   string
	N     int
	Event json.RawMessage
}

// A consumer reads events as the reference's mailer does (AZ-395, AZ-396), and comes back
// when the broker does. Only the time in the retry queue is shorter.
type consumer struct {
	t      testing.TB
	broker *testenv.Rabbit
	key    any
	events []string // of category system, without it
	now    func() time.Time
	handle func(message) error

	mu      sync.Mutex
	got     []message
	dropped int
	changed chan struct{}
	ready   chan struct{} // closed once the queues are there
}

const (
	mainQueue, mainExchange   = "barong.event.mailer.main", "barong.event.mailer.main.exchange"
	retryQueue, retryExchange = "barong.event.mailer.retry", "barong.event.mailer.retry.exchange"
	retryAfter                = 100 // ms; the reference's is 120000
)

// consume starts one that ends with the test. pemKey is the output of `barong keys public`.
func consume(t testing.TB, broker *testenv.Rabbit, pemKey []byte, events ...string) *consumer {
	t.Helper()
	block, _ := pem.Decode(pemKey)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	expect.OK(t, err)
	c := &consumer{
		t: t, broker: broker, key: key, events: events, now: time.Now,
		handle:  func(message) error { return nil },
		changed: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	return c
}

// start runs it and waits until its queues are bound.
func (c *consumer) start() *consumer {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var once sync.Once
		for ctx.Err() == nil {
			if err := c.session(ctx, &once); err != nil {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	c.t.Cleanup(func() { cancel(); <-ended })
	<-c.ready
	return c
}

func (c *consumer) session(ctx context.Context, once *sync.Once) error {
	conn, err := c.broker.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := c.declare(ch); err != nil {
		return err
	}
	deliveries, err := ch.Consume(mainQueue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	once.Do(func() { close(c.ready) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("connection lost")
			}
			c.take(d)
		}
	}
}

func (c *consumer) declare(ch *amqp091.Channel) error {
	_, err := ch.QueueDelete("barong.postmaster.event.mailer", false, false, false)
	errs := []error{err}
	for _, name := range []string{mainExchange, retryExchange} {
		errs = append(errs, ch.ExchangeDeclare(name, amqp091.ExchangeFanout, true, false, false, false, nil))
	}
	_, err = ch.QueueDeclare(mainQueue, true, false, false, false, amqp091.Table{"x-dead-letter-exchange": retryExchange})
	errs = append(errs, err)
	_, err = ch.QueueDeclare(retryQueue, true, false, false, false, amqp091.Table{
		"x-dead-letter-exchange": mainExchange, "x-message-ttl": int32(retryAfter),
	})
	errs = append(errs, err,
		ch.QueueBind(mainQueue, "", mainExchange, false, nil), ch.QueueBind(retryQueue, "", retryExchange, false, nil))
	for _, key := range c.events {
		errs = append(errs,
			ch.ExchangeDeclare("barong.events.system", amqp091.ExchangeDirect, false, false, false, false, nil),
			ch.QueueBind(mainQueue, key, "barong.events.system", false, nil))
	}
	return errors.Join(errs...)
}

// take verifies and handles one: a badly signed or too old message is acknowledged and dropped,
// one that cannot be handled is rejected and comes back.
func (c *consumer) take(d amqp091.Delivery) {
	m, err := c.verify(d)
	c.mu.Lock()
	if err != nil {
		c.dropped++
	} else if err = c.handle(m); err == nil {
		c.got = append(c.got, m)
	} else {
		c.mu.Unlock()
		_ = d.Reject(false)
		return
	}
	c.mu.Unlock()
	_ = d.Ack(false)
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *consumer) verify(d amqp091.Delivery) (message, error) {
	payload, err := jws.Verify(d.Body, jws.WithKey(jwa.RS256, c.key))
	if err != nil {
		return message{}, err
	}
	var claims struct {
		Iss   string
		Exp   int64
		Event struct {
			Name   string
			Record struct {
				User struct{ UID string }
				N    int
			}
		}
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return message{}, err
	}
	if claims.Iss != "barong" || c.now().Unix() >= claims.Exp {
		return message{}, errors.New("expired, or somebody else's")
	}
	e := claims.Event
	return message{Raw: d, Name: e.Name, UID: e.Record.User.UID, N: e.Record.N, Event: payload}, nil
}

// await waits until cond holds of the messages received.
func (c *consumer) await(what string, cond func(got []message, dropped int) bool) []message {
	c.t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		c.mu.Lock()
		got, dropped := append([]message(nil), c.got...), c.dropped
		c.mu.Unlock()
		if cond(got, dropped) {
			return got
		}
		select {
		case <-c.changed:
		case <-timeout:
			c.t.Fatalf("never: %s; got %d messages, dropped %d", what, len(got), dropped)
		}
	}
}

// awaitAll waits until every number below each of every user came.
func (c *consumer) awaitAll(users, each int) []message {
	c.t.Helper()
	return c.await("all events", func(got []message, _ int) bool {
		seen := map[string]map[int]bool{}
		n := 0
		for _, m := range got {
			if seen[m.UID] == nil {
				seen[m.UID] = map[int]bool{}
			}
			if !seen[m.UID][m.N] {
				seen[m.UID][m.N] = true
				n++
			}
		}
		return n == users*each
	})
}

// wantOrder checks that every number of a user came first after the one before it.
func wantOrder(t testing.TB, got []message) {
	t.Helper()
	next := map[string]int{}
	for _, m := range got {
		switch {
		case m.N == next[m.UID]:
			next[m.UID]++
		case m.N > next[m.UID]:
			t.Errorf("%s: event %d came before %d", m.UID, m.N, next[m.UID])
		}
	}
}
