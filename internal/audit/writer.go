package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/secret"
)

const (
	// storeTimeout ends one call of the store.
	storeTimeout = 10 * time.Second
	// A store that failed is tried again after firstRetry, then twice as long up to lastRetry.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 15 * time.Second
	// poisonAfter is how many times the same rows must fail before they are tried one by
	// one, to find those that the store will never take.
	poisonAfter = 5
	// singles is how many rows are tried one by one within storeTimeout.
	singles = 32
	// maxKept bounds the text columns in memory; stores cut them to 255 characters.
	maxKept = 1024
)

// A Writer keeps activities off the caller's path without losing them (design D22).
// Counters may be read at any time. It is safe for concurrent use.
//
//	w, err := audit.NewWriter(config, store, log, time.Now)
//	go w.Run(ctx)
//	defer w.Close(shutdown)
type Writer struct {
	config Config
	store  Store
	log    *slog.Logger
	now    func() time.Time
	spill  *spill

	mu     sync.Mutex
	queue  []Activity
	spare  []Activity // the queue's other half, while empty
	closed bool

	wake    chan struct{} // a batch is waiting; capacity one
	stop    chan struct{} // closed by Close
	results chan result   // of the delivery in flight; capacity one
	looping sync.Mutex    // held by the owner of the fields below: Run, then Close

	folder   *folder
	ready    []Entry // in memory only, not in flight
	inflight *delivery
	retryAt  time.Time
	backoff  time.Duration
	failures int // of deliveries, in a row
	diskSick bool

	waiting, written, lost, folded atomic.Int64
}

// delivery is one piece of work for the store. At most one is in flight.
type delivery struct {
	rows    []Entry
	replay  bool     // the rows are the spill's, up to end
	end     int64    // offset in the spill
	damaged [][]byte // lines of the spill before it
	single  bool     // row by row, to find poison
	started time.Time
	spilled int // so many of its rows are in the spill too
	cancel  context.CancelFunc
}

type result struct {
	delivered int // rows, from the start
	dead      []Entry
	err       error
}

// NewWriter opens the spill file; rows that an earlier process left there are delivered
// first. A nil log says nothing, a nil now is time.Now.
func NewWriter(c Config, store Store, log *slog.Logger, now func() time.Time) (*Writer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("audit: configuration: %w", err)
	}
	c.Batch = cmp.Or(c.Batch, defaultBatch)
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if now == nil {
		now = time.Now
	}
	s, err := openSpill(c.SpillPath, c.SpillMax)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &Writer{
		config: c, store: store, log: log, now: now, spill: s,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), results: make(chan result, 1),
		folder: newFolder(c.DenialsPerMinute, c.DenialsPerDay),
	}, nil
}

// Record takes an activity and never blocks on the store or the disk. The strings may alias a
// request's memory: kept text is copied, over-long text cut. A zero CreatedAt is now. False
// means that the activity is lost: queue and spill file are full, or the Writer is closed; with
// Config.Required also when only the spill file is full.
func (w *Writer) Record(a Activity) bool {
	keep(&a)
	if a.CreatedAt.IsZero() {
		a.CreatedAt = w.now()
	}
	if w.config.Required && w.Full() {
		w.lost.Add(1)
		return false
	}
	w.mu.Lock()
	n := len(w.queue)
	if w.closed || n >= w.config.Queue {
		closed := w.closed
		w.mu.Unlock()
		// The queue is behind: straight to the spill's memory, which is bounded by its size.
		if !closed && w.spill.add(entry(a)) == 1 {
			return true
		}
		w.lost.Add(1)
		return false
	}
	w.queue = append(w.queue, a)
	w.mu.Unlock()
	if n+1 == w.config.Batch {
		w.poke()
	}
	return true
}

// Fold counts a denial of a principal that has had its rows of this minute and reports
// whether it did; then there is nothing to record. It makes a flood of denials cheap: false
// only says that the activity is to be built and recorded (FX-37).
func (w *Writer) Fold(kind, ref string) bool {
	if !w.folder.spent(kind, ref) {
		return false
	}
	w.folded.Add(1)
	return true
}

func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Full reports whether the spill file has no room for another row, or without a spill file,
// whether the queue has none: the next row may be lost.
func (w *Writer) Full() bool {
	if w.spill.max > 0 {
		return w.spill.full()
	}
	return w.QueueDepth() >= w.config.Queue
}

// QueueDepth is how many activities are in memory only.
func (w *Writer) QueueDepth() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + int(w.waiting.Load())
}

// SpillBytes is the size of the spill file; it shrinks only when all of it is delivered.
func (w *Writer) SpillBytes() int64 { return w.spill.bytes() }

// Written counts the rows that the store took; one that was delivered twice, because its
// first delivery was slow or a crash came between, counts twice.
func (w *Writer) Written() int64 { return w.written.Load() }

// Lost counts the activities that were refused or that the store never took.
func (w *Writer) Lost() int64 { return w.lost.Load() }

// Folded counts the denials that got no row of their own.
func (w *Writer) Folded() int64 { return w.folded.Load() }

