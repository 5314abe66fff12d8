package seed

import (
	"context"
	"errors"
	"fmt"

	"barong/policy"
)

// A Report counts the rows of the file by Apply's treatment of them.
type Report struct {
	PermissionsAdded  int `json:"permissions_added"`
	PermissionsKept   int `json:"permissions_kept"`
	RestrictionsAdded int `json:"restrictions_added"`
	RestrictionsKept  int `json:"restrictions_kept"`
}

func (r Report) String() string {
	return fmt.Sprintf("permissions: %d added, %d kept; restrictions: %d added, %d kept",
		r.PermissionsAdded, r.PermissionsKept, r.RestrictionsAdded, r.RestrictionsKept)
}

// Apply adds the permissions and restrictions of the file that are not there, in one
// transaction. Nothing that is there is changed: a restriction that somebody enabled, or gave
// another code, stays so. Running it again does nothing; replicas that seed at the same time
// add each row once.
func Apply(ctx context.Context, store policy.Store, s File) (Report, error) {
	// Another replica may add a row between our look and our write: then look again.
	const attempts = 5
	var r Report
	var err error
	for range attempts {
		r = Report{}
		err = store.UpdatePolicy(ctx, func(tx policy.Tx) error { return add(ctx, tx, s, &r) })
		if !errors.Is(err, policy.ErrTaken) {
			break
		}
	}
	if err != nil {
		return Report{}, fmt.Errorf("seed policy: %w", err)
	}
	return r, nil
}

// errPlan undoes the transaction of Plan.
var errPlan = errors.New("seed: only planned")

// Plan returns the report that Apply would, and changes nothing.
func Plan(ctx context.Context, store policy.Store, s File) (r Report, err error) {
	err = store.UpdatePolicy(ctx, func(tx policy.Tx) error {
		r = Report{}
		if err := add(ctx, tx, s, &r); err != nil {
			return err
		}
		return errPlan
	})
	if !errors.Is(err, errPlan) {
		return Report{}, fmt.Errorf("plan seeds: %w", err)
	}
	return r, nil
}

func add(ctx context.Context, tx policy.Tx, s File, r *Report) error {
	permissions, err := tx.Permissions(ctx)
	if err != nil {
		return fmt.Errorf("list permissions: %w", err)
	}
	have := make(map[policy.PermissionKey]bool, len(permissions))
	for _, p := range permissions {
		// Rows of other origin may be spelled in other ways (AZ-420). Normalize mends as much of
		// a row as it can.
		_ = p.Normalize()
		have[p.Key()] = true
	}
	for _, p := range s.Permissions {
		if err := p.Normalize(); err != nil {
			return fmt.Errorf("Can't create permission: %w", err)
		}
		if have[p.Key()] {
			r.PermissionsKept++
			continue
		}
		if err := tx.AddPermission(ctx, &p); err != nil {
			return fmt.Errorf("Can't create permission: %w", err)
		}
		have[p.Key()] = true
		r.PermissionsAdded++
	}
	restrictions, err := tx.Restrictions(ctx)
	if err != nil {
		return fmt.Errorf("list restrictions: %w", err)
	}
	there := make(map[policy.RestrictionKey]bool, len(restrictions))
	for _, x := range restrictions {
		_ = x.Normalize()
		there[x.Key()] = true
	}
	for _, x := range s.Restrictions {
		if err := x.Normalize(); err != nil {
			return fmt.Errorf("Can't create restriction: %w", err)
		}
		k := x.Key()
		if there[k] {
			r.RestrictionsKept++
			continue
		}
		if err := tx.AddRestriction(ctx, &x); err != nil {
			return fmt.Errorf("Can't create restriction: %w", err)
		}
		there[k] = true
		r.RestrictionsAdded++
	}
	return nil
}
