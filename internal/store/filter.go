package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"barong/policy/editor"
)

// filter collects the conditions of a list and numbers their parameters.
type filter struct {
	conds []string
	args  []any
}

// add takes a condition whose one parameter is written $%d.
func (f *filter) add(cond string, arg any) {
	f.args = append(f.args, arg)
	f.conds = append(f.conds, fmt.Sprintf(cond, len(f.args)))
}

// match wants column to equal value; "" matches any. column is never input.
func (f *filter) match(column, value string) {
	if value != "" {
		f.add(column+" = $%d", value)
	}
}

// in wants column to have one of the values. column is never input.
func (f *filter) in(column string, values []string) {
	marks := make([]string, len(values))
	for i, v := range values {
		f.args = append(f.args, v)
		marks[i] = fmt.Sprintf("$%d", len(f.args))
	}
	f.conds = append(f.conds, column+" IN ("+strings.Join(marks, ", ")+")")
}

// between wants from <= column < to; a zero time is no bound. column is never input.
func (f *filter) between(column string, from, to time.Time) {
	if !from.IsZero() {
		f.add(column+" >= $%d", from.UnixMicro())
	}
	if !to.IsZero() {
		f.add(column+" < $%d", to.UnixMicro())
	}
}

// begins wants the text of column to begin with prefix. column is never input.
func (f *filter) begins(column, prefix string) {
	f.add(column+" >= $%d", prefix)
	f.add(column+" < $%d", prefix+"\U0010ffff") // text is compared byte by byte
}

// orderBy is an ORDER BY of the columns that there are, with rows that are equal in the order of
// their ids. A column is never input that is not among columns.
func orderBy(by editor.Order, columns []string) (string, error) {
	column := cmp.Or(by.By, "id")
	if !slices.Contains(columns, column) {
		return "", fmt.Errorf("cannot order by %q", column)
	}
	way := ""
	if by.Desc {
		way = " DESC"
	}
	if column == "id" {
		return "id" + way, nil
	}
	return column + way + ", id" + way, nil
}

func (f *filter) where() string {
	if len(f.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conds, " AND ")
}

// page returns the clause that skips offset rows and keeps limit, all when limit is not
// positive, with the arguments of the whole statement.
func (f *filter) page(limit, offset int) (string, []any) {
	n := int64(limit)
	if limit <= 0 {
		n = math.MaxInt64
	}
	args := append(f.args[:len(f.args):len(f.args)], n, max(offset, 0))
	return fmt.Sprintf(" LIMIT $%d OFFSET $%d", len(args)-1, len(args)), args
}

// inList is the list ($1, $2, …) of an IN, and its arguments.
func inList(values []string) (marks string, args []any) {
	list := make([]string, len(values))
	args = make([]any, len(values))
	for i, v := range values {
		list[i], args[i] = fmt.Sprintf("$%d", i+1), v
	}
	return "(" + strings.Join(list, ", ") + ")", args
}
