package rest

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"barong/internal/limit"
)

// Bounds of requests with files: the time for the body, the longest pause in it, the time in which
// an upload waits for its turn, and how many uploads one account has under way.
const (
	uploadTime  = 5 * time.Minute
	uploadPause = 15 * time.Second
	uploadWait  = 5 * time.Second
	uploadsEach = 4
)

// turns bounds the uploads under way, all of which cost disk and time of others. It is safe for
// concurrent use.
type turns struct {
	free chan struct{}
	mu   sync.Mutex
	of   map[string]int // by account
}

func newTurns(n int) *turns { return &turns{free: make(chan struct{}, n), of: map[string]int{}} }

// take waits a little for a turn of the account who; limit.TooMany when there is none. The caller
// calls leave once.
func (t *turns) take(ctx context.Context, who string) (leave func(), err error) {
	if !t.count(who, 1) {
		return nil, limit.TooMany{RetryAfter: time.Second}
	}
	wait := time.NewTimer(uploadWait)
	defer wait.Stop()
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; t.count(who, -1) }, nil
	case <-wait.C:
		err = limit.TooMany{RetryAfter: uploadWait}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.count(who, -1)
	return nil, err
}

// count adds n to the uploads of an account, if it may have one more.
func (t *turns) count(who string, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 && t.of[who] >= uploadsEach {
		return false
	}
	if t.of[who] += n; t.of[who] == 0 {
		delete(t.of, who)
	}
	return true
}

// A transfer is a request whose body may take longer than others: it goes on for as long as the
// client sends.
type transfer struct {
	conn    *http.ResponseController
	timeout time.Duration // of everything but the body
	timer   *time.Timer
	cancel  context.CancelCauseFunc
}

// slowly returns r as a transfer. Its context ends timeout after the call, or after done.
func slowly(w http.ResponseWriter, r *http.Request, timeout time.Duration) (*http.Request, *transfer) {
	on := passageOf(r.Context())
	ctx, cancel := context.WithCancelCause(context.WithValue(on.base, passageKey{}, on))
	t := &transfer{conn: http.NewResponseController(w), timeout: timeout, cancel: cancel}
	t.timer = time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
	return r.WithContext(ctx), t
}

// start returns r.Body for the reading of it, which ends uploadTime from now.
func (t *transfer) start(body io.ReadCloser) io.ReadCloser {
	t.timer.Reset(uploadTime)
	return patient{body, t.conn, time.Now().Add(uploadTime)}
}

// done gives the rest of the request its time.
func (t *transfer) done() {
	t.timer.Reset(t.timeout)
	now := time.Now()
	_ = t.conn.SetReadDeadline(now.Add(t.timeout))      // not supported in tests without a connection
	_ = t.conn.SetWriteDeadline(now.Add(2 * t.timeout)) // likewise
}

// close ends the context.
func (t *transfer) close() {
	t.timer.Stop()
	t.cancel(context.Canceled)
}

// receive is read for a request with files, when it is its turn; done ends the turn, too.
func (s *Server) receive(r *http.Request, e *endpoint, slow *transfer) (p params, done func(), err error) {
	leave, err := s.turns.take(r.Context(), passageOf(r.Context()).uid)
	if err != nil {
		return p, func() {}, err
	}
	r.Body = slow.start(r.Body)
	p, free, err := s.read(r, e)
	slow.done()
	return p, func() { free(); leave() }, err
}

// patient is a body that may take until end, without long pauses.
type patient struct {
	io.ReadCloser
	conn *http.ResponseController
	end  time.Time
}

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	pause := time.Now().Add(uploadPause)
	if pause.After(p.end) {
		pause = p.end
	}
	_ = p.conn.SetReadDeadline(pause) // not supported in tests without a connection
	return p.ReadCloser.Read(b)
}
