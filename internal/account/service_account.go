package account

import (
	"context"
	"fmt"
	"time"
)

// A ServiceAccount is a program's account: no password, no session, only API keys (AZ-297).
type ServiceAccount struct {
	ID          int64
	UID         string
	OwnerUID    string // "" for none
	Email       string
	Role        string
	Level       int
	State       string
	Version     int64
	LockVersion int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Principal returns a as decisions see it.
func (a ServiceAccount) Principal() Principal {
	return Principal{
		Kind: KindServiceAccount, UID: a.UID, Email: a.Email, Role: a.Role, Level: a.Level,
		State: a.State, OwnerUID: a.OwnerUID, Version: a.Version,
	}
}

// serviceAccountReader is the part of Reader about service accounts.
type serviceAccountReader interface {
	// ServiceAccount loads by uid; ErrNoServiceAccount.
	ServiceAccount(ctx context.Context, uid string) (ServiceAccount, error)
	// ServiceAccountsOf lists those that a user owns, by row id.
	ServiceAccountsOf(ctx context.Context, ownerUID string) ([]ServiceAccount, error)
}

// serviceAccountWriter is the part of Tx about service accounts; writes leave feed rows as those of
// users do.
type serviceAccountWriter interface {
	// AddServiceAccount inserts a and fills ID, counters and times; ErrTaken also when a
	// user has the uid or e-mail (AZ-295); ErrNoUser when there is no such owner.
	AddServiceAccount(ctx context.Context, a *ServiceAccount) error
	// PutServiceAccount writes role, level, state, e-mail and owner; ErrNoServiceAccount, ErrTaken.
	PutServiceAccount(ctx context.Context, a *ServiceAccount) error
}

// ServiceAccounts lists those that the actor owns, by row id.
func (s *Service) ServiceAccounts(ctx context.Context, by Actor) ([]ServiceAccount, error) {
	list, err := s.rows.ServiceAccountsOf(ctx, by.UID)
	if err != nil {
		return nil, fmt.Errorf("list service accounts: %w", err)
	}
	return list, nil
}
