package account

import (
	"math"
	"slices"
)

// levelOf is the id of the last rung of the longest unbroken run of levels (by id) whose
// private labels the user has; 0 when the first is missing (AZ-402).
func levelOf(levels []Level, labels []Label) int {
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

// effective is the more restrictive of the state by staff, "" for none, and the one that labels give. A
// user whom staff made active needs no proofs for it; triggers count all the same.
func (s *Service) effective(staff, labels string) string {
	if staff == StateActive && labels == StatePending || s.severity(staff) > s.severity(labels) {
		return staff
	}
	return labels
}

// severity orders states by how restrictive they are: those of triggers by which of two wins, then those
// that no trigger has any more, and deleted, since others may have the address by now.
func (s *Service) severity(state string) int {
	switch state {
	case "":
		return -1
	case StateActive:
		return 0
	case StatePending:
		return 1
	case StateDeleted:
		return math.MaxInt
	}
	last := math.MaxInt - 1
	for i, t := range s.cfg.Triggers {
		if t.State == state {
			last = i + 2
		}
	}
	return last
}

// holding are the private labels that set off triggers of the state.
func (s *Service) holding(labels []Label, state string) (held []Label) {
	for _, l := range labels {
		if l.Scope == ScopePrivate && slices.ContainsFunc(s.cfg.Triggers, func(t Trigger) bool {
			return t.State == state && slices.Contains(t.Keys, l.Key)
		}) {
			held = append(held, l)
		}
	}
	return held
}

// A Trigger gives users with a private label of one of the keys a state.
type Trigger struct {
	State string
	Keys  []string
}
