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
type Explainer func(context.Context, ExplainRequest) (view.Explanation, error)

// An ExplainRequest is a request that has not been made. UID or Kid, at most one, say whose
// credential it is thought to come with.
type ExplainRequest struct {
	Method, Target string
	UID, Kid       string
	IP             netip.Addr
	UserAgent      string
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

func (a *API) answer(ctx context.Context, who staff, in explain) (e view.Explanation, err error) {
	q := ExplainRequest{Method: in.Method, Target: in.Path, UID: in.UID, Kid: in.Kid, IP: who.IP, UserAgent: in.UserAgent}
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
	e.Permissions = view.PermissionsOf(rows)
	return e, err
}
