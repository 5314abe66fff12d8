package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/event"
)

// Names of the reference's mailer (AZ-395), whose queues are taken over with their messages.
const (
	mailQueue     = "barong.event.mailer.main"
	mailExchange  = "barong.event.mailer.main.exchange"
	retryQueue    = "barong.event.mailer.retry"
	retryExchange = "barong.event.mailer.retry.exchange"
	oldMailQueue  = "barong.postmaster.event.mailer"
)

const (
	// prefetch is how many messages the broker sends ahead.
	prefetch = 16
	// receiveTimeout bounds the work on one message, even while the process stops.
	receiveTimeout = 10 * time.Second
	// firstWait and lastWait are the pauses between attempts to connect.
	firstWait, lastWait = 500 * time.Millisecond, 30 * time.Second
)

// A Receiver takes the messages of other services. nil is that it is done with one,
// event.ErrPermanent that it never will be and the message is dropped, event.ErrUnavailable
// that nothing can be taken just now; after any other error the message comes again later.
// Error texts are logged.
type Receiver interface {
	Receive(ctx context.Context, exchange, key string, body []byte) error
}

// A Binding asks for the messages of an exchange that have a routing key.
type Binding struct{ Exchange, Key string }

// A ConsumerConfig holds the bindings that a Consumer asks for, and its retries.
type ConsumerConfig struct {
	Bindings []Binding
	// RetryAfter is when a rejected message comes again: 2 min. A queue that is there
	// already has its own and refuses another.
	RetryAfter time.Duration
	// Rounds is how often it does before it is given up: 10.
	Rounds int
}

// A Consumer hands messages of other services' exchanges to a Receiver, one after the other
// (AZ-395, AZ-396). Of several processes each message goes to one.
//
//	exchange ──key──► main queue ──► Receiver ──nil, ErrPermanent──► ack
//	                      ▲              └─other──► reject ──► retry queue ─┐
//	                      └────────────── RetryAfter ───────────────────────┘
//
// Messages that nobody has acknowledged stay with the broker. The exchanges are not durable, as
// the reference has them: a message that runs out of the retry queue while a restarted broker
// waits for us is lost. That is only messages which have failed before.
type Consumer struct {
	config   Config
	consumer ConsumerConfig
	receiver Receiver
	log      *slog.Logger

	// The fields below belong to Run.
	wait   time.Duration // the last pause; 0 after success
	down   bool          // the log has said that nothing is received
	refuse bool          // the receiver could take nothing
}

// NewConsumer checks the configuration; it does not connect. A nil log says nothing.
func NewConsumer(c Config, cc ConsumerConfig, r Receiver, log *slog.Logger) (*Consumer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("amqp: configuration: %w", err)
	}
	cc.RetryAfter, cc.Rounds = cmp.Or(cc.RetryAfter, 2*time.Minute), cmp.Or(cc.Rounds, 10)
	if ms := cc.RetryAfter.Milliseconds(); ms < 1 || ms > 1<<31-1 || cc.Rounds < 1 {
		return nil, fmt.Errorf("amqp: retry after %v, %d times: want 1 ms to 24 days, and 1 or more", cc.RetryAfter, cc.Rounds)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Consumer{config: c, consumer: cc, receiver: r, log: log}, nil
}

// Run consumes until ctx ends, and connects again whenever that is needed. It returns when
// the message in hand is done with. A Consumer runs once.
func (c *Consumer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		c.refuse = errors.Is(err, event.ErrUnavailable)
		if !c.down {
			c.log.Error("events of other services: nothing is received until this is over", "error", err)
			c.down = true
		}
		c.wait = min(max(2*c.wait, firstWait), lastWait)
		pause := time.NewTimer(c.wait/2 + rand.N(c.wait/2))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// works notes that broker and receiver do.
func (c *Consumer) works() {
	c.wait = 0
	if c.down {
		c.log.Info("events of other services: received again")
		c.down = false
	}
}

// session consumes over one connection, until it or ctx ends or nothing can be received.
func (c *Consumer) session(ctx context.Context) error {
	l, err := dial(ctx, c.config)
	if err != nil {
		return err
	}
	defer func() {
		_ = l.conn.CloseDeadline(time.Now().Add(time.Second)) // or it is lost already
		l.drop()
	}()
	// A wait for an answer of the broker is no longer than one for a connection.
	setup, cancel := context.WithTimeout(ctx, c.config.timeout())
	defer cancel()
	ready := context.AfterFunc(setup, l.drop)
	defer ready()
	ch, err := c.declare(l.conn)
	if err != nil {
		return err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("limit what comes at once: %w", err)
	}
	died := ch.NotifyClose(make(chan *amqp091.Error, 1))
	deliveries, err := ch.Consume(mailQueue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", mailQueue, err)
	}
	ready()
	if !c.refuse {
		c.works()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return lost(died)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := c.take(ctx, d); err != nil {
				return err
			}
			c.works()
		}
	}
}

