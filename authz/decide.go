package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/token"
	"barong/policy"
)

// decide answers one question. It reads from top to bottom in the order of the
// specification (AZ-30 with design D5, D10b, D20…D23): the first rule that decides ends it.
//
// r has been read but not parsed, d is empty. now is this process's time, by which the age of data
// is judged; what other replicas judge too goes by the time that all share (Shared). One policy
// snapshot is used throughout. Errors of dependencies and panics are the caller's (conclude) to turn
// into 503; every path that returns without having called d.allow is a denial.
func (s *Server) decide(ctx context.Context, r *request, d *decision, now time.Time) {
	// The request, in its one canonical spelling: anything else is refused, not guessed.
	status, reason := r.parse(s.reading)
	if r.suspect != suspectNothing {
		s.suspected(r)
	}
	if reason != "" {
		d.deny(refusal{status, reason})
		return
	}

	// A policy that has not been confirmed for too long decides nothing (design D21).
	if age := s.Rules.Age(now); age > s.PolicyMaxStale {
		d.unavailable(fmt.Errorf("policy was last confirmed %v ago", age))
		return
	}
	rules := s.Rules.Load()
	d.snapshot = rules.Version()

	// Where the client comes from, for every path but the whitelink's (AZ-40…49). Where a
	// mistake can be undone it waits until the caller is known (design D24).
	barred, back := rules.Restricted(r.ip, r.method, r.bare), isWayBack(r.path)
	if barred != nil && !back {
		d.restricted(barred)
		return
	}

	// Nothing but a websocket where there is one may become a tunnel, whatever the path's rules.
	if !s.mayUpgrade(r) {
		d.deny(pathRefused)
		return
	}

	// Which path: unknown components and blocked prefixes are refused whatever the
	// credential (FX-6, AZ-71); preflights and passed prefixes are let through without
	// looking at one (design D23, AZ-32, AZ-72).
	route := rules.Route(r.path)
	switch {
	case !rules.Component(r.path) || route == policy.Block:
		d.deny(pathRefused)
		return
	case isPreflight(r):
		s.allowAnonymous(r, d)
		return
	case route == policy.Pass:
		if barred != nil {
			d.restricted(barred)
			return
		}
		s.allowAnonymous(r, d)
		return
	}

	// The caller. Cached accounts, keys and sessions are believed only while the change feed
	// is read (design D21).
	if age := s.Feed.Age(now); age > s.CacheMaxStale {
		d.unavailable(fmt.Errorf("change feed was last read %v ago", age))
		return
	}
	if s.Shared != nil {
		now = s.Shared(now)
	}
	var who credential
	if presented, complete := r.apiKeyHeaders(); presented {
		who = s.apiKey(ctx, r, d, complete, now)
	} else {
		who = s.sessionCookie(ctx, rules, r, d, now)
	}
	back = back && who.via == viaSession && who.principal.Role == account.RoleSuperadmin
	if barred != nil && !back {
		d.restricted(barred)
		return
	}
	if who.principal == nil {
		return // d holds the denial
	}
	d.who, d.via, d.kid = who.principal, who.via, who.kid

	// An account that anybody may have made with somebody's address is of little use until the
	// address is proved (design D27).
	if who.principal.AwaitsProof() && !beforeProof(r) {
		d.deny(refusal{http.StatusForbidden, reasonEmailNotVerified})
		return
	}

	// Staff work from an active account alone, as the admin API says, too.
	if who.principal.State != account.StateActive && isAdmin(r.path) {
		d.deny(unauthorized(reasonUserNotActive))
		return
	}

	// Whether the role may (AZ-140…151), and whether an API key may: at all (design D10b), and by
	// its scope.
	permit, reason := rules.Permission(who.principal.Role, r.method, r.path), ""
	switch {
	case who.via == viaAPIKey && isOwnKey(r): // which says why it may do nothing else
	case !permit.Allows && !back, who.via == viaAPIKey && s.apiKeyForbidden(r.path):
		reason = reasonInvalidPermission
	case who.via == viaAPIKey && !s.withinScope(rules, who.key, r):
		reason = reasonAPIKeyScope
	}
	if reason != "" {
		if !s.recordDenied(ctx, rules, r, who, now) {
			d.unavailable(errAuditFull)
			return
		}
		d.deny(refusal{status: s.RBACDeniedStatus, reason: reason})
		return
	}

	// The token comes before all records of an allowed request, so that nothing is remembered
	// of one that ends as an outage (FX-10: nonces count only when allowed).
	bearer, err := s.bearer(who, s.party(r.path), now)
	if err != nil {
		d.unavailable(err)
		return
	}
	if who.via == viaAPIKey && !s.nonceFresh(ctx, r, d, who, now) {
		return // d holds the denial
	}
	if permit.Audit && !keepsOwnRecord(r) && !s.recordAllowed(ctx, rules, r, who, permit.Topic, now) {
		d.unavailable(errAuditFull)
		return
	}
	if who.key != nil && s.Uses != nil {
		s.Uses.Note(who.key, r.ip, now)
	}
	s.allow(r, d, bearer)
}

// isOwnKey reports whether r reads the API key that signs it, which every key may do.
func isOwnKey(r *request) bool {
	return r.verb == http.MethodGet && r.path == "api/v2/barong/resource/api_keys/self"
}

