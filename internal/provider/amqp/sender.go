// Package amqp publishes events to RabbitMQ, an event.Sender with publisher confirms, and
// consumes those of other services (see Consumer).
//
//	Item ──► Signer: JWS ──► exchange barong.events.<category>, key <rest of the name> ──► confirm
//
// Exchanges and messages are those that consumers of the reference know (AZ-370, AZ-371,
// AZ-372). An exchange is not durable, so a broker that restarts forgets its bindings: see
// rebind.
package amqp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/event"
	"barong/internal/token"
)

const (
	// contentType of every message.
	contentType = "application/octet-stream"
	// failFast is how long a failed connection attempt answers for others: calls that send at
	// once share it. Longer waits are the relay's.
	failFast = 200 * time.Millisecond
	// rebind is how long after a new connection a message that reaches no queue is tried
	// again, if one like it has reached a queue before or the broker had been away: consumers
	// reconnect too, and bind their queues to the new exchange.
	rebind = time.Minute
)

// A Signer makes the message of an event; *token.Keys is one. It wraps token.ErrEvent for an
// event that it never will.
type Signer interface {
	SignEvent(event json.RawMessage, now time.Time) ([]byte, error)
}

// A Sender publishes over one connection, which it makes when it is needed. It is safe for
// concurrent use. The caller closes.
type Sender struct {
	config Config
	signer Signer
	now    func() time.Time

	mu       sync.Mutex // held while connecting
	link     *link      // nil: none
	failed   error      // of the last attempt, until retryAt
	retryAt  time.Time
	closed   bool
	listened sync.Map // names of events that have reached a queue
}

var _ event.Sender = (*Sender)(nil)

// New checks the configuration; it does not connect. A nil now is time.Now.
func New(c Config, s Signer, now func() time.Time) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("amqp: configuration: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Sender{config: c, signer: s, now: now}, nil
}

// Send implements event.Sender: it returns nil when the broker has confirmed the message,
// after it is on disk wherever a durable queue took it. A message that nobody listens for is
// sent, as the wire has it.
func (s *Sender) Send(ctx context.Context, i event.Item) error {
	body, err := s.signer.SignEvent(i.Object(), s.now())
	if err != nil {
		if errors.Is(err, token.ErrEvent) {
			err = errors.Join(event.ErrPermanent, err)
		}
		return fmt.Errorf("publish: %w", err)
	}
	l, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("publish: %w: %w", event.ErrUnavailable, err)
	}
	routed, err := l.publish(ctx, event.ExchangePrefix+i.Category(), i.Key(), body)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if routed {
		s.listened.Store(i.Name, true)
		return nil
	}
	if _, before := s.listened.Load(i.Name); (before || l.again) && s.now().Sub(l.since) < rebind {
		return errors.New("publish: the broker is back, those who listened are not yet")
	}
	return nil
}

// connect returns the connection in use, or makes one.
func (s *Sender) connect(ctx context.Context) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("closed")
	}
	if s.link != nil && !s.link.conn.IsClosed() && !s.link.ch.IsClosed() {
		return s.link, nil
	}
	again := s.failed != nil || s.link != nil && s.link.conn.IsClosed() // a channel that was refused is no outage
	if s.link != nil {
		s.link.drop()
		s.link = nil
	}
	if s.failed != nil && s.now().Before(s.retryAt) {
		return nil, s.failed
	}
	l, err := dial(ctx, s.config)
	if err != nil {
		if ctx.Err() == nil {
			s.failed, s.retryAt = err, s.now().Add(failFast)
		}
		return nil, err
	}
	l.since, l.again = s.now(), again
	s.link, s.failed = l, nil
	return l, nil
}

// Close ends the connection; messages whose confirmation is awaited count as not sent.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.link == nil {
		return nil
	}
	err := s.link.conn.CloseDeadline(time.Now().Add(time.Second))
	s.link.drop()
	s.link = nil
	if err != nil && !errors.Is(err, amqp091.ErrClosed) {
		return fmt.Errorf("close amqp: %w", err)
	}
	return nil
}
