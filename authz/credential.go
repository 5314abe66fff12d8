package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"

	"barong/internal/account"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// A credential is one that was proved: whose it is, where its token is kept, and how it was
// presented. The zero value is none.
type credential struct {
	principal *account.Principal
	slot      *token.Slot
	via       credentialKind
	kid       string // of an API key; outlives the request
}

type credentialKind uint8

const (
	viaNothing credentialKind = iota
	viaSession
	viaAPIKey
)

// String names the kind as it appears in metrics and logs.
func (k credentialKind) String() string {
	switch k {
	case viaSession:
		return "session"
	case viaAPIKey:
		return "api_key"
	default:
		return "none"
	}
}

// sessionCookie proves the session cookie: first that the page may send it, then that the
// session exists and is used by the client that opened it, then that its user may act, then
// that nothing has ended it since. It returns the zero credential when it has denied.
func (s *Server) sessionCookie(
	ctx context.Context, rules *policy.Snapshot, r *request, d *decision, now time.Time,
) credential {
	d.via = viaSession

	// CSRF comes before anything else, even before knowing whether there is a session
	// (AZ-85…89, FX-50).
	guarded := s.CSRFProtection && changesState(r.method)
	if guarded && !r.hasCSRF {
		d.deny(unauthorized(reasonMissingCSRF))
		s.nameOwner(ctx, r, d, now)
		return credential{}
	}
	cookies := r.sessionCookies(s.SessionName)
	if cookies.n > 0 && r.upgrade != "" && !s.sameOrigin(r) {
		d.deny(unauthorized(reasonCSRFMismatch))
		return credential{}
	}

	// Cookies that disagree about the session name none (FX-45).
	var e *session.Entry
	if cookies.n == 1 && !cookies.more && cookies.value[0] != "" {
		var err error
		e, err = s.Sessions.Lookup(ctx, cookies.value[0], now)
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			d.unavailable(fmt.Errorf("look up session: %w", err))
			return credential{}
		}
		if err != nil {
			e = nil
		}
	}
	if e != nil {
		d.uid = e.UID
	}
	if guarded && !csrfMatches(r, e) {
		d.deny(unauthorized(reasonCSRFMismatch))
		return credential{}
	}
	if e == nil {
		d.deny(unauthorized(reasonInvalidSession))
		return credential{}
	}

	// Another browser or another network ends it for good (AZ-97…100, FX-28).
	bound := s.bound(e, r)
	if !bound {
		if err := s.Sessions.End(ctx, e.ID); err != nil {
			d.unavailable(fmt.Errorf("end misused session: %w", err))
			return credential{}
		}
	}
	// One that ran out is over by itself (FX-53) and stays on record, so that its user can sign
	// out of it.
	if !bound || !now.Before(s.sessionEnd(e)) {
		d.deny(unauthorized(reasonClientMismatch))
		d.ended = true
		d.clearCookie = s.deletionCookie
		return credential{}
	}

	who, err := s.Accounts.Principal(ctx, e.UID)
	switch {
	case errors.Is(err, account.ErrNotFound):
		if err := s.Sessions.End(ctx, e.ID); err != nil {
			d.unavailable(fmt.Errorf("end session of a vanished user: %w", err))
			return credential{}
		}
		d.deny(unauthorized(reasonInvalidSession)) // FX-31
		return credential{}
	case err != nil:
		d.unavailable(fmt.Errorf("load principal: %w", err))
		return credential{}
	case !account.MayAct(who.State):
		// Before the generation, which a ban raises too: the banned read why (design D11).
		d.deny(unauthorized(reasonUserNotActive))
		d.who = who
		return credential{}
	case e.Generation < who.SessionGeneration || e.Epoch < s.Sessions.Epoch() ||
		rules.CutOff(e.IP, e.CreatedAt) && !(who.Role == account.RoleSuperadmin && isWayBack(r.path)):
		// It has ended already, with all others of its age: nothing to write.
		d.deny(unauthorized(reasonInvalidSession))
		d.who = who
		return credential{}
	}

	// Use keeps it alive, even if the role turns out not to suffice (AZ-101).
	s.Sessions.Slide(e, now)
	return credential{principal: who, slot: &e.Token, via: viaSession}
}

// nameOwner notes for the log whose session was presented, if that can be found.
func (s *Server) nameOwner(ctx context.Context, r *request, d *decision, now time.Time) {
	cookies := r.sessionCookies(s.SessionName)
	if cookies.n != 1 || cookies.more || cookies.value[0] == "" {
		return
	}
	if e, err := s.Sessions.Lookup(ctx, cookies.value[0], now); err == nil {
		d.uid = e.UID
	}
}

// changesState reports whether method needs a CSRF token: all but the safe ones (FX-50).
func changesState(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	default:
		return true
	}
}

// csrfMatches compares hashes, so that the time it takes tells nothing about the token, not
// even its length (FX-12). Without a session, and when the header was sent twice, nothing
// matches (AZ-88, FX-45).
func csrfMatches(r *request, e *session.Entry) bool {
	const longest = 64 // more than any token that is given out (20 characters)
	if e == nil || e.CSRFToken == "" || len(e.CSRFToken) > longest ||
		!r.csrfOnce() || len(r.csrf) > longest {
		return false
	}
	var sent, kept [longest]byte
	x := sha256.Sum256(sent[:copy(sent[:], r.csrf)])
	y := sha256.Sum256(kept[:copy(kept[:], e.CSRFToken)])
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// bound reports whether r comes from the client that opened e: the same browser in the same
// network.
func (s *Server) bound(e *session.Entry, r *request) bool {
	return e.UserAgent == session.Agent(r.userAgent) &&
		session.SameNetwork(e.IP, r.ip, s.SessionMaskV4, s.SessionMaskV6)
}

// sessionEnd is when e expires: its sliding end, or its absolute one if that is sooner.
func (s *Server) sessionEnd(e *session.Entry) time.Time {
	end := e.Expires()
	if absolute := e.CreatedAt.Add(s.SessionAbsolute); s.SessionAbsolute > 0 && absolute.Before(end) {
		return absolute
	}
	return end
}
