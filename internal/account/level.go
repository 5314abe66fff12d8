package account

import "slices"

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

// A Trigger gives users with a private label of one of the keys a state.
type Trigger struct {
	State string
	Keys  []string
}
