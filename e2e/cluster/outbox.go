package cluster

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
)

// EventLease is how long the sender of events may go on without an answer of the database.
const EventLease = 15 * time.Second

// sentToBroker matches the metric of a process that has sent events to the broker.
var sentToBroker = regexp.MustCompile(`(?m)^barong_outbox_sent_total\{destination="broker"\} [1-9]`)

// Sender is the replica that has sent events to the broker, if it is one alone.
func (f *Failover) Sender(ctx context.Context) (sender *Replica) {
	f.t.Helper()
	for _, r := range f.replicas {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Ops+"/metrics", nil)
		must(f.t, err)
		resp, err := client.Do(req)
		must(f.t, err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(f.t, err)
		if !sentToBroker.Match(text) {
			continue
		}
		if sender != nil {
			return nil
		}
		sender = r
	}
	return sender
}

// LeaseHolder is the name of the process that sends events to the broker, as it calls itself.
func (f *Failover) LeaseHolder(ctx context.Context) (holder string) {
	f.t.Helper()
	f.scan(ctx, &holder, `SELECT holder FROM leases WHERE name = 'events broker'`)
	return holder
}

// LeaseLeft is for how long the lease of that process still is.
func (f *Failover) LeaseLeft(ctx context.Context) time.Duration {
	f.t.Helper()
	var us int64
	f.scan(ctx, &us, `SELECT expires_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM leases WHERE name = 'events broker'`)
	return time.Duration(us) * time.Microsecond
}

// HoldDeletes has every removal from the outbox wait for a minute, on this primary alone if its
// stream is frozen.
func (f *Failover) HoldDeletes(ctx context.Context) error {
	for _, text := range []string{
		`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$`,
		`CREATE TRIGGER hold BEFORE DELETE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION hold()`,
	} {
		if err := f.Postgres.Exec(ctx, "postgres", text); err != nil {
			return err
		}
	}
	return nil
}

// Outbox are the events that wait for the broker: their uuids, by id.
func (f *Failover) Outbox(ctx context.Context) map[int64]string {
	f.t.Helper()
	conn, err := pgx.Connect(ctx, f.Postgres.URL("postgres"))
	must(f.t, err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT id, uuid FROM outbox WHERE destination = 'broker'`)
	must(f.t, err)
	all := map[int64]string{}
	var id int64
	var uuid string
	_, err = pgx.ForEachRow(rows, []any{&id, &uuid}, func() error {
		all[id] = uuid
		return nil
	})
	must(f.t, err)
	return all
}

// scan reads the one value of a query from the primary.
func (f *Failover) scan(ctx context.Context, to any, text string) {
	f.t.Helper()
	conn, err := pgx.Connect(ctx, f.Postgres.URL("postgres"))
	must(f.t, err)
	defer conn.Close(ctx)
	must(f.t, conn.QueryRow(ctx, text).Scan(to))
}
