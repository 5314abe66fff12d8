package editor

import (
	"context"
	"fmt"

	"barong/policy"
)

// MatchingPermissions lists, by id, the rows that a verdict on a role, a method and a
// canonical path rests on, as they are in the database now.
func (s *Service) MatchingPermissions(ctx context.Context, role, method, path string) ([]policy.Permission, error) {
	rows, err := s.store.Permissions(ctx)
	if err != nil {
		return nil, fmt.Errorf("match permissions: %w", err)
	}
	_, options := s.rules.Configured()
	reference := policy.Naive{Rows: policy.Rows{Permissions: rows}, Options: options}
	return reference.Matching(role, method, path), nil
}