// Run delivers until the context ends or Close is called; then Close delivers the rest.
func (w *Writer) Run(ctx context.Context) {
	w.looping.Lock()
	defer w.looping.Unlock()
	// Three steps make a flush interval: a row waits one in the queue; a row that the store has
	// not confirmed within another is spilled at the third.
	tick := time.NewTicker(w.config.Flush / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.stop:
			return
		case <-tick.C:
			w.step(true)
		case <-w.wake:
			w.step(false)
		case r := <-w.results:
			w.finish(r)
			w.step(false)
		}
	}
}

// Close stops taking activities, delivers waiting ones to the store until the context ends, the
// rest to the spill file, and closes it. It returns an error if neither took everything.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	close(w.stop)
	w.looping.Lock()
	defer w.looping.Unlock()

	w.collect(true)
	w.await(ctx) // a delivery begun before may fail for reasons that are over
	w.retryAt = time.Time{}
	for ctx.Err() == nil && w.start() { // a failure makes start rest
		w.await(ctx)
	}
	w.stash()
	err := w.spill.close()
	if n := len(w.ready); n > 0 {
		w.lost.Add(int64(n))
		err = errors.Join(err, fmt.Errorf("%d activities fit in neither store nor spill file", n))
	}
	if err != nil {
		return fmt.Errorf("close audit writer: %w", err)
	}
	return nil
}

// await takes the result of the delivery in flight, if any, and ends it with the context.
func (w *Writer) await(ctx context.Context) {
	if w.inflight == nil {
		return
	}
	select {
	case r := <-w.results:
		w.finish(r)
	case <-ctx.Done():
		w.inflight.cancel()
		w.finish(<-w.results)
	}
}

// step moves activities one stage on: queue, then store or spill.
func (w *Writer) step(tick bool) {
	w.collect(false)
	w.start()
	now := w.now()
	slow := w.inflight != nil && now.Sub(w.inflight.started) >= w.config.Flush/3
	if slow && !w.inflight.replay {
		w.inflight.spilled += w.spill.add(w.inflight.rows[w.inflight.spilled:]...)
	}
	// With a store that is quick, the ready rows go out with the next delivery.
	if w.inflight == nil || slow || w.inflight.replay || len(w.ready) >= w.config.Queue {
		w.stash()
	}
	if tick {
		w.flush()
	}
	w.count()
}

// count publishes how many rows are neither in the store nor in the spill.
func (w *Writer) count() {
	n := len(w.ready)
	if w.inflight != nil && !w.inflight.replay {
		n += len(w.inflight.rows) - w.inflight.spilled
	}
	w.waiting.Store(int64(n))
}

// collect takes the queue, unless the ready rows cannot get out and are as many as the queue may
// hold.
func (w *Writer) collect(last bool) {
	if len(w.ready) >= w.config.Queue && !last {
		return
	}
	w.mu.Lock()
	taken := w.queue
	w.queue, w.spare = w.spare, nil
	w.mu.Unlock()
	for _, a := range w.folder.roll(w.now(), false) {
		w.ready = append(w.ready, entry(a))
	}
	for _, a := range taken {
		if w.folder.fold(a) {
			w.folded.Add(1)
			continue
		}
		w.ready = append(w.ready, entry(a))
	}
	if last {
		for _, a := range w.folder.roll(w.now(), true) {
			w.ready = append(w.ready, entry(a))
		}
	}
	clear(taken) // their text belongs to the entries now
	w.mu.Lock()
	w.spare = taken[:0]
	w.mu.Unlock()
}

// start gives the store its next piece of work, if it is free and not resting: the rows of the
// spill first, so that rows stay in order. It reports whether there was any.
func (w *Writer) start() bool {
	if w.inflight != nil || w.now().Before(w.retryAt) {
		return false
	}
	d := &delivery{started: w.now(), single: w.failures >= poisonAfter}
	few := w.config.Batch
	if d.single {
		few = min(few, singles)
	}
	for !w.spill.empty() && len(d.rows) == 0 {
		rows, end, damaged, err := w.spill.next(few)
		if err != nil {
			w.rest(err)
			return false
		}
		if len(rows) == 0 {
			w.putAside(damaged)
			if err := w.spill.done(end); err != nil {
				w.rest(err)
				return false
			}
			continue
		}
		d.rows, d.damaged, d.end, d.replay = rows, damaged, end, true
	}
	if len(d.rows) == 0 {
		if len(w.ready) == 0 {
			return false
		}
		d.rows, w.ready = w.ready, nil
		if d.single && len(d.rows) > few {
			d.rows, w.ready = d.rows[:few:few], d.rows[few:]
		}
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	w.inflight = d
	first := w.failures * 4
	go func() {
		if d.single {
			w.results <- w.deliverEach(ctx, d.rows, first)
			return
		}
		w.results <- w.deliver(ctx, d.rows)
	}()
	return true
}

// deliver writes rows in batches, in order, and stops at the first that fails.
func (w *Writer) deliver(ctx context.Context, rows []Entry) result {
	for n := 0; n < len(rows); {
		batch := rows[n:min(n+w.config.Batch, len(rows))]
		if err := w.add(ctx, batch); err != nil {
			return result{delivered: n, err: err}
		}
		n += len(batch)
	}
	return result{delivered: len(rows)}
}

// deliverEach writes row by row. If the store takes some, those that it refuses are dead: no
// outage explains them. If it takes none of the first few, it is taken for an outage; each
// time others are the first, so that some bad rows cannot hide behind each other.
func (w *Writer) deliverEach(ctx context.Context, rows []Entry, first int) result {
	const few = 4
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if w.add(ctx, rows) == nil { // it was an outage, and it is over
		return result{delivered: len(rows)}
	}
	var dead []Entry
	var failed error
	for i := range rows {
		row := rows[(first+i)%len(rows)]
		if err := w.add(ctx, []Entry{row}); err != nil {
			dead, failed = append(dead, row), err
		}
		if ctx.Err() != nil {
			return result{err: ctx.Err()}
		}
		if len(dead) == min(i+1, few) && (len(dead) == few || len(dead) == len(rows)) {
			return result{err: failed}
		}
	}
	return result{delivered: len(rows), dead: dead}
}

func (w *Writer) add(ctx context.Context, rows []Entry) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return w.store.AddActivities(ctx, rows)
}

