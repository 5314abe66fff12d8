package admin

import (
	"errors"

	"barong/policy"
	"barong/policy/editor"
)

// previewed says which change a preview is about.
type previewed struct {
	Operation string `name:"operation" enum:"create,update,delete" value:"admin.preview.invalid_operation" doc:"Absent: update with an id, create without one."`
	ID        *int64 `name:"id" rule:"nonblank" doc:"Of the row to change or delete."`
	Force     bool   `name:"force" doc:"What it would be with force."`
}

// target is the row of the change and whether it is removed: id 0 is a new row.
func (p previewed) target() (id int64, remove bool, err error) {
	if p.ID != nil {
		id = *p.ID
	}
	switch {
	case p.Operation == "create":
		return 0, false, nil
	case p.Operation == "" && p.ID == nil:
		return 0, false, nil
	case id == 0:
		return 0, false, policy.ErrNotFound
	}
	return id, p.Operation == "delete", nil
}

// edit is the caller's.
func (p previewed) edit(who staff) editor.Edit { return editor.Edit{By: who.Actor, Force: p.Force} }

// preview is the effect that a change would have.
type preview struct {
	PolicyVersion int64    `json:"policy_version" doc:"What it is judged against."`
	LocksOut      bool     `json:"locks_out" doc:"Whether you, or superadmins, could not put it right."`
	LockedOut     []string `json:"locked_out" doc:"The roles that could not; * is you, by your address."`
	Refused       *string  `json:"refused" doc:"The token that the change would be refused with; null when it would be made."`
	EndsSessions  string   `json:"ends_sessions" doc:"none, matching or all."`
	Flips         []flip   `json:"flips"`
	More          int      `json:"more" doc:"Flips that are not listed."`
	Warnings      []string `json:"warnings"`
}

// flip is a verdict that would turn.
type flip struct {
	Role   string   `json:"role" doc:"* is every role."`
	Verbs  []string `json:"verbs"`
	Path   string   `json:"path" doc:"With its continuation: /* below, .* with a suffix, * going on. Each stands for those paths of its form that no longer path of the list covers."`
	Client string   `json:"client" doc:"Whose requests: empty is anybody's, else an address, a prefix, a country or continent, or elsewhere."`
	Before verdict  `json:"before"`
	After  verdict  `json:"after"`
}

type verdict struct {
	Allows bool   `json:"allows"`
	Status int    `json:"status,omitempty" doc:"Of the restriction that refuses."`
	Reason string `json:"reason,omitempty"`
	Audit  bool   `json:"audit,omitempty" doc:"Whether an activity is written."`
	Topic  string `json:"topic,omitempty"`
}

func previewOf(p editor.Preview, prefix string) preview {
	v := preview{
		PolicyVersion: p.Version, LocksOut: len(p.LocksOut) > 0, LockedOut: append([]string{}, p.LocksOut...),
		EndsSessions: p.EndsSessions, Flips: make([]flip, 0, len(p.Flips)), More: p.More,
		Warnings: append([]string{}, p.Warnings...),
	}
	for _, r := range []struct {
		err   error
		token string
	}{
		{editor.ErrRoleInUse, ".role_in_use"}, {editor.ErrWouldLockOut, ".would_lock_out"},
		{editor.ErrLastSuperadmin, ".last_superadmin"},
	} {
		if errors.Is(p.Refusal, r.err) {
			token := prefix + r.token
			v.Refused = &token
		}
	}
	for _, f := range p.Flips {
		v.Flips = append(v.Flips, flip{
			Role: f.Role, Verbs: f.Verbs, Path: f.Path, Client: f.Client,
			Before: verdict(f.Before), After: verdict(f.After),
		})
	}
	return v
}
