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

// Reader reads accounts: committed rows, or those of a transaction when it is part of a Tx. It is
// safe for concurrent use.
type Reader interface {
	userReader
	serviceAccountReader
	labelReader
	requestReader
	// RoleExists reports whether a permission row has the role (AZ-147).
	RoleExists(ctx context.Context, role string) (bool, error)
	// SignedInBefore reports whether an activity shows that the user has had a session, by
	// signing up or in.
	SignedInBefore(ctx context.Context, uid string) (bool, error)
}

// Tx is the store inside one transaction. It has no method that another package owns but those
// that a change of a user causes: keys stop, links and secrets go.
type Tx interface {
	Reader
	userWriter
	serviceAccountWriter
	labelWriter
	requestWriter
	// EndSessions raises a principal's session generation by one, which ends every session
	// of it (design D11), and returns the new generation; ErrNoUser.
	EndSessions(ctx context.Context, uid string) (int64, error)
	// SessionStands reports whether a session of the user has ended neither by itself nor with
	// others; false without the user. Nobody ends the user's sessions before this transaction is
	// over, and one that ends by itself or with everybody's meanwhile ends after it.
	SessionStands(ctx context.Context, uid string, s SessionMark) (bool, error)
	// RenewSession notes that a session goes on under another id in the user's generation as
	// it is now, in place of any such note; ErrNoUser.
	RenewSession(ctx context.Context, uid string, r Renewal) error
	// EndAll gives the global session epoch a new name, which ends every session of everybody,
	// and returns the new epoch.
	EndAll(ctx context.Context) (int64, error)
	// DeactivateAPIKeys makes every active key of the holder and, for a user, of the
	// user's service accounts inactive (AZ-286), and returns how many.
	DeactivateAPIKeys(ctx context.Context, holderUID string) (int, error)
	// DeleteAPIKeys removes every key of the holder and, for a user, of the user's service
	// accounts, and returns how many.
	DeleteAPIKeys(ctx context.Context, holderUID string) (int, error)
	// DeleteTOTPSecret removes a user's one-time-code secret; no error when there is none.
	DeleteTOTPSecret(ctx context.Context, uid string) error
	// DeleteRecoveryCodes removes a user's recovery codes; no error when there is none.
	DeleteRecoveryCodes(ctx context.Context, uid string) error
	// ReleasePhones makes the numbers that a user has proved free for others, and returns how many; no
	// error when there is none.
	ReleasePhones(ctx context.Context, uid string) (int, error)
	// DeletePasskeys removes a user's passkeys, and returns how many.
	DeletePasskeys(ctx context.Context, uid string) (int, error)
	// DeleteMailTokens voids a user's mailed links of a purpose (of token.MailClaims), "" for
	// all; no error when there is none.
	DeleteMailTokens(ctx context.Context, uid, purpose string) error
	// AddActivity writes an activity in this transaction.
	AddActivity(ctx context.Context, a audit.Activity) error
	// Emit puts an event into the outbox in this transaction, for every destination that
	// wants it. It may wait for other writers of the same user; ErrSeal.
	Emit(ctx context.Context, e event.Event) error
}
