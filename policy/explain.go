package policy

import (
	"context"
	"fmt"
	"strings"
)

// MatchingPermissions lists, by id, the rows that a verdict on a role, a method and a
// canonical path rests on, as they are in the database now.
func (s *Service) MatchingPermissions(ctx context.Context, role, method, path string) ([]Permission, error) {
	rows, err := s.store.Permissions(ctx)
	if err != nil {
		return nil, fmt.Errorf("match permissions: %w", err)
	}
	_, options := s.rules.configured()
	reference := Naive{Options: options}
	var out []Permission
	for _, p := range rows {
		if p.Role == role && verbCovers(strings.ToUpper(p.Verb), method) &&
			reference.matches(p.Path, strings.ToUpper(p.Action), path) >= 0 {
			out = append(out, p)
		}
	}
	return out, nil
}
