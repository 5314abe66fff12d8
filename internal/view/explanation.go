package view

import "barong/policy"

// Explanation is a decision on a question, and the rules in the order in which they were
// looked at, up to the one that decided.
type Explanation struct {
	Allowed       bool            `json:"allowed"`
	Status        int             `json:"status" doc:"200, or that of the denial."`
	Reason        string          `json:"reason" doc:"Token of the denial; empty when allowed."`
	Outage        bool            `json:"outage"`
	PolicyVersion int64           `json:"policy_version"`
	Path          string          `json:"path" doc:"Canonical; empty when the request has none."`
	UID           string          `json:"uid" doc:"Of the account that was proved."`
	Role          string          `json:"role"`
	Token         bool            `json:"token" doc:"Whether the upstream would get a bearer token."`
	Steps         []ExplainedStep `json:"steps"`
	Permissions   []Permission    `json:"permissions" doc:"The rows that the role's verdict rests on, as they are now."`
}

// ExplainedStep is one rule of a decision.
type ExplainedStep struct {
	Rule    string `json:"rule"`
	Outcome string `json:"outcome" doc:"pass, allow, deny or unavailable."`
	Detail  string `json:"detail"`
}

// PermissionsOf shows rows.
func PermissionsOf(rows []policy.Permission) []Permission {
	out := make([]Permission, 0, len(rows))
	for _, p := range rows {
		out = append(out, PermissionOf(p))
	}
	return out
}
