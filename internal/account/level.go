package account

import (
	"context"
	"fmt"
	"slices"
)

// LevelOf is the id of the last rung of the longest unbroken run of levels (by id) whose
// private labels the user has; 0 when the first is missing (AZ-402).
func LevelOf(levels []Level, labels []Label) int {
	reached := 0
	for _, rung := range levels {
		if !slices.ContainsFunc(labels, func(l Label) bool {
			return l.Scope == ScopePrivate && l.Key == rung.Key && l.Value == rung.Value
		}) {
			break
		}
		reached = int(rung.ID)
	}
	return reached
}

// labelState is the state that labels give (AZ-401, W-I16): pending; active when every
// activation requirement is among the private ones; then the state of the last trigger that
// one of their keys sets off.
func (s *Service) labelState(labels []Label) string {
	private := make(map[string]string, len(labels))
	for _, l := range labels {
		if l.Scope == ScopePrivate {
			private[l.Key] = l.Value
		}
	}
	state := StateActive
	for key, value := range s.cfg.Activation {
		if private[key] != value {
			state = StatePending
		}
	}
	for _, trigger := range s.cfg.Triggers {
		for _, key := range trigger.Keys {
			if _, set := private[key]; set {
				state = trigger.State
			}
		}
	}
	return state
}

// recompute brings a user's level and state in line with the labels and returns the user.
// A state that staff set wins over the labels' (W-I17).
func (s *Service) recompute(ctx context.Context, tx Tx, uid string) (User, error) {
	before, err := tx.User(ctx, uid)
	if err != nil {
		return User{}, fmt.Errorf("load user: %w", err)
	}
	labels, err := tx.Labels(ctx, uid)
	if err != nil {
		return User{}, fmt.Errorf("list labels: %w", err)
	}
	levels, err := tx.Levels(ctx)
	if err != nil {
		return User{}, fmt.Errorf("list levels: %w", err)
	}
	u := before
	u.Level = LevelOf(levels, labels)
	u.Unproved = before.Unproved && !emailProved(labels)
	if u.State = before.AdminState; u.State == "" {
		u.State = s.labelState(labels)
	}
	if u.Level == before.Level && u.State == before.State && u.Unproved == before.Unproved {
		return u, nil
	}
	return u, s.saveUser(ctx, tx, before, &u)
}
