package storetest

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Raw opens a database past the store, for tests that look at bytes or change them; it is closed when
// the test ends. url is the store's.
func Raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	raw, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(2)
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

// A Table is all rows of a table; numbers are int64, texts string, bytes []byte.
type Table struct {
	Name    string
	Columns []string
	Rows    [][]any
}

// Column is the place of a column, -1 if there is none.
func (t Table) Column(name string) int { return slices.Index(t.Columns, name) }

// Tables reads everything in a database.
func Tables(t testing.TB, raw *sql.DB) (all []Table) {
	t.Helper()
	for _, name := range texts(t, raw, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`,
		`SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename`) {
		rows, err := raw.QueryContext(t.Context(), `SELECT * FROM `+name)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		table, err := readTable(name, rows)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		all = append(all, table)
	}
	return all
}

func readTable(name string, rows *sql.Rows) (Table, error) {
	defer rows.Close()
	table := Table{Name: name}
	var err error
	if table.Columns, err = rows.Columns(); err != nil {
		return table, err
	}
	for rows.Next() {
		row, into := make([]any, len(table.Columns)), make([]any, len(table.Columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return table, err
		}
		table.Rows = append(table.Rows, row)
	}
	return table, rows.Err()
}

// A Reference is a column that holds the id of another table's row.
type Reference struct{ Table, Column, To string }

// References are the foreign keys of a database.
func References(t testing.TB, raw *sql.DB) (all []Reference) {
	t.Helper()
	for _, text := range texts(t, raw, `
		SELECT m.name || ' ' || k."from" || ' ' || k."table"
		FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table' ORDER BY 1`, `
		SELECT c.conrelid::regclass::text || ' ' || a.attname || ' ' || c.confrelid::regclass::text
		FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
		WHERE c.contype = 'f' ORDER BY 1`) {
		var r Reference
		if _, err := fmt.Sscan(text, &r.Table, &r.Column, &r.To); err != nil {
			t.Fatalf("foreign key %q: %v", text, err)
		}
		all = append(all, r)
	}
	return all
}

// Belonging are the rows of tables that belong to accounts: those that name them by uid, and those that
// refer to such a row, over any number of steps. A user referred by one of them is another's.
func Belonging(tables []Table, references []Reference, uids ...string) (all []Table) {
	owned := map[string]map[int]bool{} // rows by table
	names := func(table Table, row []any) bool {
		for i, column := range table.Columns {
			if text, ok := row[i].(string); ok && (column == "uid" || strings.HasSuffix(column, "_uid")) && slices.Contains(uids, text) {
				return true
			}
		}
		return false
	}
	ids := map[string]map[int64]bool{}
	refers := func(table Table, row []any) bool {
		return slices.ContainsFunc(references, func(r Reference) bool {
			if r.Table != table.Name || r.Column == "referral_id" {
				return false
			}
			id, ok := row[table.Column(r.Column)].(int64)
			return ok && ids[r.To][id]
		})
	}
	for found := true; found; {
		found = false
		for _, table := range tables {
			for i, row := range table.Rows {
				if owned[table.Name][i] || !names(table, row) && !refers(table, row) {
					continue
				}
				if owned[table.Name] == nil {
					owned[table.Name], ids[table.Name] = map[int]bool{}, map[int64]bool{}
				}
				owned[table.Name][i], found = true, true
				if at := table.Column("id"); at >= 0 {
					if id, ok := row[at].(int64); ok {
						ids[table.Name][id] = true
					}
				}
			}
		}
	}
	for _, table := range tables {
		mine := Table{Name: table.Name, Columns: table.Columns}
		for i, row := range table.Rows {
			if owned[table.Name][i] {
				mine.Rows = append(mine.Rows, row)
			}
		}
		if len(mine.Rows) > 0 {
			all = append(all, mine)
		}
	}
	return all
}

// texts runs the query of the engine.
func texts(t testing.TB, raw *sql.DB, sqlite, postgres string) (all []string) {
	t.Helper()
	query := postgres
	if IsSQLite(raw) {
		query = sqlite
	}
	rows, err := raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// IsSQLite reports which engine raw is.
func IsSQLite(raw *sql.DB) bool { return strings.Contains(fmt.Sprintf("%T", raw.Driver()), "sqlite") }
