package authz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// Rules gives the policy; policy.Holder does.
type Rules interface {
	// Load returns the newest snapshot, never nil.
	Load() *policy.Snapshot
	// Age is how long before now the snapshot was last known to be the newest.
	Age(now time.Time) time.Duration
}

// Feed knows how old cached accounts, keys and sessions may be; feed.Follower does.
type Feed interface {
	// Age is how long before now the change feed was last read.
	Age(now time.Time) time.Duration
}

// Sessions finds, slides and ends sessions; session.Manager does.
type Sessions interface {
	Lookup(ctx context.Context, cookie string, now time.Time) (*session.Entry, error)
	Slide(e *session.Entry, now time.Time)
	End(ctx context.Context, id session.ID) error
	Epoch() int64
	Ended(id session.ID) bool
}

// Accounts finds principals; directory.Directory does. A uid may alias a message: an implementation
// that keeps it must clone it.
type Accounts interface {
	Principal(ctx context.Context, uid string) (*account.Principal, error)
	// Reload is Principal, but never from memory.
	Reload(ctx context.Context, uid string) (*account.Principal, error)
}

// Keys finds API keys; apikey.Cache does. A kid may alias a message, as a uid may.
type Keys interface {
	Key(ctx context.Context, kid string) (*apikey.Entry, error)
	DummyMAC(nonce, kid string) [32]byte
}

// Uses hears of the use of API keys; apikey.Uses does. It does not wait.
type Uses interface {
	Note(key *apikey.Entry, ip netip.Addr, now time.Time)
}

// Tokens mints bearer tokens; token.Minter does.
type Tokens interface {
	Reuse(slot *token.Slot, party string, version int64, now time.Time) (bearer string, ok bool)
	Mint(slot *token.Slot, version int64, c token.Claims, now time.Time) (bearer string, err error)
}

// Nonces remembers the nonces of allowed API-key requests.
type Nonces interface {
	// UseNonce records that kid used nonce, to be remembered until then, and reports
	// whether it is the first use. Of concurrent calls one is the first.
	UseNonce(ctx context.Context, kid, nonce string, until time.Time) (bool, error)
}

// Activities keeps the record of requests; audit.Writer does.
type Activities interface {
	// Record never blocks; false means that the activity is lost.
	Record(a audit.Activity) bool
	// Fold counts a denial of a principal whose denials get no more rows of their own this
	// minute, and reports whether it did.
	Fold(kind, ref string) bool
}

// Parts are the sources a Server decides by. Nonces may be nil when Config.Replay is off
// and there are no StaffRoles, Uses, Metrics, Log, Readable, Warnings, Now and Shared always; the rest must
// be set.
type Parts struct {
	Rules      Rules
	Feed       Feed
	Sessions   Sessions
	Accounts   Accounts
	Keys       Keys
	Tokens     Tokens
	Nonces     Nonces
	Uses       Uses
	Activities Activities
	Metrics    *Metrics
	Log        *DecisionLog
	// Readable lets a page of an origin read a denial that Gate or forward-auth gives its
	// browser; nil lets none.
	Readable func(h http.Header, origin string)
	Warnings *slog.Logger     // for an operator to look into, each cause once; nil is nobody
	Now      func() time.Time // nil is the system's clock
	// Shared is the time of the clock that all replicas share, at a moment of Now; nil is Now.
	// Sessions, nonces, tokens and activities go by that one, the age of data by Now.
	Shared func(now time.Time) time.Time
}

