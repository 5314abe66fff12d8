package store

import (
	"context"
	"fmt"
)

// RawRows are the rows of a table as they are stored, each printed with its bytes as text.
func (db *DB) RawRows(ctx context.Context, table string) (all []string, err error) {
	rows, err := db.r.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		text := ""
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			text += fmt.Sprintf("%s=%v ", names[i], v)
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// Exec runs one statement as somebody with access to the database would.
func (db *DB) Exec(ctx context.Context, text string) error {
	_, err := db.w.ExecContext(ctx, text)
	return err
}
