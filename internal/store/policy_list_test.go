package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"barong/policy/editor"
)

// Lists of many policy rows are by an index for each filter that few rows match, and in each order that
// is not one of few words.
func TestPolicyListsUseIndexes(t *testing.T) {
	db := openRawPostgres(t)
	const n = 20_000
	series := fmt.Sprintf(`WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %d)`, n)
	for _, text := range []string{
		series + `
		INSERT INTO permissions (action, role, verb, path, topic, created_at, updated_at)
		SELECT 'ACCEPT', CASE WHEN n % 1000 = 1 THEN 'staff' ELSE 'member' END, 'GET', 'api/v2/x' || n,
		       CASE WHEN n % 1000 = 2 THEN 'topic' ELSE '' END, CAST(n AS BIGINT) * 1000000, CAST(n AS BIGINT) * 1000000
		FROM series`,
		series + `
		INSERT INTO restrictions (category, scope, value, code, created_at, updated_at)
		SELECT CASE WHEN n % 1000 = 1 THEN 'whitelist' ELSE 'blacklist' END, 'ip', '10.0.' || n / 256 || '.' || n % 256, 401,
		       CAST(n AS BIGINT) * 1000000, CAST(n AS BIGINT) * 1000000
		FROM series`,
		`VACUUM ANALYZE permissions`, `VACUUM ANALYZE restrictions`,
	} {
		if _, err := db.w.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	explain := func(name, text string, args []any) {
		t.Helper()
		plan, err := list(t.Context(), db.r, value[string], `EXPLAIN `+text, args...)
		if err != nil {
			t.Fatal(name, err)
		}
		if whole := strings.Join(plan, "\n"); strings.Contains(whole, "Seq Scan") {
			t.Errorf("%s:\n%s", name, whole)
		}
	}
	for name, q := range map[string]editor.PermissionQuery{
		"id": {ID: new(int64(77))}, "role": {Role: new("staff")}, "topic": {Topic: new("topic")}, "path": {Path: new("api/v2/x777")},
	} {
		f := permissionFilter(q)
		explain("permissions by "+name, permissions.query(f.where()+` ORDER BY id`), f.args)
		explain("number of permissions by "+name, `SELECT count(*) FROM permissions`+f.where(), f.args)
	}
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	for name, q := range map[string]editor.RestrictionQuery{
		"id": {ID: new(int64(77))}, "value": {Values: []string{"10.0.1.1", "x"}}, "category": {Category: "whitelist"},
		"created": {From: second(100), To: second(200)}, "updated": {Updated: true, From: second(100), To: second(200)},
	} {
		f := restrictionFilter(q)
		explain("restrictions by "+name, restrictions.query(f.where()+` ORDER BY id`), f.args)
		explain("number of restrictions by "+name, `SELECT count(*) FROM restrictions`+f.where(), f.args)
	}
	for table, columns := range map[string][]string{
		permissions.query(""): {"id", "path", "created_at", "updated_at"}, restrictions.query(""): {"id", "value", "created_at", "updated_at"},
	} {
		for _, column := range columns {
			for _, desc := range []bool{false, true} {
				order, err := orderBy(editor.Order{By: column, Desc: desc}, columns)
				if err != nil {
					t.Fatal(err)
				}
				explain(table+" by "+column, table+` ORDER BY `+order+` LIMIT 100 OFFSET 0`, nil)
			}
		}
	}
}
