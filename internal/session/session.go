package session

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"barong/internal/feed"
)

// ErrNotFound says that there is no such session.
var ErrNotFound = errors.New("session: not found")

// ID is the stores' key of a session: the SHA-256 of its cookie value. Stores never see
// the cookie itself.
type ID [32]byte

// A Session is the record of a sign-in (AZ-246, design D8). Times are UTC to the
// second or finer.
type Session struct {
	ID        ID
	UID       string
	IP        netip.Addr // client address at sign-in, unmapped
	UserAgent string     // Agent of the header at sign-in; "" when absent
	CSRFToken string     // 20 lower-case hex characters
	// Generation and Epoch are the principal's session generation and the global epoch at
	// sign-in; a session of another one has ended (design D11), see Of.
	Generation int64
	Epoch      int64
	CreatedAt  time.Time
	// ExpiresAt slides with use, up to the absolute lifetime.
	ExpiresAt time.Time
}

// Of reports whether the session is of its user's generation and of the epoch. Both are names:
// a session whose number is higher is one of a history that was lost, and has ended too.
func (s *Session) Of(generation, epoch int64) bool {
	return s.Generation == generation && s.Epoch == epoch
}

// MaxSessions is how many sessions a user has at most; with one more the oldest ends.
const MaxSessions = 50

// Afterlife is how long stores keep a session beyond its expiry, as long as a browser keeps
// the cookie: its user can still sign out of it, and reads that it ran out and not that it
// never was (AZ-99).
const Afterlife = CookieLife

// maxAgent is how many bytes of a user agent count.
const maxAgent = 512

// Agent is the part of a user agent that counts: its first 512 bytes. A session keeps no more, and a
// request is compared by no more.
func Agent(userAgent string) string { return userAgent[:min(len(userAgent), maxAgent)] }

// String keeps the CSRF token out of logs and errors.
func (s Session) String() string { return "session of " + s.UID }

// GoString keeps the CSRF token out of %#v.
func (s Session) GoString() string { return s.String() }

// Store keeps sessions: a table of the database, or Redis. It is safe for concurrent use.
type Store interface {
	// Session loads one that has not expired at now; ErrNotFound.
	Session(ctx context.Context, id ID, now time.Time) (Session, error)
	// SessionsOf lists those of a user that have not expired at now, in no order: the newest
	// MaxListed, and all of them but such as an earlier version of this service stored.
	SessionsOf(ctx context.Context, uid string, now time.Time) ([]Session, error)
	// AddSession stores a new one.
	AddSession(ctx context.Context, s Session) error
	// SlideSessions sets ExpiresAt of those that still exist and never creates or shortens
	// one (FX-46).
	SlideSessions(ctx context.Context, to map[ID]time.Time) error
	// DeleteSession forgets one; no error when there is none.
	DeleteSession(ctx context.Context, id ID) error
}

// A Moment is one of the database, by its clock. If a rule on addresses ends sessions, then its commit is
// part of Commit or its end is later than the moment, by its time or by another epoch.
type Moment struct {
	At     time.Time
	Epoch  int64
	Commit feed.Cursor // the newest
}

// Ledger is the truth about ended sessions, always in the database. Every write leaves a
// change-feed row.
type Ledger interface {
	// EndSession records that sessions ended, all or none, and keeps that for so long at least
	// by the database's clock. For each feed kind feed.Session, ref the id in hex.
	EndSession(ctx context.Context, keep time.Duration, ids ...ID) error
	// EndedSessions lists those on record.
	EndedSessions(ctx context.Context) ([]ID, error)
	// Ended reports whether one session is recorded as ended.
	Ended(ctx context.Context, id ID) (bool, error)
	// Epoch is the global epoch; sessions of another one have ended.
	Epoch(ctx context.Context) (int64, error)
	// EndAll gives the global epoch a new, higher name by one write (feed kind feed.Epoch) and
	// returns it.
	EndAll(ctx context.Context) (int64, error)
}
