package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/internal/event"
)

// inFlight is how many messages may wait for their confirmation.
const inFlight = 64

// A link is one connection with one channel in confirm mode.
type link struct {
	socket  net.Conn
	conn    *amqp091.Connection
	ch      *amqp091.Channel
	since   time.Time
	again   bool // the broker was away before
	timeout time.Duration
	slots   chan struct{} // inFlight of them

	mu       sync.Mutex // of the channel's methods and the fields below
	declared map[string]bool
	returns  <-chan amqp091.Return // has room for all that are in flight
	returned map[string]bool       // bodies that reached no queue
	died     <-chan *amqp091.Error // of the channel
	why      error                 // first taken from died
}

// dial connects and logs in. Its errors hold no password.
func dial(ctx context.Context, c Config) (_ *link, err error) {
	u, err := c.uri()
	if err != nil {
		return nil, err
	}
	encrypt, err := c.tls(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	l := &link{
		timeout: c.timeout(), slots: make(chan struct{}, inFlight),
		declared: map[string]bool{}, returned: map[string]bool{},
	}
	defer func() {
		if err != nil {
			l.drop()
			err = fmt.Errorf("connect to %v: %w", c, err)
		}
	}()
	// The waits of the handshakes end with the socket.
	defer context.AfterFunc(ctx, l.drop)()
	sasl := []amqp091.Authentication{&amqp091.PlainAuth{Username: u.Username, Password: u.Password}}
	u.Username, u.Password = "", "" // nothing of the rest is a secret, should it be in an error
	l.conn, err = amqp091.DialConfig(u.String(), amqp091.Config{
		SASL: sasl, Vhost: u.Vhost, TLSClientConfig: encrypt, Heartbeat: 10 * time.Second,
		Properties: amqp091.Table{"product": "barong", "connection_name": "barong events"},
		Dial: func(network, addr string) (net.Conn, error) {
			socket, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			deadline, _ := ctx.Deadline()
			l.mu.Lock()
			l.socket = socket
			l.mu.Unlock()
			return socket, socket.SetDeadline(deadline)
		},
	})
	if err != nil {
		return nil, err
	}
	if l.ch, err = l.conn.Channel(); err != nil {
		return nil, err
	}
	l.returns = l.ch.NotifyReturn(make(chan amqp091.Return, inFlight))
	l.died = l.ch.NotifyClose(make(chan *amqp091.Error, 1))
	if err := l.ch.Confirm(false); err != nil {
		return nil, err
	}
	return l, ctx.Err()
}

// drop ends the connection without a word to the broker; every wait on it ends with an error.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket != nil {
		l.socket.Close()
	}
}

// publish returns when the broker has the message, and whether a queue took it.
func (l *link) publish(ctx context.Context, exchange, key string, body []byte) (routed bool, err error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// A broker that does not answer, or does not read, is given up with the connection.
	timeout := time.NewTimer(l.timeout)
	defer timeout.Stop()
	overdue := time.AfterFunc(l.timeout, func() { l.socket.Close() })
	defer overdue.Stop()
	sent, err := l.send(exchange, key, body)
	if err != nil {
		return false, fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	select {
	case <-sent.Done():
	case <-timeout.C:
		return false, fmt.Errorf("%w: no confirmation in %v", event.ErrUnavailable, l.timeout)
	case <-ctx.Done():
		l.socket.Close() // the caller that ended ctx wants nothing to come any more
		return false, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !sent.Acked() {
		if why := l.reason(); why != nil {
			return false, fmt.Errorf("%w: %w", event.ErrUnavailable, why)
		}
		return false, errors.New("the broker refused the message")
	}
	// The broker says that it returns a message before it confirms it.
	for n := len(l.returns); n > 0; n-- {
		r := <-l.returns
		l.returned[string(r.Body)] = true
	}
	routed = !l.returned[string(body)]
	delete(l.returned, string(body))
	return routed, nil
}

// send declares the exchange, once for a connection, and writes the message.
func (l *link) send(exchange, key string, body []byte) (*amqp091.DeferredConfirmation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.declared[exchange] {
		// Not durable, not deleted with its last queue: other flags would be refused (AZ-370).
		if err := l.ch.ExchangeDeclare(exchange, amqp091.ExchangeDirect, false, false, false, false, nil); err != nil {
			return nil, fmt.Errorf("declare exchange %s: %w", exchange, err)
		}
		l.declared[exchange] = true
	}
	return l.ch.PublishWithDeferredConfirm(exchange, key, true, false, amqp091.Publishing{
		ContentType: contentType, DeliveryMode: amqp091.Persistent, Body: body,
	})
}

// reason is why the channel ended, or nil while it has not.
func (l *link) reason() error {
	select {
	case why, ok := <-l.died:
		switch {
		case why != nil:
			l.why = why
		case !ok && l.why == nil:
			l.why = amqp091.ErrClosed
		}
	default:
	}
	if l.why == nil && l.ch.IsClosed() {
		return amqp091.ErrClosed
	}
	return l.why
}
