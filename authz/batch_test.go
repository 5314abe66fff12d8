package authz

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// batchPair is a gathering connection over a Unix socket, and its other end.
func batchPair(t *testing.T) (*batchConn, *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := batchListener{l}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c.(*batchConn), peer.(*net.UnixConn)
}

// Everything written arrives, in order, Close included.
func TestBatchKeepsEveryByte(t *testing.T) {
	c, peer := batchPair(t)
	var want bytes.Buffer
	go func() {
		for i := range 5000 {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, i%1500+1)); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		c.Close()
	}()
	for i := range 5000 {
		want.Write(bytes.Repeat([]byte{byte(i)}, i%1500+1))
	}
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes arrived of %d, or in another order", len(got), want.Len())
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a write after Close went well")
	}
}

// Writes that follow each other leave together.
func TestBatchSendsTogether(t *testing.T) {
	const writes = 20
	w := &countedConn{writes: make(chan int, writes)}
	c := newBatchConn(w)
	for range writes {
		if _, err := c.Write(make([]byte, 1100)); err != nil {
			t.Fatal(err)
		}
	}
	go c.send()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-w.writes; n != writes*1100 {
		t.Errorf("the first system call sent %d bytes of %d", n, writes*1100)
	}
}

// A peer that does not read makes writers wait, and cannot make Close wait for long.
func TestBatchWaitsForASlowPeer(t *testing.T) {
	c, _ := batchPair(t)
	held := 0
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		for {
			if _, err := c.Write(make([]byte, 16<<10)); err != nil {
				return
			}
			held += 16 << 10
		}
	}()
	select {
	case <-filled:
		t.Fatal("writes to a peer that does not read failed by themselves")
	case <-time.After(300 * time.Millisecond):
	}
	began := time.Now()
	c.Close()
	if took := time.Since(began); took > 3*lastSend {
		t.Errorf("Close took %s", took)
	}
	<-filled
	if most := 8 << 20; held > most { // the kernel's buffers and ours
		t.Errorf("%d bytes were taken for a peer that does not read, more than %d", held, most)
	}
}

// The error of a send reaches the next writer.
func TestBatchReportsErrors(t *testing.T) {
	c, peer := batchPair(t)
	peer.Close()
	for range 1000 {
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the write failed with %v", err)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("no write to a closed peer failed")
}

// The sending goroutine ends with the connection.
func TestBatchLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBatchConn(&countedConn{writes: make(chan int, 1)})
		go c.send()
		synctest.Wait()
		c.Close()
	}) // which waits until every goroutine of it has ended
}

// countedConn takes writes and says how long each was.
type countedConn struct {
	rawConn
	writes chan int
}

func (c *countedConn) Write(p []byte) (int, error)           { c.writes <- len(p); return len(p), nil }
func (c *countedConn) SetWriteDeadline(time.Time) error      { return nil }
func (c *countedConn) Close() error                          { return nil }
func (c *countedConn) SyscallConn() (syscall.RawConn, error) { return nil, os.ErrInvalid }
