package view

import "barong/policy/editor"

// Preview is the effect that a change would have.
type Preview struct {
	PolicyVersion int64    `json:"policy_version" doc:"What it is judged against."`
	LocksOut      bool     `json:"locks_out" doc:"Whether you, or superadmins, could not put it right."`
	LockedOut     []string `json:"locked_out" doc:"The roles that could not; * is you, by your address."`
	Refused       *string  `json:"refused" doc:"The token that the change would be refused with; null when it would be made."`
	EndsSessions  string   `json:"ends_sessions" doc:"none, matching or all."`
	Flips         []Flip   `json:"flips"`
	More          int      `json:"more" doc:"Flips that are not listed."`
	Warnings      []string `json:"warnings"`
}

// Flip is a verdict that would turn.
type Flip struct {
	Role   string   `json:"role" doc:"* is every role."`
	Verbs  []string `json:"verbs"`
	Path   string   `json:"path" doc:"With its continuation: /* below, .* with a suffix, * going on. Each stands for those paths of its form that no longer path of the list covers."`
	Client string   `json:"client" doc:"Whose requests: empty is anybody's, else an address, a prefix, a country or continent, or elsewhere."`
	Before Verdict  `json:"before"`
	After  Verdict  `json:"after"`
}

// Verdict is the policy's answer to a request.
type Verdict struct {
	Allows bool   `json:"allows"`
	Status int    `json:"status,omitempty" doc:"Of the restriction that refuses."`
	Reason string `json:"reason,omitempty"`
	Audit  bool   `json:"audit,omitempty" doc:"Whether an activity is written."`
	Topic  string `json:"topic,omitempty"`
}

// PreviewOf shows p; refused is the token of its refusal, "" for none.
func PreviewOf(p editor.Preview, refused string) Preview {
	v := Preview{
		PolicyVersion: p.Version, LocksOut: len(p.LocksOut) > 0, LockedOut: append([]string{}, p.LocksOut...),
		EndsSessions: p.EndsSessions, Flips: make([]Flip, 0, len(p.Flips)), More: p.More,
		Warnings: append([]string{}, p.Warnings...),
	}
	if refused != "" {
		v.Refused = &refused
	}
	for _, f := range p.Flips {
		v.Flips = append(v.Flips, Flip{
			Role: f.Role, Verbs: f.Verbs, Path: f.Path, Client: f.Client,
			Before: Verdict(f.Before), After: Verdict(f.After),
		})
	}
	return v
}
