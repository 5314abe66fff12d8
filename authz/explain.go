package authz

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/session"
	"barong/policy"
)

// An ExplainRequest asks for the decision on a request that has not been made. It holds no secret:
// Explain takes the credential to be in order.
type ExplainRequest struct {
	Method string
	// Target is path and query, beginning with a slash.
	Target string
	// UID asks with a session that this user has just opened from IP, with its CSRF token;
	// Kid asks with a request just signed by this API key. Neither asks without a
	// credential, both is ErrTwoCredentials.
	UID, Kid string
	// IP is the client's address.
	IP        netip.Addr
	UserAgent string
}

// ErrTwoCredentials says that a request to explain has two credentials.
var ErrTwoCredentials = errors.New("authz: a request to explain names a user or an API key, not both")

// An Explanation is the answer to an ExplainRequest and how it came about.
type Explanation struct {
	Allowed bool
	// Status and Reason are those of the denial; 200 and "" when allowed.
	Status int
	Reason string
	Outage bool
	// Snapshot is the policy version that decided.
	Snapshot int64
	// Path is canonical, "" when the request was refused before it had one.
	Path string
	// UID and Role are those of the principal that was proved, "" for none.
	UID, Role string
	// Bearer says whether the upstream would get a token.
	Bearer bool
	// Steps are the rules in the order in which they were looked at, up to the one that
	// decided.
	Steps []Step
}

// A Step is one rule of a decision.
type Step struct {
	// Rule is request, policy, restriction, route, preflight, feed, credential, permission,
	// api_key or token.
	Rule string
	// Outcome is pass, allow, deny or unavailable. All but pass end the decision.
	Outcome string
	Detail  string
}

// Explain answers q by the very code that Check runs, over the snapshot and the caches of
// this moment, and changes nothing: no session slides or ends, no nonce is used, no activity
// written, nothing counted. It takes every write to a store that only remembers (sessions,
// nonces, activities) to succeed.
func (s *Server) Explain(ctx context.Context, q ExplainRequest) (Explanation, error) {
	if q.UID != "" && q.Kid != "" {
		return Explanation{}, ErrTwoCredentials
	}
	ctx, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	h := &hypothesis{Server: s, q: q, now: now, snapshot: s.Rules.Load()}
	twin := &Server{
		Parts: Parts{
			Rules: (*hypotheticalRules)(h), Feed: s.Feed, Sessions: (*hypotheticalSessions)(h),
			Accounts: (*hypotheticalAccounts)(h), Keys: (*hypotheticalKeys)(h),
			Tokens: s.Tokens, Nonces: memoryless{}, Activities: memoryless{}, Now: s.Now,
		},
		Config: s.Config, reading: s.reading, forbidden: s.forbidden, websockets: s.websockets, origins: s.origins,
		deletionCookie: s.deletionCookie,
	}
	r, d := h.request(ctx), &decision{}
	asked := *r
	func() {
		defer func() {
			if p := recover(); p != nil {
				d.unavailable(fmt.Errorf("panic: %v", p))
			}
		}()
		twin.decide(ctx, r, d, now)
	}()
	e := Explanation{
		Allowed: d.allowed(), Status: http.StatusOK, Reason: d.reason, Outage: d.outage,
		Snapshot: d.snapshot, Bearer: d.bearer != "", Steps: h.steps(&asked, r, d),
	}
	if !e.Allowed {
		_, e.Status = d.outcome()
	}
	if e.Steps[0].Outcome == pass {
		e.Path = r.path
	}
	if d.who != nil {
		e.UID, e.Role = d.who.UID, d.who.Role
	}
	return e, nil
}

// A hypothesis is a question together with the credential that it is thought to come with.
type hypothesis struct {
	*Server
	q        ExplainRequest
	now      time.Time
	snapshot *policy.Snapshot
}

const (
	hypotheticalCookie = "00000000000000000000000000000000"
	hypotheticalCSRF   = "00000000000000000000"
)

