package admin

import (
	"context"
	"errors"
	"net/netip"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
)

// An Explainer answers questions as decisions would be made; authz.Server's Explain is one,
// behind an adapter of the wiring, as edges do not know each other.
type Explainer func(context.Context, Question) (Explanation, error)

// A Question is a request that has not been made. UID or Kid, at most one, say whose
// credential it is thought to come with.
type Question struct {
	Method, Target string
	UID, Kid       string
	IP             netip.Addr
	UserAgent      string
}

// An Explanation is the decision on it, and the rules in the order in which they were
// looked at, up to the one that decided.
type Explanation struct {
	Allowed       bool              `json:"allowed"`
	Status        int               `json:"status" doc:"200, or that of the denial."`
	Reason        string            `json:"reason" doc:"Token of the denial; empty when allowed."`
	Outage        bool              `json:"outage"`
	PolicyVersion int64             `json:"policy_version"`
	Path          string            `json:"path" doc:"Canonical; empty when the request has none."`
	UID           string            `json:"uid" doc:"Of the account that was proved."`
	Role          string            `json:"role"`
	Token         bool              `json:"token" doc:"Whether the upstream would get a bearer token."`
	Steps         []ExplainedStep   `json:"steps"`
	Permissions   []view.Permission `json:"permissions" doc:"The rows that the role's verdict rests on, as they are now."`
}

// An ExplainedStep is one rule of a decision.
type ExplainedStep struct {
	Rule    string `json:"rule"`
	Outcome string `json:"outcome" doc:"pass, allow, deny or unavailable."`
	Detail  string `json:"detail"`
}

type explain struct {
	Method    string  `name:"method" default:"GET" doc:"Of the request; GET when it is absent."`
	Path      string  `name:"path" rule:"required,nonblank" doc:"Path and query of the request, beginning with a slash."`
	UID       string  `name:"uid" doc:"Ask with a session that this user has just opened."`
	Kid       string  `name:"kid" doc:"Ask with a request that this API key has just signed."`
	IP        *string `name:"ip" doc:"The client's address; your own when it is absent."`
	UserAgent string  `name:"user_agent"`
}

var (
	errBadIP       = errors.New("admin: no address")
	errTwoAskAsOne = errors.New("admin: a question has both a user and an API key")
)

func (a *API) explain(s section) {
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "POST", Status: 200, Cost: limit.Preview,
		Summary: "Explain the decision on a request; nothing is changed.",
		Errors: rest.All(
			rest.On(errBadIP, 422, ".invalid_ip"),
			rest.On(errTwoAskAsOne, 422, ".one_of_uid_kid"),
		),
	}, a.answer)
}

func (a *API) answer(ctx context.Context, who staff, in explain) (e Explanation, err error) {
	q := Question{Method: in.Method, Target: in.Path, UID: in.UID, Kid: in.Kid, IP: who.IP, UserAgent: in.UserAgent}
	if in.UID != "" && in.Kid != "" {
		return e, errTwoAskAsOne
	}
	if in.IP != nil {
		if q.IP, err = netip.ParseAddr(*in.IP); err != nil || q.IP.Zone() != "" {
			return e, errBadIP
		}
	}
	if e, err = a.Explain(ctx, q); err != nil {
		return e, err
	}
	var rows []policy.Permission
	if e.Role != "" && e.Path != "" {
		rows, err = a.Policy.MatchingPermissions(ctx, e.Role, in.Method, e.Path)
	}
	e.Permissions = PermissionsOf(rows)
	return e, err
}

// PermissionsOf shows rows.
func PermissionsOf(rows []policy.Permission) []view.Permission {
	out := make([]view.Permission, 0, len(rows))
	for _, p := range rows {
		out = append(out, view.PermissionOf(p))
	}
	return out
}
