package authz

import (
	"net/http"
	"strings"
)

// deny makes d a denial.
func (d *decision) deny(no refusal) {
	// Nothing that an allow would carry may survive, whatever was decided before.
	d.bearer, d.cookie, d.cookieValue = "", cookieKeep, ""
	d.component, d.remove = false, d.remove[:0]
	d.status, d.reason, d.detail, d.outage = no.status, no.reason, "", false
	// A denial below 400 would be an allow to a proxy that looks at nothing but the status,
	// and one above 499 an outage (FX-23).
	if no.status < 400 || no.status > 499 {
		d.status = http.StatusForbidden
	}
}

// unavailable makes d the answer of an outage, which says nothing about the caller. cause
// is for the log and never shown.
func (d *decision) unavailable(cause error) {
	d.deny(refusal{reason: reasonUnavailable})
	d.status, d.outage, d.clearCookie, d.cause = http.StatusServiceUnavailable, true, "", cause
}

// allowAnonymous lets r through without a token. Every answer without one takes away the
// Authorization that the client made up (FX-8).
func (s *Server) allowAnonymous(r *request, d *decision) { s.allow(r, d, "") }

// allow lets r through with bearer, "" for none. The caller's credentials stay here: the
// upstream gets the token instead (design D12).
func (s *Server) allow(r *request, d *decision, bearer string) {
	d.status, d.reason, d.detail, d.outage, d.bearer = http.StatusOK, "", "", false, bearer
	if s.ForwardCredentials || isOwnPath(r.path) {
		return
	}
	d.component, d.remove = true, append(d.remove[:0], r.extra...)
	d.cookie, d.cookieValue = r.stripOwn(s.SessionName)
}

// isOwnPath reports whether path is one of this service's REST API, which needs the
// credentials themselves.
func isOwnPath(path string) bool { return strings.HasPrefix(path, "api/v2/barong/") }

// denialBody is the JSON of a denial, without whitespace [WIRE] (AZ-202). detail is an object, or
// "" for none.
func denialBody(reason, detail string) string {
	if detail == "" {
		return jsonHead + reason + jsonEnd
	}
	return jsonHead + reason + jsonDetail + detail + "}"
}

// retryAfter is the time after which clients may come back after an outage, in seconds.
const retryAfter = "1"