// isWayBack reports whether path is where restrictions and permissions are changed: an active
// superadmin's session reaches it whatever they say, so that a mistake, or a misdeed of
// somebody of a lower rank, can be undone (design D24). No API key does, and route rules,
// which nobody changes from afar, still count.
func isWayBack(path string) bool {
	rest, ok := strings.CutPrefix(path, adminPath+"/")
	if !ok {
		return false
	}
	noun, _, _ := strings.Cut(rest, "/")
	return noun == "restrictions" || noun == "permissions"
}

const adminPath = "api/v2/barong/admin"

// isAdmin reports whether path is of Barong's admin API.
func isAdmin(path string) bool {
	rest, ok := strings.CutPrefix(path, adminPath)
	return ok && (rest == "" || rest[0] == '/')
}

// restricted makes d the denial of a restriction, whatever a credential came to before.
func (d *decision) restricted(x *policy.Denial) {
	d.cause = nil
	d.deny(refusal{status: x.Status, reason: x.Reason})
	d.restriction = x.ID
}

// A refusal is why and with which status a question is denied; the zero value refuses
// nothing.
type refusal struct {
	status int
	reason string
}

// Reasons of denials [WIRE]. Restrictions bring their own (authz.restrict.<category>).
const (
	reasonInvalidMethod     = "authz.invalid_method"
	reasonPermissionDenied  = "authz.permission_denied"
	reasonAPIKeyHeaders     = "authz.invalid_api_key_headers"
	reasonMissingCSRF       = "authz.missing_csrf_token"
	reasonCSRFMismatch      = "authz.csrf_token_mismatch"
	reasonInvalidSession    = "authz.invalid_session"
	reasonClientMismatch    = "authz.client_session_mismatch"
	reasonUserNotActive     = "authz.user_not_active"
	reasonEmailNotVerified  = "authz.email_not_verified"
	reasonUnknownAPIKey     = "authz.unexistent_apikey"
	reasonNonceInvalid      = "authz.nonce_not_valid_timestamp"
	reasonNonceExpired      = "authz.nonce_expired"
	reasonInvalidSignature  = "authz.invalid_signature"
	reasonReplayed          = "authz.signature_blacklisted"
	reasonAPIKeyNotActive   = "authz.apikey_not_active"
	reasonAPIKeyExpired     = "authz.apikey_expired"
	reasonAPIKeyAddress     = "authz.apikey_address_not_allowed"
	reasonAPIKeyScope       = "authz.apikey_scope_not_allowed"
	reasonDisabled2FA       = "authz.disabled_2fa"
	reasonInvalidPermission = "authz.invalid_permission"
	reasonUnavailable       = "authz.unavailable"
)

// pathRefused is the answer to blocked, unknown and ambiguous paths (AZ-71, design D5).
var pathRefused = refusal{http.StatusUnauthorized, reasonPermissionDenied}

// unauthorized is a refusal with status 401.
func unauthorized(reason string) refusal { return refusal{http.StatusUnauthorized, reason} }

// errAuditFull says that an activity could not be kept while audit_required is on (FX-33).
var errAuditFull = errors.New("an activity that must be kept could not be recorded")

// isPreflight reports whether r is a CORS preflight (Fetch §3.2.2), which never carries a
// credential.
func isPreflight(r *request) bool {
	return r.method == http.MethodOptions && r.hasOrigin && r.hasRequestMethod
}

// beforeProof reports whether an account may do r before its address is proved: prove it, reset
// the password, sign in and out, which is all below identity, and read itself.
func beforeProof(r *request) bool {
	const own, identity = "api/v2/barong/resource/users/me", "api/v2/barong/identity/"
	switch r.method {
	case http.MethodGet, http.MethodHead:
		return r.path == own || strings.HasPrefix(r.path, identity)
	}
	return strings.HasPrefix(r.path, identity)
}

// apiKeyForbidden reports whether path is one that API keys may not reach. Like DROP rows
// it also covers paths that go on with a byte that no segment name continues with, so that
// a suffix does not get around it, and the same letters in another case.
func (s *Server) apiKeyForbidden(path string) bool {
	for _, p := range s.forbidden {
		if len(path) >= len(p) && strings.EqualFold(path[:len(p)], p) && (len(path) == len(p) || !continuesName(path[len(p)])) {
			return true
		}
	}
	return false
}

func continuesName(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// party is for whom the token of a canonical path is (design D7d): this service on its own
// paths, and else the component that the path names, or all of them.
func (s *Server) party(path string) string {
	const longest = 64 // a listed component's name is shorter; the slot keeps it
	rest, _ := strings.CutPrefix(path, "api/v2/")
	if len(rest) == len(path) {
		return token.PartyComponents
	}
	component := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		component = rest[:i]
	}
	switch {
	case component == token.PartyBarong:
		return token.PartyBarong
	case s.PartyPerComponent && component != "" && len(component) <= longest:
		return component
	}
	return token.PartyComponents
}

// bearer returns the token of a credential for a party: the one minted a moment ago if it
// still says the truth, else a new one (design D7).
func (s *Server) bearer(who credential, party string, now time.Time) (string, error) {
	p := who.principal
	if bearer, ok := s.Tokens.Reuse(who.slot, party, p.Version, now); ok {
		return bearer, nil
	}
	kid := ""
	if party == token.PartyBarong {
		kid = who.kid
	}
	bearer, err := s.Tokens.Mint(who.slot, p.Version, token.Claims{
		APIKey: kid, Party: party, UID: p.UID, Email: p.Email, Role: p.Role, State: p.State, Level: p.Level,
		Username: p.Username, ReferralID: p.ReferralID,
		ServiceAccount: p.Kind == account.KindServiceAccount,
	}, now)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if bearer == "" {
		return "", errors.New("mint token: empty")
	}
	return bearer, nil
}
