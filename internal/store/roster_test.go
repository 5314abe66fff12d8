package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/roster"
)

// manyUsers makes n with a profile each: one of 1,000 has the role staff or the state locked, is of level
// 7, has a second factor, or comes from Malta.
func manyUsers(t testing.TB, db *DB, n int) {
	t.Helper()
	series := fmt.Sprintf(`WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %d)`, n)
	for _, text := range []string{
		series + `
		INSERT INTO users (uid, email, username, password_digest, role, state, level, otp, created_at, updated_at)
		SELECT 'ID' || n, 'user' || n || '@example.com', CASE WHEN n % 10 = 0 THEN 'name' || n END, 'x',
		       CASE WHEN n % 1000 = 1 THEN 'staff' ELSE 'member' END, CASE WHEN n % 1000 = 2 THEN 'locked' ELSE 'active' END,
		       CASE WHEN n % 1000 = 3 THEN 7 ELSE n % 3 END, n % 1000 = 4,
		       1700000000000000 + CAST(n AS BIGINT) * 1000000, 1800000000000000 + CAST(n AS BIGINT) * 1000000
		FROM series`,
		`UPDATE users SET referral_id = 1 WHERE id % 1000 = 6`,
		`INSERT INTO profiles (uuid, user_id, country, state, created_at, updated_at)
		 SELECT uid, id, CASE WHEN id % 1000 = 5 THEN 'MLT' ELSE 'GBR' END, 'drafted', 0, 0 FROM users`,
	} {
		if _, err := db.w.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	analyze := []string{`ANALYZE`}
	if db.pg != nil {
		analyze = []string{`VACUUM ANALYZE users`, `VACUUM ANALYZE profiles`}
	}
	for _, text := range analyze {
		if _, err := db.w.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// selective are queries by each filter that few users match.
func selective() map[string]roster.Query {
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	return map[string]roster.Query{
		"id": {ID: new(int64(77))}, "uid": {UID: new("ID77")}, "email": {Email: new("user77@example.com")},
		"role": {Role: new("staff")}, "state": {State: new("locked")}, "level": {Level: new(7)}, "otp": {OTP: new(true)},
		"country": {Country: new("MLT")}, "country and state": {Country: new("mlt"), State: new("active")},
		"created": {From: second(1700000100), To: second(1700000200)},
		"updated": {Updated: true, From: second(1800000100), To: second(1800000200)},
		"several": {Role: new("staff"), State: new("active"), Level: new(1)},
	}
}

// ordered are queries of all in each order.
func ordered() map[string]roster.Query {
	all := map[string]roster.Query{}
	for _, by := range roster.Orders() {
		all["by "+by], all["by "+by+", descending"] = roster.Query{OrderBy: by}, roster.Query{OrderBy: by, Desc: true}
	}
	return all
}

// Every filter and every order of the list of users is by an index, wherever the page lies.
func TestRosterUsesIndexes(t *testing.T) {
	db := openRawPostgres(t)
	const n = 20_000
	manyUsers(t, db, n)
	explain := func(name, text string, args []any) {
		t.Helper()
		plan, err := list(t.Context(), db.r, value[string], `EXPLAIN `+text, args...)
		if err != nil {
			t.Fatal(name, err)
		}
		if whole := strings.Join(plan, "\n"); strings.Contains(whole, "Seq Scan on users") || strings.Contains(whole, "Seq Scan on profiles") {
			t.Errorf("%s:\n%s", name, whole)
		}
	}
	for name, q := range selective() {
		q.OrderBy = "id"
		f, counted := rosterFilter(q)
		rest, args := rosterPage(f, roster.Query{OrderBy: "id", Limit: 10}, n/1000)
		explain(name, users.query(rest), args)
		if !counted {
			explain(name+", counted", `SELECT count(*) FROM users u`+f.where(), f.args)
		}
	}
	explain("pending documents", users.query(applicants+` ORDER BY d.updated_at, u.id LIMIT 100`), nil)
	for name, q := range ordered() {
		for _, offset := range []int{0, 3000, n - 5} {
			q.Limit, q.Offset = 100, offset
			rest, args := rosterPage(filter{}, q, n)
			if offset == 3000 { // a part of the index is read: the planner may find the table as cheap
				continue
			}
			explain(fmt.Sprintf("%s from %d", name, offset), users.query(rest), args)
		}
	}
}

// Totals by role, state and level come from the counters.
func TestRosterTotalsOfCounters(t *testing.T) {
	for _, q := range []roster.Query{{}, {Role: new("a")}, {State: new("a"), Level: new(1)}, {Role: new("a"), State: new("b"), Level: new(2)}} {
		if _, counted := rosterFilter(q); !counted {
			t.Errorf("%+v: not of the counters", q)
		}
	}
	for name, q := range selective() {
		if _, counted := rosterFilter(q); counted != slices.Contains([]string{"role", "state", "level", "several"}, name) {
			t.Errorf("%s: of the counters: %v", name, counted)
		}
	}
}

// However users come, change and go, and whenever the changes are summed up, the counters equal a
// count.
func TestUserCountsAreTrue(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		r := rand.New(rand.NewPCG(1, 2))
		one := func(of ...string) string { return of[r.IntN(len(of))] }
		for step := range 120 {
			id := r.IntN(40)
			var err error
			switch r.IntN(6) {
			case 0, 1:
				_, err = db.w.ExecContext(t.Context(), `
					INSERT INTO users (uid, email, password_digest, role, state, level, created_at, updated_at)
					VALUES ($1, $1, 'x', $2, $3, $4, 0, 0) ON CONFLICT DO NOTHING`, fmt.Sprint(id), one("a", "b"), one("x", "y"), int64(r.IntN(2)))
			case 2:
				_, err = db.w.ExecContext(t.Context(), `UPDATE users SET role = $1, level = $2 WHERE uid <= $3`, one("a", "b"), int64(r.IntN(2)), fmt.Sprint(id))
			case 3:
				_, err = db.w.ExecContext(t.Context(), `UPDATE users SET state = $1, email = email || 'x' WHERE uid = $2`, one("x", "y"), fmt.Sprint(id))
			case 4:
				_, err = db.w.ExecContext(t.Context(), `DELETE FROM users WHERE uid = $1`, fmt.Sprint(id))
			case 5:
				_, err = db.foldUserCounts(t.Context())
			}
			if err != nil {
				t.Fatal(step, err)
			}
			const group = ` GROUP BY role, state, level HAVING `
			counted := column(t, db, `SELECT role || state || level || ' ' || CAST(sum(n) AS BIGINT) FROM user_counts`+group+`sum(n) <> 0 ORDER BY 1`)
			want := column(t, db, `SELECT role || state || level || ' ' || count(*) FROM users`+group+`count(*) > 0 ORDER BY 1`)
			if !slices.Equal(counted, want) {
				t.Fatalf("step %d: counters %q, users %q", step, counted, want)
			}
		}
		if _, err := db.foldUserCounts(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := column(t, db, `SELECT CAST(count(*) AS TEXT) FROM user_counts`); len(n) != 1 || len(n[0]) > 1 {
			t.Errorf("%v rows after summing up, want one of each kind", n)
		}
	})
}

// Pages of any size from any place, by any filter and in any order, are parts of the whole list.
func TestRosterPagesAreTheList(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		manyUsers(t, db, 3000)
		all := ordered()
		for name, q := range selective() {
			q.OrderBy = roster.Orders()[rand.IntN(len(roster.Orders()))]
			all[name] = q
		}
		for name, q := range all {
			whole, total, err := db.Roster(t.Context(), q)
			if err != nil || total != len(whole) || total == 0 {
				t.Fatalf("%s: %d of %d, %v", name, len(whole), total, err)
			}
			for range 5 {
				q.Limit, q.Offset = 1+rand.IntN(len(whole)+10), rand.IntN(len(whole)+20)
				page, n, err := db.Roster(t.Context(), q)
				from := min(q.Offset, len(whole))
				want := whole[from:min(from+q.Limit, len(whole))]
				if err != nil || n != total || !slices.EqualFunc(page, want, func(a, b account.User) bool { return a.ID == b.ID }) {
					t.Fatalf("%s: %d from %d: got %d of %d, %v; want %d of %d", name, q.Limit, q.Offset, len(page), n, err, len(want), total)
				}
			}
		}
	})
}

// A text that no column can hold matches nobody.
func TestRosterOfUnstorableText(t *testing.T) {
	bothEngines(t, func(t *testing.T, db *DB) {
		manyUsers(t, db, 10)
		for _, text := range []string{"\x00", "\xff"} {
			for _, q := range []roster.Query{{UID: &text}, {Email: &text}, {Role: &text}, {State: &text}, {Country: &text}} {
				all, total, err := db.Roster(t.Context(), q)
				if err != nil || total != 0 || len(all) != 0 {
					t.Errorf("%q: %d of %d, %v", text, len(all), total, err)
				}
			}
		}
	})
}
