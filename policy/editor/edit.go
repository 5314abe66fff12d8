package editor

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"barong/internal/account"
	"barong/internal/feed"
	"barong/policy"
)

// A kind is one kind of policy rows, permissions or restrictions: its verbs of the store, and
// the parts of a row that changing one looks at. Both kinds are changed by one algorithm, change.
type kind[R any] struct {
	topic    string // of its activities
	list     func(Tx, context.Context) ([]R, error)
	add, put func(Tx, context.Context, *R) error
	remove   func(Tx, context.Context, int64) error
	id       func(*R) *int64
	version  func(*R) int64 // its lock version
	key      func(*R) any   // two rows of one key cannot stand side by side; comparable
	note     func(*R) any   // the part of a row that activities keep; comparable
}

// A request is a change as a caller asks for it: of the row id, nil for a new one.
type request[R any] interface {
	target() (id *int64, remove bool)
	// apply writes the fields that the request sets into a row and normalises the row. rows are
	// all that there are. It returns Invalid with every problem.
	apply(row *R, rows []R) error
}

// A move is a change worked out against the rows that there are.
type move[R any] struct {
	rows          []R // all, before
	before, after *R  // nil for none
}

// An Outcome is that of a change.
type Outcome struct {
	Version feed.Cursor // the policy version that includes it
	Added   int64       // id of the row that was added; 0 when none was
}

// A TakenError is the ErrTaken of a change, with the row that is there.
type TakenError struct{ ID int64 }

func (e TakenError) Error() string { return fmt.Sprintf("%v by row %d", policy.ErrTaken, e.ID) }

// Unwrap returns ErrTaken.
func (TakenError) Unwrap() error { return policy.ErrTaken }

// plan works a request out: ErrNotFound, Invalid with every problem, a TakenError.
func (k kind[R]) plan(c request[R], rows []R) (move[R], error) {
	m := move[R]{rows: rows}
	id, remove := c.target()
	if id != nil {
		i := slices.IndexFunc(rows, func(r R) bool { return *k.id(&r) == *id })
		if i < 0 {
			return m, policy.ErrNotFound
		}
		m.before = &rows[i]
	}
	if remove {
		if m.before == nil {
			return m, policy.ErrNotFound
		}
		return m, nil
	}
	var row R
	if m.before != nil {
		row = *m.before
	}
	if err := c.apply(&row, rows); err != nil {
		return m, err
	}
	m.after = &row
	key := k.key(&row)
	for i := range rows {
		if r := &rows[i]; *k.id(r) != *k.id(&row) && k.key(r) == key {
			return m, TakenError{*k.id(r)}
		}
	}
	return m, nil
}

// judged are the parts by which changes of a kind are judged.
type judged[R any] struct {
	// may is asked in the transaction whether the change is allowed.
	may func(context.Context, Tx, Edit, move[R]) error
	// flips are the verdicts that it turns; preview shows its effect.
	flips   func(move[R]) []Flip
	preview func(Edit, move[R]) Preview
}

// change makes the change, or asks for it. A change that changes nothing writes nothing.
func (k kind[R]) change(ctx context.Context, s *Service, e Edit, c request[R], by judged[R]) (out Outcome, err error) {
	err = account.Asking(ctx, s.store.ChangePolicy, func(tx Tx) error {
		m, err := k.planned(ctx, tx, c)
		if err != nil {
			return err
		}
		if m.before != nil {
			if err := e.sees(k.version(m.before)); err != nil {
				return err
			}
		}
		if k.idle(m) {
			out.Version = s.Version()
			return nil
		}
		if err := by.may(ctx, tx, e, m); err != nil {
			return err
		}
		if waits, err := s.waits(ctx, tx, k.topic, by.flips(m)); err != nil || waits {
			return cmp.Or(err, k.ask(ctx, s, tx, e, c, m, by.preview(e, m)))
		}
		if err := k.write(ctx, s, tx, e, m); err != nil {
			return err
		}
		if m.before == nil {
			out.Added = *k.id(m.after)
		}
		out.Version, err = tx.NextChange(ctx)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// planned works a request out against the rows that nobody else changes meanwhile.
func (k kind[R]) planned(ctx context.Context, tx Tx, c request[R]) (m move[R], err error) {
	if err := tx.LockPolicy(ctx); err != nil {
		return m, err
	}
	rows, err := k.list(tx, ctx)
	if err != nil {
		return m, err
	}
	return k.plan(c, rows)
}

// idle reports whether a move changes nothing.
func (k kind[R]) idle(m move[R]) bool {
	return m.before != nil && m.after != nil && k.note(m.before) == k.note(m.after)
}

// A rowChange is the data of an activity: a row before and after, null where there is none.
type rowChange struct {
	ID     int64 `json:"id"`
	Force  bool  `json:"force,omitempty"`
	Before any   `json:"before"`
	After  any   `json:"after"`
}

// write writes the row and its activity. An added row has its id afterwards.
func (k kind[R]) write(ctx context.Context, s *Service, tx Tx, e Edit, m move[R]) error {
	data := rowChange{Force: e.Force}
	if m.before != nil {
		data.ID, data.Before = *k.id(m.before), k.note(m.before)
	}
	var action string
	var err error
	switch {
	case m.before == nil:
		action, err = "create", k.add(tx, ctx, m.after)
	case m.after == nil:
		action, err = "delete", k.remove(tx, ctx, data.ID)
	default:
		action, err = "update", k.put(tx, ctx, m.after)
	}
	if err != nil {
		return err
	}
	if m.after != nil {
		data.ID, data.After = *k.id(m.after), k.note(m.after)
	}
	return tx.AddActivity(ctx, s.activity(e.By, k.topic, action, data))
}

// result is all rows after the move. A row that is added comes last, under the next id.
func (k kind[R]) result(m move[R]) []R {
	all := make([]R, 0, len(m.rows)+1)
	for i := range m.rows {
		if m.before == nil || *k.id(&m.rows[i]) != *k.id(m.before) {
			all = append(all, m.rows[i])
		} else if m.after != nil {
			all = append(all, *m.after)
		}
	}
	if m.before == nil {
		added := *m.after
		if n := len(m.rows); n > 0 {
			*k.id(&added) = *k.id(&m.rows[n-1]) + 1
		}
		all = append(all, added)
	}
	return all
}

// set writes a value where the caller sends one.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}
