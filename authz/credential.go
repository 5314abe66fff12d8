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
	"barong/internal/apikey"
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
	key       *apikey.Entry
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

	e, strays, err := s.session(ctx, rules, r, &cookies, now)
	if err != nil {
		d.unavailable(err)
		return credential{}
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

	// Another browser or another network ends it for good (AZ-97…100, FX-28), and the strays
	// beside it as well: a thief must not try out a stolen cookie, as one client after the other,
	// under the cover of his own.
	for _, stray := range strays {
		if err := s.Sessions.End(ctx, stray.ID); err != nil {
			d.unavailable(fmt.Errorf("end misused session: %w", err))
			return credential{}
		}
	}
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
		d.ended = !bound
		d.clearCookie = s.deletionCookie
		return credential{}
	}

	who, err := s.user(ctx, e)
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
	case cutOff(rules, who, e, r), !s.current(who, e) && !s.mayRead(who, e, r, now):
		// It has ended already, with all others of its age: nothing to write.
		d.deny(unauthorized(reasonInvalidSession))
		d.who = who
		return credential{}
	}

	// Use keeps it alive, even if the role turns out not to suffice (AZ-101). An id that was
	// renewed is not to live on.
	if s.current(who, e) {
		s.Sessions.Slide(e, now)
	}
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

// session finds the session that the cookies of a request name; nil for none. Of several
// values the one counts that is alive and bound to this client; of two such neither does, as
// one of them may be planted. When none does, the first that there is at all is judged as if it
// had come alone. Strays are the others that are alive and another client's.
func (s *Server) session(
	ctx context.Context, rules *policy.Snapshot, r *request, cookies *sessionCookies, now time.Time,
) (one *session.Entry, strays []*session.Entry, err error) {
	if cookies.more {
		return nil, nil, nil
	}
	if cookies.n == 1 {
		one, err = s.lookUp(ctx, cookies.value[0], now)
		return one, nil, err
	}
	var other *session.Entry
	alive := 0
	for _, value := range cookies.all() {
		e, err := s.lookUp(ctx, value, now)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case e == nil:
			continue
		case s.bound(e, r):
			stands, err := s.stands(ctx, rules, r, e, now)
			if err != nil {
				return nil, nil, err
			}
			if stands {
				one = e
				alive++
				continue
			}
		case now.Before(s.sessionEnd(e)):
			strays = append(strays, e)
		}
		if other == nil {
			other = e
		}
	}
	switch alive {
	case 0:
		if one = other; len(strays) > 0 && strays[0] == other {
			strays = strays[1:]
		}
	case 1:
	default:
		one = nil
	}
	return one, strays, nil
}

// lookUp finds the session of a cookie value; nil for none.
func (s *Server) lookUp(ctx context.Context, value string, now time.Time) (*session.Entry, error) {
	if value == "" {
		return nil, nil
	}
	e, err := s.Sessions.Lookup(ctx, value, now)
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, session.ErrNotFound):
		return nil, nil
	}
	return nil, fmt.Errorf("look up session: %w", err)
}

// stands reports whether e is alive and its user may act. An entry that has run out or ended
// with others of its age is not alive.
func (s *Server) stands(
	ctx context.Context, rules *policy.Snapshot, r *request, e *session.Entry, now time.Time,
) (bool, error) {
	if !now.Before(s.sessionEnd(e)) {
		return false, nil
	}
	who, err := s.user(ctx, e)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("load principal: %w", err)
	}
	return account.MayAct(who.State) && s.current(who, e) && !cutOff(rules, who, e, r), nil
}

// user is whose session e is. A session that says to be of a later generation than the user in
// memory was opened a moment ago, or is of a history that was lost: the database knows, and is
// asked once about each generation in memory.
func (s *Server) user(ctx context.Context, e *session.Entry) (*account.Principal, error) {
	who, err := s.Accounts.Principal(ctx, e.UID)
	if err != nil || e.Generation <= who.SessionGeneration || e.Lost(who.SessionGeneration) {
		return who, err
	}
	if who, err = s.Accounts.Reload(ctx, e.UID); err == nil && e.Generation > who.SessionGeneration {
		e.SetLost(who.SessionGeneration)
	}
	return who, err
}

// current reports whether e has not ended with others.
func (s *Server) current(who *account.Principal, e *session.Entry) bool {
	return e.Of(who.SessionGeneration, s.Sessions.Epoch())
}

// cutOff reports whether a restriction has ended e when it was switched on. Superadmins keep
// the way back from it (design D24).
func cutOff(rules *policy.Snapshot, who *account.Principal, e *session.Entry, r *request) bool {
	return rules.CutOff(e.IP, e.CreatedAt) && !(who.Role == account.RoleSuperadmin && isWayBack(r.path))
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

// csrfMatches compares hashes, so that its time reveals nothing about the token, not
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

// mayRead reports whether e, of an older generation, is the old id of a session that its user
// has just renewed: it answers requests that had left before the new id came, if they change
// nothing and open nothing, as long as the renewed session has not ended (design D8b).
func (s *Server) mayRead(who *account.Principal, e *session.Entry, r *request, now time.Time) bool {
	p := who.Renewal
	return p != nil && p.From == e.ID && e.Epoch == s.Sessions.Epoch() && now.Before(p.Until) && p.Until.Sub(now) <= account.RenewalGrace &&
		r.verb == http.MethodGet && r.upgrade == "" && !s.Sessions.Ended(p.To)
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
