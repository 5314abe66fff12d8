// Package roster owns the lists of users that staff read: the filters, the orders and the pages. The
// rules on users are package account's.
package roster

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"barong/internal/account"
	"barong/internal/person"
)

// A Query selects and orders users. A nil field matches any; an empty text is looked for.
type Query struct {
	ID            *int64
	UID, Email    *string // the address is folded
	Role, State   *string
	Level         *int
	OTP           *bool
	Country       *string // of one of the profiles, in any case
	From, To      time.Time
	Updated       bool   // From, included, and To, not included, bound UpdatedAt in place of CreatedAt; zero is no bound
	OrderBy       string // one of Orders; equals are in the order of row ids
	Desc          bool
	Limit, Offset int
	none          bool // nothing can match
}

// Empty reports whether the query matches nobody at all.
func (q Query) Empty() bool { return q.none }

// Orders are the columns by which a list can be ordered. All are indexed, and none is a secret: an
// order by a digest would let its reader guess it.
func Orders() []string {
	return []string{
		"id", "uid", "username", "email", "role", "level", "otp", "state", "referral_id", "created_at", "updated_at",
	}
}

// ErrField says that nobody is looked for by the field.
var ErrField = errors.New("roster: not a field to look for users by")

// By is the query of the users whose field has the value, by address. A text that is no value of the
// field matches nobody. ErrField.
func By(field, value string) (Query, error) {
	q := Query{OrderBy: "email"}
	switch field {
	case "id":
		n, err := strconv.ParseInt(value, 10, 64)
		q.ID, q.none = &n, err != nil
	case "uid":
		q.UID = &value
	case "email":
		q.Email = &value
	case "role":
		q.Role = &value
	case "level":
		n, err := strconv.ParseInt(value, 10, 32)
		q.Level, q.none = new(int(n)), err != nil
	case "otp":
		on := value == "true" || value == "1" || value == "t"
		q.OTP, q.none = &on, !on && !slices.Contains([]string{"false", "0", "f"}, value)
	case "state":
		q.State = &value
	default:
		return q, ErrField
	}
	return q, nil
}

// A Reader reads lists; store.DB is one. It is safe for concurrent use.
type Reader interface {
	// Roster lists a page of the users that match, and counts all that do.
	Roster(ctx context.Context, q Query) ([]account.User, int, error)
	// Applicants lists a page of the users that match whose documents wait for a decision, the longest
	// waiting first, and counts all that do. The query's order is not used.
	Applicants(ctx context.Context, q Query) ([]account.User, int, error)
	// ProfilesOf loads the profiles of all of uids, by uid, each list in the order of row ids.
	ProfilesOf(ctx context.Context, uids []string) (map[string][]person.Profile, error)
}

// An Entry is a user of a list.
type Entry struct {
	account.User
	Profiles []person.Profile // nil unless they were asked for
}

// List returns a page of users and the number of all that match; with profiles, each with its own.
func List(ctx context.Context, r Reader, q Query, profiles bool) ([]Entry, int, error) {
	if q.Empty() {
		return nil, 0, nil
	}
	users, total, err := r.Roster(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	all, err := Entries(ctx, r, users, profiles)
	return all, total, err
}

// Entries are the entries of users, with profiles each with its own.
func Entries(ctx context.Context, r Reader, users []account.User, profiles bool) ([]Entry, error) {
	all, uids := make([]Entry, len(users)), make([]string, len(users))
	for i, u := range users {
		all[i].User, uids[i] = u, u.UID
	}
	if !profiles || len(all) == 0 {
		return all, nil
	}
	byUID, err := r.ProfilesOf(ctx, uids)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Profiles = append([]person.Profile{}, byUID[all[i].UID]...)
	}
	return all, nil
}
