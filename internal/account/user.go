package account

import (
	"context"
	"time"
)

// A User is a person's account, whole. Times are UTC to the microsecond.
type User struct {
	ID       int64 // row id; appears on the wire only as the claim referral_id
	UID      string
	Email    string // trimmed and lower-cased
	Username *string
	// PasswordDigest is a PHC string (argon2id) or a bcrypt digest (imported users).
	PasswordDigest string
	Role           string
	Level          int
	OTP            bool
	State          string
	// AdminState is the state by staff, "" for none: State is the more restrictive of it and the one
	// that labels give (W-I17).
	AdminState string
	// Unproved says that somebody signed up with the address and nobody has proved it since.
	Unproved    bool
	Data        *string // JSON text of the client's own, at most 1024 characters
	ReferralID  *int64
	ReferralUID *string // read only: uid of ReferralID
	// SessionGeneration and Version: see Principal. LockVersion rises with every write.
	SessionGeneration int64
	Version           int64
	LockVersion       int64
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// String keeps the digest and the address out of logs and errors.
func (u User) String() string { return "user " + u.UID }

// GoString keeps them out of %#v.
func (u User) GoString() string { return u.String() }

// Principal returns u as decisions see it.
func (u User) Principal() Principal {
	return Principal{
		Kind: KindUser, UID: u.UID, Email: u.Email, Username: u.Username, Role: u.Role,
		Level: u.Level, State: u.State, Unproved: u.Unproved, OTP: u.OTP, ReferralID: u.ReferralID,
		Version: u.Version, SessionGeneration: u.SessionGeneration,
	}
}

// userReader is the part of Reader about users.
type userReader interface {
	// User loads by uid; ErrNoUser.
	User(ctx context.Context, uid string) (User, error)
	// UserByEmail loads by the folded address; ErrNoUser. It finds a deleted account, the newest
	// one, if no other has the address.
	UserByEmail(ctx context.Context, email string) (User, error)
	// UsersByUID loads the users among uids, by uid; those that are not there are left out.
	UsersByUID(ctx context.Context, uids []string) (map[string]User, error)
	// CountUsers counts users of a role in a state; "" matches any.
	CountUsers(ctx context.Context, role, state string) (int, error)
}

// userWriter is the part of Tx about users. Every write that changes a field of Principal leaves a change-feed row
// (kind feed.Principal, ref uid) in the same transaction.
type userWriter interface {
	// AddUser inserts u and fills ID, Version, LockVersion and times; ErrTaken when the uid (also
	// among service accounts) is in use, or e-mail or username by an account that is not deleted.
	AddUser(ctx context.Context, u *User) error
	// PutUser writes every field but ID, UID, CreatedAt and the counters, raises
	// LockVersion by one, gives Version a new name when a field of Principal changed, and
	// SessionGeneration when u's is higher. u has all of them as written. ErrNoUser, ErrTaken.
	PutUser(ctx context.Context, u *User) error
}
