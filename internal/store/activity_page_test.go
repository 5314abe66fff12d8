package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/audit"
)

// manyActivities writes n, every other one of one user's.
func manyActivities(t testing.TB, db *DB, n int) {
	t.Helper()
	series := fmt.Sprintf(`WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %d)`, n)
	_, err := db.w.ExecContext(t.Context(), series+`
		INSERT INTO activities (ref, actor_uid, actor_kind, actor_ref, category, ip, user_agent, topic, action, result, day, created_at)
		SELECT 'r' || n, CASE WHEN n % 2 = 0 THEN 'ID' || n ELSE 'ME' END, 'user', 'x', 'user', '10.0.0.1', 'Mozilla/5.0 Firefox/140.0',
		       CASE WHEN n % 3 = 0 THEN 'session' ELSE 'otp' END, 'login', CASE WHEN n % 5 = 0 THEN 'failed' ELSE 'succeed' END,
		       '2026-11-21', 1700000000000000 + CAST(n / 7 AS BIGINT) * 1000000
		FROM series`)
	if err == nil {
		_, err = db.w.ExecContext(t.Context(), map[bool]string{true: `VACUUM ANALYZE activities`, false: `ANALYZE`}[db.pg != nil])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A user with 100,000 activities pages through them by the index, and a page in the middle or at the end
// costs at most three times the first.
func TestActivitiesPageByIndex(t *testing.T) {
	db := openRawPostgres(t)
	const mine, size = 100_000, 100
	manyActivities(t, db, 2*mine)
	for name, add := range map[string]func(*filter){
		"all":        func(*filter) {},
		"one topic":  func(f *filter) { f.match("a.topic", "session") },
		"one result": func(f *filter) { f.match("a.result", "failed") },
		"a time":     func(f *filter) { f.between("a.created_at", time.Unix(1700000000, 0), time.Unix(1800000000, 0)) },
	} {
		for _, offset := range []int{0, 7 * size, 8000} {
			var f filter
			f.match("a.actor_uid", "ME")
			add(&f)
			rest, args := activityPage(f, size, offset, 16_000) // the second half from the end
			plan, err := list(t.Context(), db.r, value[string], `EXPLAIN `+activities.query(rest), args...)
			if err != nil {
				t.Fatal(err)
			}
			_, skipping, _ := strings.Cut(strings.Join(plan, "\n"), "Limit")
			if !strings.Contains(skipping, "using activities_") || strings.Contains(skipping, "Seq Scan") || strings.Contains(skipping, "Sort") {
				t.Errorf("%s from %d:\n%s", name, offset, strings.Join(plan, "\n"))
			}
		}
	}
	pages := []int{1, 500, 1000}
	took := make([]time.Duration, len(pages))
	for range 9 { // alternately: the least of each is the cost on a machine with nothing else to do
		for i, page := range pages {
			start := time.Now()
			rows, total, err := db.Activities(t.Context(), audit.Query{ActorUID: "ME", Limit: size, Offset: (page - 1) * size})
			spent := time.Since(start)
			if err != nil || len(rows) != size || total != mine {
				t.Fatalf("page %d: %d rows of %d, %v", page, len(rows), total, err)
			}
			if took[i] == 0 || spent < took[i] {
				took[i] = spent
			}
		}
	}
	t.Logf("pages %v took %v", pages, took)
	for i, page := range pages[1:] {
		if took[i+1] > 3*took[0] {
			t.Errorf("page %d took %v, the first %v; want at most three times that", page, took[i+1], took[0])
		}
	}
}

// Pages of any size from any place are parts of the whole list, in its order.
func TestActivityPagesAreTheList(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		manyActivities(t, db, 400)
		for _, q := range []audit.Query{
			{}, {ActorUID: "ME"}, {ActorUID: "ME", Topic: "session"}, {ActorUID: "ME", Result: "failed"}, {Category: "user"},
			{ActorUID: "ME", From: time.Unix(1700000010, 0), To: time.Unix(1700000030, 0)}, {ActorUID: "nobody"},
		} {
			all, total, err := db.Activities(t.Context(), q)
			if err != nil || total != len(all) {
				t.Fatalf("%+v: %d of %d, %v", q, len(all), total, err)
			}
			if !slices.IsSortedFunc(all, func(a, b audit.Activity) int {
				return b.CreatedAt.Compare(a.CreatedAt)*2 + int(min(max(b.ID-a.ID, -1), 1))
			}) {
				t.Fatalf("%+v: not newest first", q)
			}
			for range 60 {
				q.Limit, q.Offset = 1+rand.IntN(len(all)+10), rand.IntN(len(all)+20)
				page, n, err := db.Activities(t.Context(), q)
				from := min(q.Offset, len(all))
				want := all[from:min(from+q.Limit, len(all))]
				if err != nil || n != total || len(page) != len(want) || !slices.Equal(ids(page), ids(want)) {
					t.Fatalf("%d from %d of %d: got %v, %d, %v; want %v", q.Limit, q.Offset, total, ids(page), n, err, ids(want))
				}
			}
		}
	})
}

func ids(all []audit.Activity) (out []int64) {
	for _, a := range all {
		out = append(out, a.ID)
	}
	return out
}
