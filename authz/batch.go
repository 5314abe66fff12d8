package authz

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// batchListener gives connections that gather their writes. grpc-go sends an answer
// of 1,000 bytes and more by a system call of its own, as soon as it is made; a system call
// costs more than a decision, and an answer with an RS256 token has about that size.
type batchListener struct{ net.Listener }

// Accept implements net.Listener. A connection without a file descriptor stays as it is.
func (l batchListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	raw, ok := c.(rawConn)
	if !ok {
		return c, nil
	}
	b := newBatchConn(raw)
	go b.send()
	return b, nil
}

// rawConn is a TCP or Unix connection: grpc-go reads these without a goroutine that waits.
type rawConn interface {
	net.Conn
	syscall.Conn
}

// batchConn sends its writes after the goroutines that are ready to run had their turn, so
// that answers which are made at the same time leave together. Close sends the rest first.
type batchConn struct {
	rawConn
	mu      sync.Mutex
	changed sync.Cond
	pending []byte // written, not sent
	sending bool
	closed  bool
	err     error // of sending; the next write returns it
}

func newBatchConn(raw rawConn) *batchConn {
	c := &batchConn{rawConn: raw}
	c.changed.L = &c.mu
	return c
}

const (
	// mostPending is how much waits for a slow peer before Write does.
	mostPending = 128 << 10
	// lastSend is how long Close waits for a peer that does not read.
	lastSend = time.Second
)

var errClosed = errors.New("write on a closed connection")

// Write implements net.Conn. It fails with the error of an earlier send.
func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > mostPending && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, errClosed
	}
	if len(c.pending) == 0 {
		c.changed.Broadcast()
	}
	c.pending = append(c.pending, p...)
	return len(p), nil
}

// send sends until the connection is closed or broken.
func (c *batchConn) send() {
	var spare []byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.pending) == 0 && !c.closed {
			c.changed.Wait()
		}
		if len(c.pending) == 0 || c.err != nil {
			return
		}
		if !c.closed {
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		batch := c.pending
		c.pending, c.sending = spare[:0], true
		c.mu.Unlock()
		_, err := c.rawConn.Write(batch)
		c.mu.Lock()
		spare, c.sending = batch, false
		if cap(spare) > mostPending {
			spare = nil
		}
		if err != nil {
			c.err = err
		}
		c.changed.Broadcast()
	}
}

// Close implements net.Conn.
func (c *batchConn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		c.changed.Broadcast()
		if c.sending || len(c.pending) > 0 {
			_ = c.SetWriteDeadline(time.Now().Add(lastSend)) // a peer that does not read
		}
		for (c.sending || len(c.pending) > 0) && c.err == nil {
			c.changed.Wait()
		}
	}
	c.mu.Unlock()
	return c.rawConn.Close()
}
