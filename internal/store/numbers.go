package store

import (
	"context"
	"time"

	"barong/internal/chronicle"
)

var _ chronicle.Counter = (*DB)(nil)

// Numbers implements chronicle.Counter, each series from its own range of one index.
func (q queries) Numbers(ctx context.Context, from, to time.Time) (n chronicle.Numbers, err error) {
	err = q.together(ctx, "count activities", func(q querier) error {
		for _, series := range []struct {
			by      *map[string]int
			topic   string
			actions []string
			result  string
		}{
			{&n.SignUps, "account", []string{"signup"}, "succeed"},
			{&n.SignIns, "session", signInActions, "succeed"},
			{&n.Failures, "session", signInActions, "failed"},
		} {
			if *series.by, err = daysOf(ctx, q, series.topic, series.actions, series.result, from, to); err != nil {
				return err
			}
		}
		return q.QueryRowContext(ctx, pendingCount).Scan(&n.Pending)
	})
	return n, err
}

const pendingCount = `SELECT count(*) FROM labels WHERE scope = 'private' AND key = 'document' AND value = 'pending'`

// signInActions are those by which a session opens, by the proofs that it took.
var signInActions = []string{"login", "login::2fa", "login::passkey"}

func daysOf(
	ctx context.Context, q querier, topic string, actions []string, result string, from, to time.Time,
) (map[string]int, error) {
	text, args := dayCount(topic, actions, result, from, to)
	type count struct {
		day string
		n   int
	}
	all, err := list(ctx, q, func(row scanner) (c count, err error) { return c, row.Scan(&c.day, &c.n) }, text, args...)
	days := make(map[string]int, len(all))
	for _, c := range all {
		days[c.day] = c.n
	}
	return days, err
}

// dayCount is the query of daysOf.
func dayCount(topic string, actions []string, result string, from, to time.Time) (text string, args []any) {
	var f filter
	f.add("topic = $%d", topic)
	f.in("action", actions)
	f.add("result = $%d", result)
	if !from.IsZero() { // the index finds rows by the day
		f.add("day >= $%d", from.UTC().Format(time.DateOnly))
	}
	if !to.IsZero() {
		f.add("day <= $%d", to.UTC().Format(time.DateOnly))
	}
	f.between("created_at", from, to)
	return `SELECT day, count(*) FROM activities` + f.where() + ` GROUP BY day`, f.args
}
