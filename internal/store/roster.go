package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"barong/internal/account"
	"barong/internal/person"
	"barong/internal/roster"
)

var _ roster.Reader = (*DB)(nil)

// rosterOrders are the expressions of roster.Orders, each with an index that has the row id behind it.
// Absent values are equal to each other and come first.
var rosterOrders = map[string]string{
	"id": "", "uid": "u.uid", "username": "COALESCE(u.username, '')", "email": "u.email", "role": "u.role",
	"level": "u.level", "otp": "u.otp", "state": "u.state", "referral_id": "COALESCE(u.referral_id, 0)",
	"created_at": "u.created_at", "updated_at": "u.updated_at",
}

// Roster implements roster.Reader.
func (q queries) Roster(ctx context.Context, query roster.Query) (all []account.User, total int, err error) {
	f, counted := rosterFilter(query)
	err = q.together(ctx, "list users", func(q querier) error {
		count := `SELECT count(*) FROM users u` + f.where()
		if counted {
			count = `SELECT CAST(COALESCE(sum(u.n), 0) AS BIGINT) FROM user_counts u` + f.where()
		}
		if err := q.QueryRowContext(ctx, count, f.args...).Scan(&total); err != nil || query.Offset >= total {
			return err
		}
		rest, args := rosterPage(f, query, total)
		all, err = users.list(ctx, q, rest, args...)
		return err
	})
	return all, total, found(err, nil) // a text that no column can hold is nobody's
}

// rosterFilter is the condition on users u; counted says that the columns of user_counts are enough for
// it.
func rosterFilter(query roster.Query) (f filter, counted bool) {
	if query.Role != nil {
		f.add("u.role = $%d", *query.Role)
	}
	if query.State != nil {
		f.add("u.state = $%d", *query.State)
	}
	if query.Level != nil {
		f.add("u.level = CAST($%d AS BIGINT)", *query.Level) // of any size
	}
	few := len(f.conds)
	if query.ID != nil {
		f.add("u.id = $%d", *query.ID)
	}
	if query.UID != nil {
		f.add("u.uid = $%d", *query.UID)
	}
	if query.Email != nil {
		f.add("u.email = $%d", account.FoldEmail(*query.Email))
	}
	if query.OTP != nil {
		f.add("u.otp = $%d", *query.OTP)
	}
	time := "u.created_at"
	if query.Updated {
		time = "u.updated_at"
	}
	f.between(time, query.From, query.To)
	if query.Country != nil { // stored as it was sent
		spelled := []string{*query.Country, strings.ToUpper(*query.Country), strings.ToLower(*query.Country)}
		slices.Sort(spelled)
		var marks []string
		for _, s := range slices.Compact(spelled) {
			f.args = append(f.args, s)
			marks = append(marks, fmt.Sprintf("$%d", len(f.args)))
		}
		f.conds = append(f.conds, "u.id IN (SELECT p.user_id FROM profiles p WHERE p.country IN ("+strings.Join(marks, ", ")+"))")
	}
	return f, len(f.conds) == few
}

// rosterPage is the part of a query after FROM that takes one page of total rows. It skips in the index
// alone, from the nearer end.
func rosterPage(f filter, query roster.Query, total int) (rest string, args []any) {
	size := total - query.Offset
	if query.Limit > 0 {
		size = min(size, query.Limit)
	}
	order := func(desc bool) string {
		way := ""
		if desc {
			way = " DESC"
		}
		switch column := rosterOrders[query.OrderBy]; column {
		case "":
			return ` ORDER BY u.id` + way
		case "u.uid": // no two are equal
			return ` ORDER BY ` + column + way
		default:
			return ` ORDER BY ` + column + way + `, u.id` + way
		}
	}
	desc, skip := query.Desc, query.Offset
	if behind := total - query.Offset - size; behind < query.Offset {
		desc, skip = !desc, behind
	}
	page, args := f.page(size, skip)
	return `JOIN (SELECT u.id FROM users u` + f.where() + order(desc) + page + `) page ON page.id = u.id` + order(query.Desc), args
}

// applicants joins users u with the private label d by which their documents wait, of which each has one at
// most.
const applicants = ` JOIN labels d ON d.user_id = u.id AND d.scope = 'private' AND d.key = 'document' AND d.value IN ('pending', 'replaced')`

// Applicants implements roster.Reader.
func (q queries) Applicants(ctx context.Context, query roster.Query) (all []account.User, total int, err error) {
	f, _ := rosterFilter(query)
	err = q.together(ctx, "list users with pending documents", func(q querier) error {
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM users u`+applicants+f.where(), f.args...).Scan(&total)
		if err != nil || query.Offset >= total {
			return err
		}
		page, args := f.page(query.Limit, query.Offset)
		all, err = users.list(ctx, q, applicants+f.where()+` ORDER BY d.updated_at, u.id`+page, args...)
		return err
	})
	return all, total, found(err, nil)
}

// ProfilesOf implements roster.Reader.
func (q queries) ProfilesOf(ctx context.Context, uids []string) (map[string][]person.Profile, error) {
	found := map[string][]person.Profile{}
	for part := range slices.Chunk(uids, 200) {
		marks, args := inList(part)
		sealed, err := profiles.many(ctx, q, "list profiles", unlocked, `WHERE u.uid IN `+marks+` ORDER BY p.id`, args...)
		if err != nil {
			return nil, err
		}
		for _, p := range sealed {
			if err := q.openTexts(profilesTable, p.row, p.secrets()); err != nil {
				return nil, fmt.Errorf("list profiles: %w", err)
			}
			found[p.UserUID] = append(found[p.UserUID], p.Profile)
		}
	}
	return found, nil
}

// foldUserCounts sums up the changes of the numbers of users and returns how many rows that saved. A
// change is a row of its own, so that writers of users do not wait for each other.
func (q queries) foldUserCounts(ctx context.Context) (saved int, err error) {
	type group struct {
		role, state string
		level       int
	}
	err = q.writeLocked(ctx, "fold the numbers of users", serialize("numbers of users"), func(t *txn) error {
		sums := map[group]int64{}
		rows, err := list(ctx, t, func(row scanner) (n int64, err error) {
			var g group
			err = row.Scan(&g.role, &g.state, &g.level, &n)
			sums[g] += n
			return n, err
		}, `DELETE FROM user_counts RETURNING role, state, level, n`)
		if err != nil {
			return err
		}
		saved = len(rows)
		for g, n := range sums {
			if n == 0 {
				continue
			}
			saved--
			err := t.exec(ctx, `INSERT INTO user_counts (role, state, level, n) VALUES ($1, $2, $3, $4)`, g.role, g.state, g.level, n)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return saved, err
}
