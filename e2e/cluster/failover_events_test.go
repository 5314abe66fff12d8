package cluster_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"barong/e2e/cluster"
	"barong/internal/testenv"
)

// A follower of events counts those that a durable queue gets, by the user that became banned.
type follower struct {
	mu    sync.Mutex
	heard map[string]int
}

// follow binds the queue and counts until the test ends.
func follow(t *testing.T, broker *testenv.Rabbit) *follower {
	t.Helper()
	conn, err := broker.Dial()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	must(t, err)
	const exchange, queue = "barong.events.model", "drill"
	must(t, ch.ExchangeDeclare(exchange, amqp091.ExchangeDirect, false, false, false, false, nil))
	_, err = ch.QueueDeclare(queue, true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind(queue, "user.updated", exchange, false, nil))
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	must(t, err)
	l := &follower{heard: map[string]int{}}
	go func() {
		for d := range deliveries {
			if uid := banned(d.Body); uid != "" {
				l.mu.Lock()
				l.heard[uid]++
				l.mu.Unlock()
			}
		}
	}()
	return l
}

// banned is the user of an event that says so, else "". The tests of e2e verify signatures.
func banned(message []byte) string {
	var m struct{ Payload string }
	var claims struct {
		Event struct{ Record struct{ UID, State string } }
	}
	if json.Unmarshal(message, &m) != nil {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(m.Payload)
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Event.Record.State != "banned" {
		return ""
	}
	return claims.Event.Record.UID
}

// missing are the grants whose user's event has not come.
func (l *follower) missing(grants []*cluster.Grant) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range grants {
		if l.heard[g.UID] == 0 {
			n++
		}
	}
	return n
}

// TestFailoverLosesNoEvents: a replica has published events and not yet removed them when the
// primary that has them is lost. The promoted standby gives their ids to other events, which that
// replica then finds. All of these reach the broker, and the outbox ends up empty.
func TestFailoverLosesNoEvents(t *testing.T) {
	broker := testenv.StartRabbit(t, testenv.RabbitConfig{})
	f := cluster.StartFailover(t, barong(t), cluster.FailoverConfig{Env: []string{"BARONG_EVENT_API_RABBITMQ_URL=" + broker.URL()}})
	heard := follow(t, broker)
	// A machine that stands still for seconds lets the lease of the sender run out meanwhile, and
	// another process sends: that is right, and tries nothing.
	for range 4 {
		if givenAgain(t, f, heard) {
			return
		}
	}
	t.Fatal("no round met the case")
}

// givenAgain reports whether the sender found events of the new history under the ids of events
// that it had delivered in the lost one.
func givenAgain(t *testing.T, f *cluster.Failover, heard *follower) bool {
	const each = 60 // sequences may go on up to 32 later
	ctx := t.Context()
	f.Follow()
	var lost, kept []*cluster.Grant
	for range each {
		lost, kept = append(lost, f.User(t)), append(kept, f.User(t))
	}
	first := f.User(t)
	ban := func(on *cluster.Replica, grants []*cluster.Grant) {
		for part := range slices.Chunk(grants, each/6) {
			var all sync.WaitGroup
			for _, g := range part {
				all.Go(func() { f.Insist(func() error { return f.SetState(ctx, on, g, "banned") }) })
			}
			all.Wait()
		}
	}
	ban(f.B, []*cluster.Grant{first})
	until(t, "events come", 30*time.Second, func() bool { return heard.missing([]*cluster.Grant{first}) == 0 })
	var sender *cluster.Replica
	until(t, "one replica has the lease anew", 30*time.Second, func() bool {
		sender = f.Sender(ctx)
		return sender != nil && f.LeaseLeft(ctx) > cluster.EventLease-500*time.Millisecond
	})
	var other *cluster.Replica
	for _, r := range f.Replicas() {
		if r != sender {
			other = r
		}
	}
	holder := f.LeaseHolder(ctx)

	f.Followed()
	f.Stream.Freeze()
	must(t, f.HoldDeletes(ctx))
	// It reads all of them at once, as it reads no more before it has removed those it sent.
	must(t, sender.Pause())
	defer func() { _ = sender.Resume() }() // also where it was not come to
	ban(other, lost)
	must(t, sender.Resume())
	until(t, "lost events are published", 20*time.Second, func() bool { return heard.missing(lost) == 0 })
	published := f.Outbox(ctx)
	must(t, sender.Pause())
	f.Fail(false)
	f.Promote(nil)
	ban(other, kept)
	waiting := f.Outbox(ctx)
	same := 0
	for id, uuid := range waiting {
		if before, ok := published[id]; ok && before != uuid {
			same++
		}
	}
	met := f.LeaseHolder(ctx) == holder && same > 0
	must(t, sender.Resume())

	until(t, "the outbox is empty", 60*time.Second, func() bool { return len(f.Outbox(ctx)) == 0 })
	time.Sleep(500 * time.Millisecond) // the last of it is on its way
	if n := heard.missing(kept); n > 0 {
		t.Errorf("%d of %d events never came; %d of them had ids of events that were delivered before", n, each, same)
	}
	report(t, "%d events of a lost history were published and not removed; %d of the %d afterwards had their ids, and %d never came",
		len(published), same, len(waiting), heard.missing(kept))
	return met
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
