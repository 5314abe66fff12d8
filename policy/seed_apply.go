package policy

import (
	"context"
	"errors"
	"fmt"
)

// A SeedReport counts the rows of the file by Seed's treatment of them.
type SeedReport struct {
	PermissionsAdded, PermissionsKept   int
	RestrictionsAdded, RestrictionsKept int
}

func (r SeedReport) String() string {
	return fmt.Sprintf("permissions: %d added, %d kept; restrictions: %d added, %d kept",
		r.PermissionsAdded, r.PermissionsKept, r.RestrictionsAdded, r.RestrictionsKept)
}

// Seed adds the permissions and restrictions of the file that are not there, in one
// transaction. Nothing that is there is changed: a restriction that somebody enabled, or gave
// another code, stays so. Running it again does nothing; replicas that seed at the same time
// add each row once.
func Seed(ctx context.Context, store Store, s Seeds) (SeedReport, error) {
	// Another replica may add a row between our look and our write: then look again.
	const attempts = 5
	var r SeedReport
	var err error
	for range attempts {
		r = SeedReport{}
		err = store.UpdatePolicy(ctx, func(tx Tx) error { return seed(ctx, tx, s, &r) })
		if !errors.Is(err, ErrTaken) {
			break
		}
	}
	if err != nil {
		return SeedReport{}, fmt.Errorf("seed policy: %w", err)
	}
	return r, nil
}

func seed(ctx context.Context, tx Tx, s Seeds, r *SeedReport) error {
	permissions, err := tx.Permissions(ctx)
	if err != nil {
		return fmt.Errorf("list permissions: %w", err)
	}
	have := make(map[permissionKey]bool, len(permissions))
	for _, p := range permissions {
		// Rows of other origin may be spelled in other ways (AZ-420).
		if c, err := CanonicalPattern(p.Path); err == nil {
			p.Path = c
		}
		have[permissionKeyOf(p)] = true
	}
	for _, p := range s.Permissions {
		if err := p.Normalize(); err != nil {
			return fmt.Errorf("Can't create permission: %w", err)
		}
		if have[permissionKeyOf(p)] {
			r.PermissionsKept++
			continue
		}
		if err := tx.AddPermission(ctx, &p); err != nil {
			return fmt.Errorf("Can't create permission: %w", err)
		}
		have[permissionKeyOf(p)] = true
		r.PermissionsAdded++
	}
	restrictions, err := tx.Restrictions(ctx)
	if err != nil {
		return fmt.Errorf("list restrictions: %w", err)
	}
	there := make(map[restrictionKey]bool, len(restrictions))
	for _, x := range restrictions {
		if v, err := canonicalValue(x.Scope, x.Value); err == nil {
			x.Value = v
		}
		there[restrictionKeyOf(x)] = true
	}
	for _, x := range s.Restrictions {
		if err := x.Normalize(); err != nil {
			return fmt.Errorf("Can't create restriction: %w", err)
		}
		k := restrictionKeyOf(x)
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
