package cluster

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// A Cable is a TCP proxy between a replica and a server, so that a test can cut it. It is
// safe for concurrent use.
type Cable struct {
	addr, target string

	mu     sync.Mutex
	listen net.Listener // nil while cut
	frozen chan struct{}
	delay  time.Duration
	ends   map[net.Conn]bool
	closed bool
}

// NewCable leads from a free loopback port to target.
func NewCable(target string) (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lay a cable: %w", err)
	}
	c := &Cable{addr: l.Addr().String(), target: target, listen: l, ends: map[net.Conn]bool{}}
	go c.accept(l)
	return c, nil
}

// Addr is where it listens, host:port.
func (c *Cable) Addr() string { return c.addr }

// Lead has new connections go to another server from now on, as an address does that was given to
// another machine. Those of before stay with theirs.
func (c *Cable) Lead(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
}

// Cut breaks all connections; new ones are refused until Mend.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listen != nil {
		c.listen.Close()
		c.listen = nil
	}
	c.drop()
}

// Freeze keeps connections open and takes new ones, but moves nothing until Mend: the peer
// that vanished without a word.
func (c *Cable) Freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen == nil {
		c.frozen = make(chan struct{})
	}
}

// Slow delays all that goes through by so much each way; 0 is the usual speed.
func (c *Cable) Slow(delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = delay
}

// Mend undoes Cut and Freeze, but not Slow. The bytes in a frozen cable are lost with its connections.
func (c *Cable) Mend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		c.drop()
		close(c.frozen)
		c.frozen = nil
	}
	if c.listen != nil || c.closed {
		return nil
	}
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		return fmt.Errorf("mend a cable: %w", err)
	}
	c.listen = l
	go c.accept(l)
	return nil
}

// Close ends it.
func (c *Cable) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.Cut()
	_ = c.Mend() // only lets go of a frozen cable
}

// drop closes every connection; mu is held.
func (c *Cable) drop() {
	for end := range c.ends {
		if t, ok := end.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		end.Close()
	}
	clear(c.ends)
}

func (c *Cable) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		go c.join(near)
	}
}

// join connects one client.
func (c *Cable) join(near net.Conn) {
	if !c.hold(near) {
		return
	}
	defer c.release(near)
	c.pass()
	c.mu.Lock()
	target := c.target
	c.mu.Unlock()
	far, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	if !c.hold(far) {
		return
	}
	defer c.release(far)
	var both sync.WaitGroup
	both.Go(func() { c.copy(far, near) })
	both.Go(func() { c.copy(near, far) })
	both.Wait()
}

// hold remembers an end so that it can be dropped.
func (c *Cable) hold(end net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listen == nil {
		end.Close()
		return false
	}
	c.ends[end] = true
	return true
}

func (c *Cable) release(end net.Conn) {
	end.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, end)
}

// pass waits while the cable is frozen, or as long as it is slow.
func (c *Cable) pass() {
	c.mu.Lock()
	frozen, delay := c.frozen, c.delay
	c.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	time.Sleep(delay)
}

func (c *Cable) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		c.pass()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
