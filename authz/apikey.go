package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/policy"
)

// Replay is the treatment of an API key's nonce that was used before (FX-10, design D9).
type Replay string

// The modes of replay protection; the zero value is off.
const (
	ReplayOff     Replay = "off"
	ReplayMonitor Replay = "monitor"
	ReplayEnforce Replay = "enforce"
)

// apiKey proves a signed API key, version 1: the headers are complete, the key exists, the
// nonce is a time and a recent one, the signature is right, the key may be used now and from
// here, and its holder may act.
// The order of the answers is part of the contract (AZ-115…126). One of its three headers
// is enough to be judged by them, and there is no way back to the cookie (AZ-80); complete
// reports whether all three are there, once and not blank. apiKey returns the zero credential
// when it has denied.
func (s *Server) apiKey(
	ctx context.Context, r *request, d *decision, complete bool, now time.Time,
) credential {
	d.via = viaAPIKey
	if !complete {
		d.deny(refusal{http.StatusUnprocessableEntity, reasonAPIKeyHeaders})
		return credential{}
	}

	key, err := s.Keys.Key(ctx, r.apiKey)
	if errors.Is(err, account.ErrNotFound) {
		// The work that a wrong signature costs (FX-12).
		signatureMatches(r.signature, s.Keys.DummyMAC(r.nonce, r.apiKey))
		d.deny(unauthorized(reasonUnknownAPIKey))
		return credential{}
	}
	if err != nil {
		d.unavailable(fmt.Errorf("load API key: %w", err))
		return credential{}
	}
	d.kid, d.uid = key.Kid, key.HolderUID

	signed, ok := parseNonce(r.nonce)
	if !ok {
		d.deny(unauthorized(reasonNonceInvalid))
		d.detail = s.nonceDetail(now, 0)
		return credential{}
	}
	// The difference cannot overflow: a nonce has at most 16 digits.
	if age := now.UnixMilli() - signed; age >= s.NonceLifetime.Milliseconds() || -age >= s.NonceLifetime.Milliseconds() {
		d.deny(unauthorized(reasonNonceExpired))
		d.detail = s.nonceDetail(now, signed)
		return credential{}
	}
	if !signatureMatches(r.signature, key.MAC(r.nonce, r.apiKey)) {
		d.deny(unauthorized(reasonInvalidSignature))
		d.detail = signatureDetail(r)
		return credential{}
	}
	// Only the secret's holder learns of these.
	switch {
	case key.State != apikey.Active:
		d.deny(unauthorized(reasonAPIKeyNotActive))
		return credential{}
	case key.Expired(now):
		d.deny(unauthorized(reasonAPIKeyExpired))
		d.detail = `{"expires_at":` + strconv.FormatInt(key.ExpiresAt.UnixMilli(), 10) + `,"now":` +
			strconv.FormatInt(now.UnixMilli(), 10) + `}`
		return credential{}
	case !key.Networks.Admit(r.ip):
		d.deny(unauthorized(reasonAPIKeyAddress))
		d.detail = `{"address":"` + r.ip.String() + `"}` // as it is seen here, whatever proxies did
		return credential{}
	}

	who, err := s.Accounts.Principal(ctx, key.HolderUID)
	switch {
	case err != nil && !errors.Is(err, account.ErrNotFound):
		d.unavailable(fmt.Errorf("load holder of API key: %w", err))
		return credential{}
	case err != nil || !account.MayAct(who.State):
		d.deny(unauthorized(reasonInvalidSession)) // AZ-125; also a holder that is gone
		return credential{}
	case who.Kind == account.KindUser && !who.OTP:
		d.deny(unauthorized(reasonDisabled2FA))
		d.who = who
		return credential{}
	}
	return credential{principal: who, slot: &key.Token, via: viaAPIKey, kid: key.Kid, key: key}
}

// withinScope reports whether the scope of key lets it do r. A key without one may do all that its
// holder's role may.
func (s *Server) withinScope(rules *policy.Snapshot, key *apikey.Entry, r *request) bool {
	if len(key.Scope) == 0 || rules.Scoped(key.Scope, r.method, r.path) {
		return true
	}
	if key.ScopeEnforced || s.ScopeEnforce {
		return false
	}
	s.Metrics.unscoped()
	return true
}

// nonceDetail says how a nonce is judged. signed is its time, 0 when it has none. It holds nothing
// of the key, and no more of the clock than anybody may read.
func (s *Server) nonceDetail(now time.Time, signed int64) string {
	b := make([]byte, 0, 128)
	b = append(b, `{"unit":"ms","now":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	if signed != 0 {
		b = append(b, `,"skew":`...)
		b = strconv.AppendInt(b, signed-now.UnixMilli(), 10)
	}
	b = append(b, `,"window":`...)
	b = strconv.AppendInt(b, s.NonceLifetime.Milliseconds(), 10)
	return string(append(b, '}'))
}

// signatureDetail says what should have been signed, and how. It is made of the request's own
// words and never of the secret, so that it helps no one who guesses.
func signatureDetail(r *request) string {
	signed, _ := json.Marshal(r.nonce + r.apiKey) // a string always has an encoding
	return `{"algorithm":"HMAC-SHA256","encoding":"hex, lower case","signed":` + string(signed) + `}`
}

// signatureMatches reports in constant time whether sent is mac in lower-case hex (AZ-119,
// AZ-120).
func signatureMatches(sent string, mac [sha256.Size]byte) bool {
	var got [sha256.Size]byte
	if len(sent) != 2*len(got) {
		return false
	}
	for i := range got {
		hi, ok1 := lowerHex(sent[2*i])
		lo, ok2 := lowerHex(sent[2*i+1])
		if !ok1 || !ok2 {
			return false
		}
		got[i] = hi<<4 | lo
	}
	return subtle.ConstantTimeCompare(got[:], mac[:]) == 1
}

func lowerHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	default:
		return 0, false
	}
}

// nonceFresh remembers the nonce of a request that is about to be allowed, and denies it
// when it was used before and the mode says so. Monitoring never changes an answer.
func (s *Server) nonceFresh(ctx context.Context, r *request, d *decision, who credential, now time.Time) bool {
	mode := s.Replay
	if slices.Contains(s.StaffRoles, who.principal.Role) {
		mode = ReplayEnforce // an observer of one request of theirs could make any
	}
	if mode != ReplayMonitor && mode != ReplayEnforce {
		return true
	}
	// Both ends of the window are a lifetime away, so twice that covers any nonce.
	fresh, err := s.Nonces.UseNonce(ctx, who.kid, strings.Clone(r.nonce), now.Add(2*s.NonceLifetime))
	if mode == ReplayMonitor {
		if err == nil && !fresh {
			s.Metrics.replayed()
		}
		return true
	}
	if err != nil {
		d.unavailable(fmt.Errorf("remember nonce: %w", err))
		return false
	}
	if !fresh {
		s.Metrics.replayed()
		d.deny(unauthorized(reasonReplayed))
		return false
	}
	return true
}