// lost is why a channel has ended.
func lost(died <-chan *amqp091.Error) error {
	select {
	case why := <-died:
		if why != nil {
			return fmt.Errorf("the connection is lost: %w", why)
		}
	default: // the channel lives: it is the queue that is gone
	}
	return errors.New("the broker sends no more")
}

// take has one message received and answers for it. Its error ends the session; the broker
// then keeps the message.
func (c *Consumer) take(ctx context.Context, d amqp091.Delivery) error {
	exchange, rounds := origin(d)
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiveTimeout)
	defer cancel()
	err := c.receiver.Receive(working, exchange, d.RoutingKey, d.Body)
	log := c.log.With("exchange", exchange, "key", d.RoutingKey, "rounds", rounds)
	switch {
	case err == nil:
		err = d.Ack(false)
	case errors.Is(err, event.ErrUnavailable):
		return fmt.Errorf("receive: %w", err)
	case errors.Is(err, event.ErrPermanent):
		log.Warn("events of other services: one was dropped", "error", err)
		err = d.Ack(false)
	case rounds >= c.consumer.Rounds:
		log.Error("events of other services: one was given up", "error", err)
		err = d.Ack(false)
	default:
		log.Warn("events of other services: one will come again", "after", c.consumer.RetryAfter, "error", err)
		err = d.Reject(false)
	}
	if err != nil {
		return fmt.Errorf("answer for a message: %w", err)
	}
	return nil
}

// origin is the exchange that a message was published to, and how often it was rejected since.
// The header x-death of a message from the retry queue holds both.
func origin(d amqp091.Delivery) (exchange string, rounds int) {
	if d.Exchange != mailExchange {
		return d.Exchange, 0 // whatever its publisher may have put there
	}
	deaths, _ := d.Headers["x-death"].([]any)
	for _, death := range deaths {
		t, _ := death.(amqp091.Table)
		if t["queue"] != mailQueue || t["reason"] != "rejected" {
			continue
		}
		exchange, _ = t["exchange"].(string)
		count, _ := t["count"].(int64)
		return exchange, int(count)
	}
	return d.Exchange, 0
}

// declare makes missing exchanges, queues and bindings, and opens a channel.
func (c *Consumer) declare(conn *amqp091.Connection) (*amqp091.Channel, error) {
	exchanges := map[string]string{mailExchange: amqp091.ExchangeFanout, retryExchange: amqp091.ExchangeFanout}
	for _, b := range c.consumer.Bindings {
		exchanges[b.Exchange] = amqp091.ExchangeDirect
	}
	for name, kind := range exchanges {
		if err := declareExchange(conn, name, kind); err != nil {
			return nil, fmt.Errorf("declare exchange %s: %w", name, err)
		}
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if _, err := ch.QueueDelete(oldMailQueue, false, false, false); err != nil {
		return nil, fmt.Errorf("delete queue %s: %w", oldMailQueue, err)
	}
	for _, q := range []struct {
		name string
		args amqp091.Table
	}{
		{mailQueue, amqp091.Table{"x-dead-letter-exchange": retryExchange}},
		{retryQueue, amqp091.Table{
			"x-dead-letter-exchange": mailExchange, "x-message-ttl": int32(c.consumer.RetryAfter.Milliseconds()),
		}},
	} {
		if _, err := ch.QueueDeclare(q.name, true, false, false, false, q.args); err != nil {
			return nil, fmt.Errorf("declare queue %s: %w", q.name, err)
		}
	}
	bind := func(queue, key, exchange string) error {
		if err := ch.QueueBind(queue, key, exchange, false, nil); err != nil {
			return fmt.Errorf("bind queue %s to %s: %w", queue, exchange, err)
		}
		return nil
	}
	if err := bind(mailQueue, "", mailExchange); err != nil {
		return nil, err
	}
	if err := bind(retryQueue, "", retryExchange); err != nil {
		return nil, err
	}
	for _, b := range c.consumer.Bindings {
		if err := bind(mailQueue, b.Key, b.Exchange); err != nil {
			return nil, err
		}
	}
	return ch, nil
}

// declareExchange takes an exchange as it is, whatever its flags: it is another service's. A
// missing one gets those of the reference (AZ-370), so that its owner can declare it too.
func declareExchange(conn *amqp091.Connection, name, kind string) error {
	try := func(declare func(*amqp091.Channel) error) error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		if err := declare(ch); err != nil {
			return err // which closed the channel
		}
		return ch.Close()
	}
	err := try(func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(name, kind, false, false, false, false, nil)
	})
	if e, ok := errors.AsType[*amqp091.Error](err); !ok || e.Code != amqp091.NotFound {
		return err
	}
	return try(func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(name, kind, false, false, false, false, nil)
	})
}
