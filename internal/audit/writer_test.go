package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"barong/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a Store in memory that can be down, slow, or refuse some rows for good.
type shelf struct {
	mu     sync.Mutex
	rows   []Entry
	refs   map[string]bool
	calls  int
	batch  int // largest
	down   bool
	delay  time.Duration
	refuse func(Entry) bool
}

var errDown = errors.New("store is down")

func (s *shelf) AddActivities(ctx context.Context, rows []Entry) error {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.batch = max(s.batch, len(rows))
	if s.down {
		return errDown
	}
	if s.refuse != nil && slices.ContainsFunc(rows, s.refuse) {
		return errors.New("a row is not acceptable")
	}
	for _, r := range rows {
		if s.refs == nil {
			s.refs = map[string]bool{}
		}
		if !s.refs[r.Ref] {
			s.refs[r.Ref] = true
			s.rows = append(s.rows, r)
		}
	}
	return nil
}

func (s *shelf) Activities(context.Context, Query) ([]Activity, int, error) { return nil, 0, nil }

func (s *shelf) set(f func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// topics lists the topic of every row, in order of arrival.
func (s *shelf) topics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.rows {
		all = append(all, r.Topic)
	}
	return all
}

func newWriter(t testing.TB, c Config, s Store) *Writer {
	t.Helper()
	w, err := NewWriter(c, s, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatalf("NewWriter: %v", err)
	}
	return w
}

// shipped is the configuration of the default settings, without a spill file.
func shipped() Config {
	s := config.Default().Audit
	return Config{
		Queue: s.Queue, Flush: s.Flush, SpillMax: int64(s.SpillMax), DenialsPerMinute: DenialsPerMinute, DenialsPerDay: DenialsPerDay,
	}
}

func spillConfig(t testing.TB) Config {
	c := shipped()
	c.SpillPath = filepath.Join(t.TempDir(), "audit.spill")
	return c
}

// run starts the loop and returns a function that stops it and closes the writer.
func run(t testing.TB, w *Writer) (closeIt func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	return sync.OnceFunc(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		cancel()
		<-done
	})
}

func activity(topic string) Activity {
	return Activity{
		ActorUID: "ID1", ActorKind: "user", ActorRef: "ID1", TargetUID: "ID2", Category: CategoryAdmin,
		IP: "192.0.2.1", IPCountry: "Ukraine", UserAgent: browser, Topic: topic, Action: "update",
		Result: Succeed, Data: `{"path":"api/v2/barong/admin/users"}`,
	}
}

func numbered(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func record(t testing.TB, w *Writer, topics []string) {
	t.Helper()
	for _, topic := range topics {
		if !w.Record(activity(topic)) {
			t.Fatalf("Record(%s) = false", topic)
		}
	}
}

func wantTopics(t testing.TB, s *shelf, want []string) {
	t.Helper()
	if got := s.topics(); !slices.Equal(got, want) {
		t.Errorf("%d rows in the store (%.60s…), want %d in order", len(got), fmt.Sprint(got), len(want))
	}
}

func TestWriterDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		record(t, w, numbered(0, 3))
		time.Sleep(w.config.Flush)
		synctest.Wait()
		wantTopics(t, s, numbered(0, 3))
		record(t, w, numbered(3, 1000))
		time.Sleep(w.config.Flush)
		synctest.Wait()
		wantTopics(t, s, numbered(0, 1000))
		if s.batch > w.config.Batch {
			t.Errorf("a batch of %d rows, want at most %d", s.batch, w.config.Batch)
		}
		if w.Written() != 1000 || w.QueueDepth() != 0 || w.SpillBytes() != 0 || w.Lost() != 0 {
			t.Errorf("written %d, queued %d, spilled %d bytes, lost %d", w.Written(), w.QueueDepth(), w.SpillBytes(), w.Lost())
		}
		refs := map[string]bool{}
		for _, r := range s.rows {
			refs[r.Ref] = true
			if len(r.Ref) != 32 {
				t.Fatalf("ref %q, want 16 bytes in hex", r.Ref)
			}
		}
		if len(refs) != 1000 {
			t.Errorf("%d different refs, want 1000", len(refs))
		}
		got := s.rows[0].Activity
		if got.CreatedAt.IsZero() {
			t.Error("CreatedAt is zero, want now")
		}
		got.CreatedAt = time.Time{}
		if want := activity("0"); got != want {
			t.Errorf("row %+v, want %+v", got, want)
		}
		stop()
		if w.Record(activity("late")) {
			t.Error("Record after Close = true, want false")
		}
	})
}

