// Package chronicle owns the reading of activities together with the users whom they name.
package chronicle

import (
	"context"

	"barong/internal/account"
	"barong/internal/audit"
)

// A Deed is an activity with the users whom it names.
type Deed struct {
	audit.Activity
	// Actor is the acting user. A service, the operator and a deleted user are a user of nothing but
	// the uid, the kind of the actor as role, and its name as address.
	Actor  account.User
	Target *account.User // nil where it names none, or one that is gone
}

// A Reader reads activities and the users in them; store.DB is one. It is safe for concurrent use.
type Reader interface {
	audit.Journal
	Counter
	// UsersByUID loads the users among uids, by uid; those that are not there are left out.
	UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error)
}

// Deeds returns a page of activities and the number of all that match.
func Deeds(ctx context.Context, c Reader, q audit.JournalQuery) (deeds []Deed, total int, err error) {
	list, total, err := c.Journal(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	var uids []string
	seen := map[string]bool{"": true}
	for _, x := range list {
		for _, uid := range []string{x.ActorUID, x.TargetUID} {
			if !seen[uid] {
				seen[uid] = true
				uids = append(uids, uid)
			}
		}
	}
	users, err := c.UsersByUID(ctx, uids)
	if err != nil {
		return nil, 0, err
	}
	for _, x := range list {
		actor, there := users[x.ActorUID]
		if !there {
			actor = account.User{UID: x.ActorUID, Role: x.ActorKind, Email: x.ActorRef}
		}
		d := Deed{Activity: x, Actor: actor}
		if target, known := users[x.TargetUID]; known {
			d.Target = &target
		}
		deeds = append(deeds, d)
	}
	return deeds, total, nil
}
