package store

import (
	"bytes"
	"cmp"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/roster"
)

// manyLabels gives every user of manyUsers a verified address, and of each thousand one a document that waits
// and one a public label.
func manyLabels(t testing.TB, db *DB) {
	t.Helper()
	for _, text := range []string{
		`INSERT INTO labels (user_id, key, value, scope, created_at, updated_at)
		 SELECT id, 'email', 'verified', 'private', created_at, updated_at FROM users`,
		`INSERT INTO labels (user_id, key, value, scope, created_at, updated_at)
		 SELECT id, 'document', 'pending', 'private', created_at, updated_at FROM users WHERE id % 1000 = 7`,
		`INSERT INTO labels (user_id, key, value, scope, created_at, updated_at)
		 SELECT id, 'theme', 'dark', 'public', created_at, updated_at FROM users WHERE id % 1000 = 8`,
		map[bool]string{true: `VACUUM ANALYZE labels`, false: `ANALYZE`}[db.pg != nil],
	} {
		if _, err := db.w.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// manyDeeds writes an activity of each user of manyUsers: of each thousand one about another user by
// staff, one of a rare topic, one failed sign-in; every day has 50,000.
func manyDeeds(t testing.TB, db *DB) {
	t.Helper()
	for _, text := range []string{
		`INSERT INTO activities (ref, actor_uid, actor_kind, actor_ref, target_uid, category, ip, user_agent, topic, action, result, day, created_at)
		 SELECT 'r' || id, CASE WHEN id % 1000 < 2 THEN 'ID' || (id % 50 + 1) ELSE uid END, 'user', uid, CASE WHEN id % 1000 < 2 THEN uid END,
		        CASE WHEN id % 1000 < 2 THEN 'admin' ELSE 'user' END, '10.0.0.1', 'Mozilla/5.0 Firefox/140.0',
		        CASE WHEN id % 1000 = 0 THEN 'users' WHEN id % 1000 = 1 THEN 'labels' WHEN id % 1000 = 2 THEN 'account' ELSE 'session' END,
		        CASE WHEN id % 1000 < 2 THEN 'update' WHEN id % 1000 = 2 THEN 'signup' ELSE 'login' END, CASE WHEN id % 1000 = 3 THEN 'failed' ELSE 'succeed' END,
		        '2026-11-' || (10 + CAST(id / 50000 AS BIGINT)), created_at
		 FROM users`,
		map[bool]string{true: `VACUUM ANALYZE activities`, false: `ANALYZE`}[db.pg != nil],
	} {
		if _, err := db.w.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// heldBy are selective queries of the holders of a label, by each filter.
func heldBy() map[string]account.LabelQuery {
	return map[string]account.LabelQuery{
		"key":            {Key: "document"},
		"key and value":  {Key: "document", Value: "pending"},
		"private":        {Key: "document", Value: "pending", Scope: account.ScopePrivate},
		"public":         {Key: "theme", Scope: account.ScopePublic},
		"a time":         {Key: "document", From: time.Unix(1700000100, 0), To: time.Unix(1700010000, 0)},
		"time of change": {Key: "theme", Updated: true, From: time.Unix(1800000100, 0), To: time.Unix(1800010000, 0)},
	}
}

// journals are selective queries of the activities of staff and of users, by each filter.
func journals() map[string]audit.JournalQuery {
	return map[string]audit.JournalQuery{
		"admin":             {Category: audit.CategoryAdmin},
		"admin, topic":      {Category: audit.CategoryAdmin, Topic: new("labels")},
		"admin, action":     {Category: audit.CategoryAdmin, Action: new("update")},
		"admin, actor":      {Category: audit.CategoryAdmin, ActorUID: new("ID2")},
		"admin, address":    {Category: audit.CategoryAdmin, ActorEmail: new("user2@example.com")},
		"admin, target":     {Category: audit.CategoryAdmin, TargetUID: new("ID1000")},
		"admin, a time":     {Category: audit.CategoryAdmin, From: time.Unix(1700000100, 0), To: time.Unix(1700001500, 0)},
		"user, topic":       {Category: audit.CategoryUser, Topic: new("account")},
		"user, both":        {Category: audit.CategoryUser, Topic: new("account"), Action: new("signup")},
		"user, actor":       {Category: audit.CategoryUser, ActorUID: new("ID77")},
		"user, address":     {Category: audit.CategoryUser, ActorEmail: new("user77@example.com")},
		"user, a time":      {Category: audit.CategoryUser, From: time.Unix(1700000100, 0), To: time.Unix(1700000200, 0)},
		"user, actor, more": {Category: audit.CategoryUser, ActorUID: new("ID77"), Topic: new("session"), Action: new("login")},
	}
}

// The lists of label holders, the activities that staff read and the numbers of the day find their rows by
// indexes, and so do the counts of those that match.
func TestStaffQueriesUseIndexes(t *testing.T) {
	db := openRawPostgres(t)
	manyUsers(t, db, 20_000)
	manyLabels(t, db)
	manyDeeds(t, db)
	explain := func(name, text string, args []any) {
		t.Helper()
		plan, err := list(t.Context(), db.r, value[string], `EXPLAIN `+text, args...)
		if err != nil {
			t.Fatal(name, err)
		}
		if whole := strings.Join(plan, "\n"); strings.Contains(whole, "Seq Scan on") {
			t.Errorf("%s:\n%s", name, whole)
		}
	}
	for name, q := range heldBy() {
		f := holders(q)
		rest, args := holderPage(f, 10, 10)
		explain("label holders by "+name, users.query(rest), args)
		explain("label holders by "+name+", counted", holderCount+f.where(), f.args)
	}
	for name, q := range journals() {
		f := journalFilter(q)
		rest, args := activityPage(f, 10, 10, 40)
		explain("journal: "+name, activities.query(rest), args)
		explain("journal: "+name+", counted", `SELECT count(*) FROM activities a`+f.where(), f.args)
	}
	explain("pending documents, counted", pendingCount, nil)
	day := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	for name, series := range map[string]struct {
		topic   string
		actions []string
		result  string
	}{
		"sign-ups": {"account", []string{"signup"}, "succeed"}, "failures": {"session", signInActions, "failed"},
	} {
		text, args := dayCount(series.topic, series.actions, series.result, day, day.Add(24*time.Hour))
		explain(name, text, args)
	}
	text, args := dayCount("session", signInActions, "succeed", day.Add(20*24*time.Hour), time.Time{}) // today: of all days a few
	explain("sign-ins of a day", text, args)
}

// residentMiB is the memory of this process.
func residentMiB(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	kib, err := strconv.ParseFloat(string(bytes.Fields(after)[0]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// crowd is how many users BARONG_CROWD asks for, such as 1000000; 2000 if it says nothing.
func crowd() int {
	n, _ := strconv.Atoi(os.Getenv("BARONG_CROWD"))
	return cmp.Or(n, 2000)
}

// With a crowd, each list answers its first page within 50 ms in 95 of 100 runs by every selective filter and in every
// order, and paging costs no memory.
func TestListsOfACrowd(t *testing.T) {
	n := crowd()
	db := openRawPostgres(t)
	manyUsers(t, db, n)
	manyLabels(t, db)
	manyDeeds(t, db)
	t.Logf("%d users are there", n)
	measure := func(name string, bound time.Duration, f func() (total int, err error)) {
		t.Helper()
		took := make([]time.Duration, 100)
		total := 0
		for i := range took {
			start := time.Now()
			n, err := f()
			took[i], total = time.Since(start), n
			if err != nil {
				t.Fatal(name, err)
			}
		}
		slices.Sort(took)
		t.Logf("%-36s %7d rows  p50 %8v  p95 %8v", name, total, took[50].Round(10*time.Microsecond), took[95].Round(10*time.Microsecond))
		if bound > 0 && took[95] > bound {
			t.Errorf("%s: p95 is %v, want at most %v", name, took[95], bound)
		}
	}
	const bar = 50 * time.Millisecond
	page := func(q roster.Query) func() (int, error) {
		q.Limit = 100
		return func() (int, error) {
			_, total, err := db.Roster(t.Context(), q)
			return total, err
		}
	}
	for name, q := range selective() {
		q.OrderBy = "id"
		measure("users by "+name, bar, page(q))
	}
	for name, q := range ordered() {
		measure("users "+name, bar, page(q))
	}
	measure("users, everybody active", bar, page(roster.Query{State: new("active"), OrderBy: "id"}))
	measure("users with waiting documents", bar, func() (int, error) {
		_, total, err := db.Applicants(t.Context(), roster.Query{Limit: 100})
		return total, err
	})
	for name, q := range heldBy() {
		q.Limit = 100
		measure("label holders by "+name, bar, func() (int, error) {
			_, total, err := db.LabelHolders(t.Context(), q)
			return total, err
		})
	}
	for name, q := range journals() {
		q.Limit = 100
		measure("journal: "+name, bar, func() (int, error) {
			_, total, err := db.Journal(t.Context(), q)
			return total, err
		})
	}
	day := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	measure("numbers of a day, then of all", 0, func() (int, error) {
		numbers, err := db.Numbers(t.Context(), day, day.Add(24*time.Hour))
		return numbers.SignIns["2026-11-10"], err
	})

	pages := min(1000, n/10)
	walk := func(pages int) (most float64) {
		for i := range pages {
			q := roster.Query{OrderBy: roster.Orders()[i%len(roster.Orders())], Limit: 100, Offset: i * 100 % n}
			if _, _, err := db.Roster(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			most = max(most, residentMiB(t))
		}
		return most
	}
	walk(20) // statements are prepared, buffers are there
	debug.FreeOSMemory()
	before := residentMiB(t)
	most := walk(pages)
	t.Logf("%d pages of 100 users: resident %.1f MiB, at most %.1f", pages, before, most)
	if grown := most - before; grown > 32 && pages == 1000 { // fewer say little, and the race detector needs more
		t.Errorf("memory grew by %.1f MiB, want at most 32", grown)
	}
}
