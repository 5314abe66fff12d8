package account

import (
	"context"
	"errors"

	"barong/internal/audit"
	"barong/internal/event"
)

// ErrSeal says that a secret could not be sealed or opened: the sealing key is missing or
// the column was tampered with.
var ErrSeal = errors.New("account: cannot seal or open a secret")

// Tx is the store inside one transaction.
type Tx interface {
	UserStore
	ServiceAccountStore
	LabelStore
	APIKeyStore
	TOTPStore
	KYCStore
	MailTokenStore
	// RoleExists reports whether a permission row has the role (AZ-147).
	RoleExists(ctx context.Context, role string) (bool, error)
	// EndSessions raises a principal's session generation by one, which ends every session
	// of it (design D11), and returns the new generation; ErrNotFound.
	EndSessions(ctx context.Context, uid string) (int64, error)
	// RenewSession notes that a session goes on under another id in the user's generation as
	// it is now, in place of any such note; ErrNotFound.
	RenewSession(ctx context.Context, uid string, r Renewal) error
	// EndAll gives the global session epoch a new name, which ends every session of everybody,
	// and returns the new epoch.
	EndAll(ctx context.Context) (int64, error)
	// SignedInBefore reports whether an activity shows that the user has had a session, by
	// signing up or in.
	SignedInBefore(ctx context.Context, uid string) (bool, error)
	// AddActivity writes an activity in this transaction.
	AddActivity(ctx context.Context, a audit.Activity) error
	// Emit puts an event into the outbox in this transaction, for every destination that
	// wants it. It may wait for other writers of the same user; ErrSeal.
	Emit(ctx context.Context, e event.Event) error
}

// Reader is the source that the Directory loads from.
type Reader interface {
	// Principal loads a user or service account by uid; ErrNotFound.
	Principal(ctx context.Context, uid string) (Principal, error)
	// KeyRecord loads an API key with its secret opened; ErrNotFound, ErrSeal.
	KeyRecord(ctx context.Context, kid string) (KeyRecord, error)
}

// Store is the storage of Service; it is safe for concurrent use. Reads outside Update see
// committed rows only.
type Store interface {
	Tx
	Reader
	// Update runs f in one transaction, again when the engine asks for it: f must have no
	// effect but through its Tx. An error from f undoes all of it and is returned as it is.
	Update(ctx context.Context, f func(Tx) error) error
}
