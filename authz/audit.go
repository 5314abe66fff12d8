package authz

import (
	"context"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/policy"
)

// recordDenied keeps that a role did not suffice (AZ-150); its topic is derived from the
// path. recordAllowed keeps that it did, where an AUDIT row asks for it (AZ-151); topic is
// that row's, "" for none. They report whether the decision may stand: false only if the
// activity is lost and none may be (design D22).
func (s *Server) recordDenied(
	ctx context.Context, rules *policy.Snapshot, r *request, who credential, now time.Time,
) bool {
	if p := who.principal; s.Activities.Fold(string(p.Kind), p.UID) {
		return true
	}
	return s.record(ctx, rules, r, who, audit.Denied, "", now)
}

// "Succeed" is the reference's word for "was let through" (AZ-152): its outcome at the
// component is not known here, and "by":"gate" in the data says that it is this row's word.
func (s *Server) recordAllowed(
	ctx context.Context, rules *policy.Snapshot, r *request, who credential, topic string, now time.Time,
) bool {
	return s.record(ctx, rules, r, who, audit.Succeed, topic, now)
}

// keepsOwnRecord reports whether r asks for a change that Barong's own REST API for staff would
// make: that keeps one activity of it, with its outcome.
func keepsOwnRecord(r *request) bool {
	return changesState(r.method) && isAdmin(r.path)
}

// record builds the activity from copies: the request's strings die with its message. A missing
// value is left empty and the store cuts one that is too long, so that nothing a caller sends
// keeps the row from being written (FX-33).
func (s *Server) record(
	ctx context.Context, rules *policy.Snapshot, r *request, who credential, result, topic string, now time.Time,
) bool {
	p := who.principal
	a := audit.Activity{
		ActorUID:  p.UID,
		ActorKind: string(p.Kind),
		ActorRef:  p.UID,
		Category:  audit.CategoryOf(r.path),
		IP:        r.ip.String(),
		IPCountry: rules.Country(r.ip),
		UserAgent: strings.Clone(r.userAgent),
		Topic:     topic,
		Action:    audit.ActionOf(r.method),
		Result:    result,
		CreatedAt: now,
	}
	switch {
	case topic != "":
	case result == audit.Denied:
		a.Topic = strings.Clone(audit.DeniedTopicOf(r.path))
	default:
		a.Topic = strings.Clone(audit.TopicOf(r.path))
	}
	serviceAccount := ""
	if p.Kind == account.KindServiceAccount {
		a.ActorUID, serviceAccount = p.OwnerUID, p.UID // the owner is "" for an orphan (FX-37)
	}
	var target string
	a.Data, target = audit.Mask(audit.Params{
		Query: r.query, ContentType: r.contentType, Body: []byte(r.body), UserAgent: r.userAgent,
		Cut: r.bodyBroken || len(r.body) >= maxAuditBody, // at that length gateways cut, too
	}, r.path, "by", "gate", "kid", who.kid, "service_account_uid", serviceAccount, "request_id", r.requestID)
	if target != "" && a.Category == audit.CategoryAdmin {
		// An unknown uid stays in the data only (AZ-166, FX-33).
		if known, err := s.Accounts.Principal(ctx, target); err == nil {
			a.TargetUID = known.UID
		}
	}
	return s.Activities.Record(a) || !s.AuditRequired
}

// isAdminPath reports whether a request for a target is an administrator's activity, so that
// its body is worth reading (design D22): by the canonical path, which the activity records. A
// target that has none is refused whatever its body says.
func isAdminPath(target string) bool {
	path, _, _, ok := canonical(target, nil)
	return ok && audit.CategoryOf(path) == audit.CategoryAdmin
}