// request is the request that the client would have sent.
func (h *hypothesis) request(ctx context.Context) *request {
	r := &request{
		method: h.q.Method, target: h.q.Target, userAgent: h.q.UserAgent,
		peer: h.q.IP.Unmap().WithZone(""),
	}
	switch {
	case h.q.Kid != "":
		r.apiKey, r.nonce = h.q.Kid, strconv.FormatInt(h.now.UnixMilli(), 10)
		r.hasAPIKey, r.hasNonce, r.hasSignature = true, true, true
		r.signature = "-" // nobody's, should the key not be there
		if key, err := h.Keys.Key(ctx, h.q.Kid); err == nil {
			mac := key.MAC(r.nonce, r.apiKey)
			r.signature = hex.EncodeToString(mac[:])
		}
	case h.q.UID != "":
		r.cookie, r.hasCookie = h.SessionName+"="+hypotheticalCookie, true
		r.csrf, r.hasCSRF = hypotheticalCSRF, true
	}
	return r
}

// hypotheticalRules keeps the whole explanation on one snapshot.
type hypotheticalRules hypothesis

func (h *hypotheticalRules) Load() *policy.Snapshot          { return h.snapshot }
func (h *hypotheticalRules) Age(now time.Time) time.Duration { return h.Server.Rules.Age(now) }

// hypotheticalSessions has the one session of the question.
type hypotheticalSessions hypothesis

func (h *hypotheticalSessions) Lookup(ctx context.Context, cookie string, _ time.Time) (*session.Entry, error) {
	if h.q.UID == "" || cookie != hypotheticalCookie {
		return nil, session.ErrNotFound
	}
	row := session.Session{
		UID: h.q.UID, IP: h.q.IP.Unmap().WithZone(""), UserAgent: h.q.UserAgent, CSRFToken: hypotheticalCSRF,
		Epoch: h.Server.Sessions.Epoch(), CreatedAt: h.now, ExpiresAt: h.now.Add(time.Hour),
	}
	// Sign-in gives a session its user's generation; decide handles an error.
	if p, err := h.Server.Accounts.Principal(ctx, h.q.UID); err == nil {
		row.Generation = p.SessionGeneration
	}
	return session.NewEntry(row), nil
}

func (h *hypotheticalSessions) Slide(*session.Entry, time.Time)       {}
func (h *hypotheticalSessions) End(context.Context, session.ID) error { return nil }
func (h *hypotheticalSessions) Ended(session.ID) bool                 { return false }
func (h *hypotheticalSessions) Epoch() int64                          { return h.Server.Sessions.Epoch() }

// hypotheticalAccounts are the real ones.
type hypotheticalAccounts hypothesis

func (h *hypotheticalAccounts) Reload(ctx context.Context, uid string) (*account.Principal, error) {
	return h.Principal(ctx, uid)
}

func (h *hypotheticalAccounts) Principal(ctx context.Context, uid string) (*account.Principal, error) {
	return h.Server.Accounts.Principal(ctx, uid)
}

// hypotheticalKeys are the real ones, but come without their token, which is not to be replaced.
type hypotheticalKeys hypothesis

func (h *hypotheticalKeys) Key(ctx context.Context, kid string) (*apikey.Entry, error) {
	key, err := h.Server.Keys.Key(ctx, kid)
	if err != nil {
		return nil, err
	}
	return apikey.NewEntry(key.Record), nil
}

func (h *hypotheticalKeys) DummyMAC(nonce, kid string) [32]byte {
	return h.Server.Keys.DummyMAC(nonce, kid)
}

// memoryless takes everything and keeps nothing.
type memoryless struct{}

func (memoryless) UseNonce(context.Context, string, string, time.Time) (bool, error) {
	return true, nil
}
func (memoryless) Record(audit.Activity) bool { return true }
func (memoryless) Fold(string, string) bool   { return false }

// Outcomes of steps.
const (
	pass        = "pass"
	allowed     = "allow"
	denied      = "deny"
	unavailable = "unavailable"
)