// putAside counts and keeps damaged lines of the spill file, which is about to be emptied of
// them.
func (w *Writer) putAside(damaged [][]byte) {
	if len(damaged) == 0 {
		return
	}
	rows, size := 0, 0
	for _, line := range damaged {
		rows += rowsIn(line)
		size += len(line)
	}
	w.lost.Add(int64(rows))
	w.log.Error("audit: damaged lines in the spill file; they are put aside beside it",
		"lines", len(damaged), "bytes", size, "rows_at_least", rows)
	if err := w.spill.bury(nil, damaged); err != nil {
		w.log.Error("audit: damaged lines could not be put aside", "error", err)
	}
}

// finish takes the result of the delivery in flight.
func (w *Writer) finish(r result) {
	d := w.inflight
	w.inflight = nil
	d.cancel()
	w.written.Add(int64(r.delivered - len(r.dead)))
	if len(r.dead) > 0 {
		w.lost.Add(int64(len(r.dead)))
		w.log.Error("audit: the store refuses rows for good", "rows", len(r.dead), "first", r.dead[0].Ref)
		if err := w.spill.bury(r.dead, nil); err != nil {
			w.log.Error("audit: refused rows could not be put aside", "error", err)
		}
	}
	if r.err == nil && d.replay {
		w.putAside(d.damaged)
		r.err = w.spill.done(d.end)
	}
	switch {
	case r.err == nil:
		if w.backoff > 0 {
			w.log.Info("audit: the store takes activities again")
		}
		w.backoff, w.failures = 0, 0
		return
	case !d.replay:
		rest := d.rows[max(r.delivered, d.spilled):]
		w.ready = append(rest[:len(rest):len(rest)], w.ready...)
		w.stash()
	}
	w.failures++
	w.rest(r.err)
}

// rest leaves the store alone for a while.
func (w *Writer) rest(err error) {
	if w.backoff == 0 {
		w.log.Error("audit: activities go to the spill file", "error", err)
	}
	w.backoff = min(max(2*w.backoff, firstRetry), lastRetry)
	w.retryAt = w.now().Add(w.backoff)
}

// stash moves the ready rows to the spill, as far as they fit.
func (w *Writer) stash() {
	if len(w.ready) == 0 {
		return
	}
	n := w.spill.add(w.ready...)
	w.ready = w.ready[n:]
	if len(w.ready) == 0 {
		w.ready = nil
	}
}

// flush makes spilled rows survive a crash.
func (w *Writer) flush() {
	err := w.spill.sync()
	if err != nil && !w.diskSick {
		w.log.Error("audit: spilled activities are in memory only", "error", err)
	}
	w.diskSick = err != nil
}

// entry makes a row of an activity: a reference of its own, and text that every store takes.
func entry(a Activity) Entry {
	for _, s := range a.texts() {
		*s = clean(*s)
	}
	return Entry{Ref: secret.Hex(16), Activity: a}
}

// texts lists the text columns.
func (a *Activity) texts() [12]*string {
	return [...]*string{
		&a.ActorUID, &a.ActorKind, &a.ActorRef, &a.TargetUID, &a.Category, &a.IP, &a.IPCountry,
		&a.UserAgent, &a.Topic, &a.Action, &a.Result, &a.Data,
	}
}

// keep copies the text columns into memory of their own, with one allocation.
func keep(a *Activity) {
	texts := a.texts()
	size := 0
	for _, s := range texts {
		most := maxKept
		if s == &a.Data {
			most = maxData
		}
		if len(*s) > most {
			*s = (*s)[:most]
		}
		size += len(*s)
	}
	var b strings.Builder
	b.Grow(size)
	for _, s := range texts {
		b.WriteString(*s)
	}
	all := b.String()
	for _, s := range texts {
		*s, all = all[:len(*s)], all[len(*s):]
	}
}