// Config shapes decisions. Zero values switch off, where they can; of the rest Validate names those
// that are missing.
type Config struct {
	// RBACDeniedStatus is 401 or 403 (design D4).
	RBACDeniedStatus int
	// OutageAnswer is "error" or "deny" (design D20).
	OutageAnswer string
	// ForwardCredentials lets cookie and X-Auth-* reach upstreams (design D12).
	ForwardCredentials bool
	// Metadata sends dynamic metadata to Envoy.
	Metadata bool
	// CSRFProtection demands X-CSRF-Token for state-changing requests by cookie (AZ-85).
	CSRFProtection bool
	// Origins (scheme://host[:port]) may open websockets by cookie; "*" is ignored (D23).
	Origins []string
	// WebsocketPaths are where websockets may open, each with all below it (D23).
	WebsocketPaths []string
	// PolicyMaxStale and CacheMaxStale bound the age of the data behind a decision (design D21).
	PolicyMaxStale, CacheMaxStale time.Duration
	// Deadline bounds the waiting of one decision (FX-61).
	Deadline time.Duration
	// AuditRequired turns an activity that cannot be kept into 503 (design D22).
	AuditRequired bool

	// SessionName names the cookie; SecureCookie gives its deletion the Secure attribute.
	SessionName  string
	SecureCookie bool
	// SessionAbsolute is the longest life of a session (FX-53); 0 is without end.
	SessionAbsolute time.Duration
	// SessionMaskV4 and SessionMaskV6 are the bits of the address that must stay (FX-28).
	SessionMaskV4, SessionMaskV6 int

	// NonceLifetime is how far a nonce may be from the clock (AZ-118).
	NonceLifetime time.Duration
	// Replay is the treatment of a repeated nonce; "" is off. For holders with one of
	// StaffRoles it is always enforced (design D9).
	Replay     Replay
	StaffRoles []string
	// PartyPerComponent makes a token for the one component that a path names, instead of for
	// all of them (design D7d).
	PartyPerComponent bool
	// APIKeyForbidden are canonical paths that API keys may not reach (design D10b).
	APIKeyForbidden []string
	// ScopeEnforce holds keys to their scope also where that was given them elsewhere.
	ScopeEnforce bool

	// TrustedProxies, Gateway and GatewayNetworks find the client's address (design D13).
	// TrustPipe believes peers on a Unix socket.
	TrustedProxies  []netip.Prefix
	Gateway         string
	GatewayNetworks []netip.Prefix
	TrustPipe       bool
	// DirectClients says that no proxy is before Gate's listener: a client's claims there
	// about its address are not believed, even from loopback.
	DirectClients bool
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.RBACDeniedStatus == 401 || c.RBACDeniedStatus == 403,
		"rbac_denied_status must be 401 or 403, not %d", c.RBACDeniedStatus)
	wrong(c.OutageAnswer == "error" || c.OutageAnswer == "deny",
		"outage_answer must be error or deny, not %q", c.OutageAnswer)
	wrong(c.PolicyMaxStale > 0, "policy_max_stale must be positive")
	wrong(c.CacheMaxStale > 0, "cache_max_stale must be positive")
	wrong(c.Deadline > 0, "decision_timeout must be positive")
	wrong(c.SessionName != "" && !strings.ContainsAny(c.SessionName, "=; ,\t\r\n"),
		"session_name must be a cookie name, not %q", c.SessionName)
	wrong(c.SessionMaskV4 >= 0 && c.SessionMaskV4 <= 32, "session_ip_v4_mask must be 0 to 32")
	wrong(c.SessionMaskV6 >= 0 && c.SessionMaskV6 <= 128, "session_ip_v6_mask must be 0 to 128")
	wrong(c.NonceLifetime >= time.Millisecond, "apikey_nonce_lifetime must be at least 1 ms")
	wrong(c.Replay == "" || c.Replay == ReplayOff || c.Replay == ReplayMonitor || c.Replay == ReplayEnforce,
		"apikey_replay must be off, monitor or enforce, not %q", c.Replay)
	for _, p := range c.APIKeyForbidden {
		wrong(isPath(p), "apikey_forbidden: %q is not a path", p)
	}
	for _, p := range c.WebsocketPaths {
		wrong(isPath(p), "websocket_paths: %q is not a path", p)
	}
	return errors.Join(errs...)
}

func isPath(p string) bool {
	_, _, _, ok := canonical("/"+strings.Trim(p, "/"), nil)
	return ok
}

// canonicalPaths are paths of the configuration in the spelling that decisions see, so that
// api/v2/resource/otp is api/v2/barong/resource/otp.
func canonicalPaths(list []string) (all []string) {
	for _, p := range list {
		path, _, _, _ := canonical("/"+strings.Trim(p, "/"), nil)
		all = append(all, path)
	}
	return all
}