func TestCloseDeliversWithoutRun(t *testing.T) {
	s := &shelf{}
	w := newWriter(t, shipped(), s)
	record(t, w, numbered(0, 700))
	if err := w.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	wantTopics(t, s, numbered(0, 700))
	if err := w.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v, want nothing to happen", err)
	}
}

// Design D22: a store that is down costs no row and no order, and its rows survive a crash.
func TestOutageGoesThroughTheSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{down: true}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		record(t, w, numbered(0, 500))
		time.Sleep(w.config.Flush)
		synctest.Wait()
		if lines := countLines(t, w.config.SpillPath); lines != 500 {
			t.Errorf("%d rows on disk one flush interval later, want 500", lines)
		}
		info, err := os.Stat(w.config.SpillPath)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("spill file %v (%v), want mode 0600", info, err)
		}
		record(t, w, numbered(500, 800))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		s.set(func(s *shelf) { s.down = false })
		record(t, w, numbered(800, 900))
		time.Sleep(lastRetry + time.Second)
		synctest.Wait()
		wantTopics(t, s, numbered(0, 900))
		if w.SpillBytes() != 0 || countLines(t, w.config.SpillPath) != 0 {
			t.Errorf("%d bytes left in the spill file, want it empty", w.SpillBytes())
		}
		if s.calls > 50 {
			t.Errorf("%d calls of a store that was down for 30 s, want it left alone", s.calls)
		}
		record(t, w, numbered(900, 910))
		stop()
		wantTopics(t, s, numbered(0, 910))
	})
}

// A store that hangs must not keep rows in memory only.
func TestSlowStoreGoesThroughTheSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{delay: 8 * time.Second}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		record(t, w, numbered(0, 100))
		time.Sleep(100 * time.Millisecond)
		record(t, w, numbered(100, 200))
		time.Sleep(w.config.Flush)
		synctest.Wait()
		if lines := countLines(t, w.config.SpillPath); lines != 200 {
			t.Errorf("%d rows on disk while the store hangs, want 200", lines)
		}
		if w.QueueDepth() != 0 {
			t.Errorf("%d rows are in memory only, want none", w.QueueDepth())
		}
		s.set(func(s *shelf) { s.delay = 0 })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantTopics(t, s, numbered(0, 200))
		stop()
	})
}

// Design D22: only a full spill file loses anything, and Full says so before.
func TestFullSpill(t *testing.T) {
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprintf("required %t", required), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := spillConfig(t)
				c.SpillMax, c.Queue, c.Required = 2*maxRow, 100, required
				s := &shelf{down: true}
				w := newWriter(t, c, s)
				stop := run(t, w)
				taken := 0
				for i := 0; w.Record(activity(fmt.Sprint(i))); i++ {
					taken++
					if i%50 == 0 {
						time.Sleep(c.Flush)
					}
					if taken > 10_000 {
						t.Fatal("never full")
					}
				}
				if !w.Full() || w.Lost() != 1 {
					t.Errorf("Full = %t, Lost = %d after a refusal; want true, 1", w.Full(), w.Lost())
				}
				synctest.Wait()
				if w.SpillBytes() > c.SpillMax {
					t.Errorf("%d bytes spilled, want at most %d", w.SpillBytes(), c.SpillMax)
				}
				if required && w.QueueDepth() > 50+1 {
					t.Errorf("%d rows in memory only although required", w.QueueDepth())
				}
				s.set(func(s *shelf) { s.down = false })
				time.Sleep(time.Minute)
				synctest.Wait()
				if w.Full() || !w.Record(activity("after")) {
					t.Error("still full after the store came back")
				}
				stop()
				wantTopics(t, s, append(numbered(0, taken), "after"))
			})
		})
	}
}

// A burst that outruns the loop goes to the spill rather than being lost.
func TestFullQueueOverflowsToTheSpill(t *testing.T) {
	c := spillConfig(t)
	c.Queue = 10
	s := &shelf{}
	w := newWriter(t, c, s)
	record(t, w, numbered(0, 200)) // nobody runs the loop
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(s.topics()); got != 200 {
		t.Errorf("%d rows in the store, want 200", got)
	}
}

func TestWithoutASpillFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := shipped()
		c.Queue = 50
		s := &shelf{down: true}
		w := newWriter(t, c, s)
		stop := run(t, w)
		taken := 0
		for w.Record(activity(fmt.Sprint(taken))) {
			if taken++; taken%10 == 0 {
				time.Sleep(c.Flush)
			}
			if taken > 1000 {
				t.Fatal("never full")
			}
		}
		if !w.Full() {
			t.Error("Full = false after a refusal")
		}
		s.set(func(s *shelf) { s.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		wantTopics(t, s, numbered(0, taken))
	})
}

// FX-35: a row that the store never takes ends in the dead-letter file, not in an endless
// retry, and the others go through.
func TestPoisonIsPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{refuse: func(r Entry) bool { return r.Topic == "13" }}
		w := newWriter(t, spillConfig(t), s)
		stop := run(t, w)
		record(t, w, numbered(0, 40))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := s.topics(); len(got) != 39 || slices.Contains(got, "13") {
			t.Errorf("%d rows in the store, want the 39 good ones", len(got))
		}
		if w.Lost() != 1 || w.SpillBytes() != 0 {
			t.Errorf("Lost = %d, %d bytes spilled; want 1, 0", w.Lost(), w.SpillBytes())
		}
		dead, err := os.ReadFile(w.config.SpillPath + ".dead")
		if err != nil || strings.Count(string(dead), "\n") != 1 || !strings.Contains(string(dead), `"Topic":"13"`) {
			t.Errorf("dead letters %q (%v), want the one row", dead, err)
		}
		stop()
	})
}

// Record copies the strings that it keeps and bounds them (FX-33, D22).
func TestRecordKeepsNothingOfTheRequest(t *testing.T) {
	s := &shelf{}
	w := newWriter(t, shipped(), s)
	request := []byte("agent")
	a := activity("0")
	a.UserAgent = unsafe.String(&request[0], len(request))
	a.IPCountry = "bad\xff\x00"
	a.Topic = strings.Repeat("є", 100_000)
	if !w.Record(a) {
		t.Fatal("Record = false")
	}
	copy(request, "XXXXX")
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.rows[0]
	if got.UserAgent != "agent" || got.IPCountry != "bad??" || len(got.Topic) > maxKept {
		t.Errorf("kept %q, %q, %d bytes of topic", got.UserAgent, got.IPCountry, len(got.Topic))
	}
}

func TestCloseGivesUpWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := spillConfig(t)
		s := &shelf{delay: time.Hour}
		w := newWriter(t, c, s)
		record(t, w, numbered(0, 20))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("Close: %v, want the rows spilled", err)
		}
		if lines := countLines(t, c.SpillPath); lines != 20 {
			t.Errorf("%d rows on disk, want 20", lines)
		}
		w = newWriter(t, shipped(), s)
		record(t, w, numbered(0, 20))
		if err := w.Close(ctx); err == nil || w.Lost() != 20 {
			t.Errorf("Close with nowhere to put 20 rows: %v, lost %d; want an error and 20", err, w.Lost())
		}
	})
}

// Many writers, a flapping store: every row arrives once.
func TestNothingIsLostUnderLoad(t *testing.T) {
	c := spillConfig(t)
	c.Queue, c.Batch, c.Flush = 64, 16, 10*time.Millisecond
	s := &shelf{}
	w := newWriter(t, c, s)
	stop := run(t, w)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				w.Record(activity(fmt.Sprintf("%d-%d", g, i)))
				if i%100 == 0 {
					s.set(func(s *shelf) { s.down = !s.down })
				}
			}
		})
	}
	wg.Wait()
	s.set(func(s *shelf) { s.down = false })
	stop()
	got := s.topics()
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != 2000 || w.Lost() != 0 {
		t.Errorf("%d different rows arrived, %d lost; want 2000 and 0", n, w.Lost())
	}
}

func TestConfigValidate(t *testing.T) {
	if err := shipped().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := Config{SpillMax: 1, DenialsPerMinute: -1}.Validate()
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != 4 {
		t.Errorf("%d problems listed, want 4: %v", n, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	w := newWriter(b, shipped(), &shelf{})
	a := activity("users")
	a.CreatedAt = time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if !w.Record(a) { // nobody runs the loop
			w.queue = w.queue[:0]
		}
	}
	w.queue = nil
	_ = w.Close(b.Context())
}