// steps retells d: asked is the request before decide, r after it. Every step but the last
// one passed.
func (h *hypothesis) steps(asked, r *request, d *decision) (all []Step) {
	add := func(rule, outcome, detail string, args ...any) bool {
		all = append(all, Step{rule, outcome, fmt.Sprintf(detail, args...)})
		return outcome == pass
	}
	if status, reason := asked.parse(h.reading); reason != "" {
		add("request", denied, "%s, status %d", reason, status)
		return all
	}
	add("request", pass, "%s %s from %s", r.method, r.path, r.ip)
	if age := h.Server.Rules.Age(h.now); age > h.PolicyMaxStale {
		add("policy", unavailable, "the policy was last confirmed %v ago", age)
		return all
	}
	add("policy", pass, "version %d", h.snapshot.Version())
	back := isWayBack(r.path) && d.who != nil && d.via == viaSession && d.who.Role == account.RoleSuperadmin
	switch x := h.snapshot.Restricted(r.ip, r.method, r.bare); {
	case x == nil:
		add("restriction", pass, "none refuses")
	case back, isWayBack(r.path) && isPreflight(r):
		add("restriction", pass, "restriction %d would refuse; here superadmins may undo it", x.ID)
	default:
		add("restriction", denied, "restriction %d: %s, status %d", x.ID, x.Reason, x.Status)
		return all
	}
	route := h.snapshot.Route(r.path)
	switch {
	case !h.snapshot.Component(r.path):
		add("route", denied, "no known component")
		return all
	case route == policy.Block:
		add("route", denied, "a block rule")
		return all
	case isPreflight(r):
		add("preflight", allowed, "no credential is looked at")
		return all
	case route == policy.Pass:
		add("route", allowed, "a pass rule; no credential is looked at")
		return all
	}
	add("route", pass, "no rule")
	if age := h.Feed.Age(h.now); age > h.CacheMaxStale {
		add("feed", unavailable, "the change feed was last read %v ago", age)
		return all
	}
	if !h.credentialStep(add, d) {
		return all
	}
	role := d.who.Role
	ownKey := d.via == viaAPIKey && isOwnKey(r)
	if permit := h.snapshot.Permission(role, r.method, r.path); ownKey {
		add("permission", pass, "an API key may read itself")
	} else if !permit.Allows && back {
		add("permission", pass, "role %s: refused by its rows; here superadmins may undo that", role)
	} else if !permit.Allows {
		add("permission", denied, "role %s: no ACCEPT row, or a DROP row", role)
		return all
	} else if permit.Audit {
		add("permission", pass, "role %s: ACCEPT, with an activity", role)
	} else {
		add("permission", pass, "role %s: ACCEPT", role)
	}
	if d.via == viaAPIKey && !ownKey && h.apiKeyForbidden(r.path) {
		add("api_key", denied, "no API key may reach this path")
		return all
	}
	if d.reason == reasonAPIKeyScope {
		add("api_key", denied, "the key's scope does not cover it")
		return all
	}
	switch {
	case d.outage:
		add("token", unavailable, "no token could be made")
	case d.reason != "":
		add("token", denied, "%s", d.reason)
	default:
		add("token", allowed, "the upstream gets a token")
	}
	return all
}

// credentialStep adds the outcome for the credential and reports whether it was good.
func (h *hypothesis) credentialStep(add func(rule, outcome, detail string, args ...any) bool, d *decision) bool {
	what := "no credential"
	switch {
	case h.q.UID != "":
		what = "a session of " + h.q.UID
	case h.q.Kid != "":
		what = "the API key " + h.q.Kid
	}
	switch {
	case d.outage && d.who == nil:
		return add("credential", unavailable, "%s: a store did not answer", what)
	case d.who == nil, d.reason == reasonUserNotActive, d.reason == reasonDisabled2FA, d.reason == reasonInvalidSession,
		d.reason == reasonEmailNotVerified:
		return add("credential", denied, "%s: %s", what, d.reason)
	}
	return add("credential", pass, "%s, of %s with role %s", what, d.who.UID, d.who.Role)
}