// A Server decides. It is safe for concurrent use and holds no state of its own.
type Server struct {
	Parts
	Config

	reading        *parseConfig
	forbidden      []string // canonical
	websockets     []string // canonical
	origins        []string
	deletionCookie string
	contexts       sync.Pool // of *lateContext
	ids            decisionIDs
	warned         [suspicions]atomic.Bool
}

// New checks c and p and returns a Server.
func New(p Parts, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if p.Rules == nil || p.Feed == nil || p.Sessions == nil || p.Accounts == nil || p.Keys == nil ||
		p.Tokens == nil || p.Activities == nil {
		return nil, errors.New("authz: a part is missing")
	}
	if p.Nonces == nil && (c.Replay == ReplayMonitor || c.Replay == ReplayEnforce || len(c.StaffRoles) > 0) {
		return nil, fmt.Errorf("apikey_replay %s, with staff roles %v, needs a nonce store", c.Replay, c.StaffRoles)
	}
	s := &Server{Parts: p, Config: c, deletionCookie: session.Cookies{Name: c.SessionName, Insecure: !c.SecureCookie}.Clear()}
	s.contexts.New = func() any { return new(lateContext) }
	var err error
	s.reading, err = newParseConfig(c.TrustedProxies, c.Gateway, c.GatewayNetworks, c.TrustPipe)
	if err != nil {
		return nil, err
	}
	s.forbidden, s.websockets = canonicalPaths(c.APIKeyForbidden), canonicalPaths(c.WebsocketPaths)
	for _, o := range c.Origins {
		if o != "*" && o != "" {
			s.origins = append(s.origins, o)
		}
	}
	s.ids.start()
	return s, nil
}

// conclude decides r and never fails: whatever goes wrong on the way, a panic included, d is a
// denial (FX-61). It counts and logs the decision. d must be empty, and r just read; unread is
// the error of reading it.
func (s *Server) conclude(ctx context.Context, r *request, d *decision, unread error) {
	start := time.Now()
	own := s.contexts.Get().(*lateContext)
	own.begin(ctx, start.Add(s.Deadline))
	defer s.finish(own, r, d, start)
	if unread != nil {
		d.deny(refusal{http.StatusBadRequest, reasonInvalidRequest})
		return
	}
	now := start
	if s.Now != nil {
		now = s.Now()
	}
	s.decide(own, r, d, now)
}

// finish is the end of every decision, run by defer so that it sees panics.
func (s *Server) finish(own *lateContext, r *request, d *decision, start time.Time) {
	if p := recover(); p != nil {
		s.Metrics.panicked()
		d.unavailable(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	} else if !d.allowed() && d.reason == "" {
		d.unavailable(errUndecided)
	}
	own.end(&s.contexts)
	took := time.Since(start)
	if s.Metadata {
		d.metadata, d.id = true, s.ids.next()
	}
	s.Metrics.decided(d, took)
	s.Log.decided(r, d, start, took)
}

// errUndecided says that no rule decided, which no path through decide leads to.
var errUndecided = errors.New("no rule decided")

// allowed reports whether d lets the request through. Only allow makes it so.
func (d *decision) allowed() bool { return d.status == http.StatusOK && d.reason == "" && !d.outage }

// suspected counts the doubt about the address of r's client, and warns of it once.
func (s *Server) suspected(r *request) {
	s.Metrics.suspected(r.suspect)
	if s.Warnings == nil || s.warned[r.suspect].Load() || s.warned[r.suspect].Swap(true) {
		return
	}
	peer, judged := r.peer, r.ip
	switch r.suspect { // beside the decision, which waits for no disk
	case suspectUnreadable:
		go s.Warnings.Warn("a trusted proxy says a client's address that is none; such requests are refused",
			"peer", peer, "see", "docs/proxies.md")
	default:
		go s.Warnings.Warn("clients are judged by the address of what looks like a proxy; "+
			"if it is yours, add its network to BARONG_TRUSTED_PROXIES",
			"cause", r.suspect, "peer", peer, "judged", judged, "see", "docs/proxies.md")
	}
}

// isTrusted reports whether peer is a proxy that may speak for its clients.
func (s *Server) isTrusted(peer netip.Addr) bool {
	return peer.IsValid() && s.reading.trusted.Contains(peer)
}
