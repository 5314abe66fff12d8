package apitest

import (
	"crypto/sha256"
	"database/sql"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// Furnish gives the account a row in every table that has rows of accounts and none of this one, so that
// a test which looks at all that a person has needs no change for a new table. Texts begin with mark,
// secrets are sealed. Rows are as their columns and checks allow, not as a service would write them.
func (w *World) Furnish(uid, mark string) {
	w.T.Helper()
	raw := storetest.Raw(w.T, w.URL)
	columns := describe(w.T)
	references := storetest.References(w.T, raw)
	for again := true; again; {
		again = false
		tables := storetest.Tables(w.T, raw)
		mine := map[string]storetest.Table{}
		for _, table := range storetest.Belonging(tables, references, uid) {
			mine[table.Name] = table
		}
		for _, table := range tables {
			if _, has := mine[table.Name]; has {
				continue
			}
			f := furnisher{w: w, uid: uid, mark: mark + "-" + table.Name, table: table.Name}
			refers := map[string]any{}
			for _, r := range references {
				if to, has := mine[r.To]; r.Table == table.Name && has && len(refers) == 0 {
					refers[r.Column] = to.Rows[0][to.Column("id")]
				}
			}
			names := slices.ContainsFunc(columns[table.Name], func(c column) bool { return strings.HasSuffix(c.name, "_uid") })
			if len(refers) == 0 && !names {
				continue
			}
			f.add(raw, columns[table.Name], refers)
			again = true
		}
	}
}

// column is a column by the migrations, in the words of SQLite.
type column struct {
	name, kind      string
	needed, primary bool
	rule            string // the line of its declaration
}

// describe reads the columns of today's tables.
func describe(t testing.TB) map[string][]column {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema.db")
	storetest.OpenPath(t, path)
	raw := storetest.Raw(t, "sqlite:"+path)
	rows, err := raw.QueryContext(t.Context(), `
		SELECT m.name, m.sql, c.name, c.type, c."notnull" AND c.dflt_value IS NULL, c.pk > 0
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string][]column{}
	for rows.Next() {
		var table, text string
		var c column
		if err := rows.Scan(&table, &text, &c.name, &c.kind, &c.needed, &c.primary); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name == c.name {
				c.rule = line
			}
		}
		all[table] = append(all[table], c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// furnisher makes a row of a table.
type furnisher struct {
	w                *World
	uid, mark, table string
}

func (f furnisher) add(raw *sql.DB, columns []column, refers map[string]any) {
	f.w.T.Helper()
	var failed error
	for _, every := range []bool{true, false} { // a check of several columns may want some of them empty
		row := secret.UUID()
		var names, marks []string
		var args []any
		for _, c := range columns {
			v, ok := refers[c.name]
			switch {
			case ok:
			case strings.Contains(c.rule, "REFERENCES"):
				continue // one owner is enough
			case c.primary && c.kind == "INTEGER", !every && !c.needed && !c.primary:
				continue
			default:
				v = f.value(c, row)
			}
			names, args = append(names, c.name), append(args, v)
			marks = append(marks, "$"+strconv.Itoa(len(args)))
		}
		_, failed = raw.ExecContext(f.w.T.Context(),
			`INSERT INTO `+f.table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, args...)
		if failed == nil {
			return
		}
	}
	f.w.T.Fatalf("give %s a row in %s before Furnish: it cannot make one up: %v", f.uid, f.table, failed)
}

var (
	listed   = regexp.MustCompile(`IN \('([^']*)'`)
	longest  = regexp.MustCompile(`(?:<=|BETWEEN \d+ AND) (\d+)`)
	exactly  = regexp.MustCompile(`length\([a-z_]+\) = (\d+)`)
	sealable = store.SealedColumns()
)

func (f furnisher) value(c column, row string) any {
	text := f.mark + "-" + c.name
	if m := listed.FindStringSubmatch(c.rule); m != nil {
		return m[1]
	}
	if m := longest.FindStringSubmatch(c.rule); m != nil {
		n, _ := strconv.Atoi(m[1]) // of digits
		text = text[:min(n, len(text))]
	}
	switch {
	case c.name == "uuid":
		return row
	case strings.HasSuffix(c.name, "_uid"):
		return f.uid
	case slices.ContainsFunc(sealable, func(s store.SealedColumn) bool { return s.Table == f.table && s.Column == c.name }):
		sealed, err := storetest.Sealer(f.w.T).Seal([]byte(text), f.table, c.name, row)
		if err != nil {
			f.w.T.Fatal(err)
		}
		return sealed
	case c.kind == "BLOB":
		sum := sha256.Sum256([]byte(text))
		if m := exactly.FindStringSubmatch(c.rule); m != nil && m[1] == "16" {
			return sum[:16]
		}
		return sum[:]
	case c.kind == "BOOLEAN":
		return false
	case strings.HasSuffix(c.name, "_at"):
		return f.w.Clock().UnixMicro()
	case c.kind == "TEXT":
		return text
	}
	return int64(1)
}
