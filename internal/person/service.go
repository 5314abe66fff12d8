package person

import (
	"context"

	"barong/internal/account"
)

// Reader reads committed rows.
type Reader interface{ verificationReader }

// Tx is the part of the store that verifications write in one transaction.
type Tx interface {
	account.Tx
	verifications
}

// work is one transaction: its writes of users and labels announce themselves.
type work struct {
	account.Writer
	verifications
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Rows     Reader
	Update   func(ctx context.Context, f func(Tx) error) error // as account.Parts has it
}

// A Service holds the rules of verifications. Its methods are safe for concurrent use; each commits
// its rows and its events together.
type Service struct {
	accounts *account.Service
	rows     Reader
	commit   func(ctx context.Context, f func(Tx) error) error
}

// NewService makes a service.
func NewService(p Parts) *Service {
	return &Service{accounts: p.Accounts, rows: p.Rows, commit: p.Update}
}

// update runs f in one transaction of the store.
func (s *Service) update(ctx context.Context, f func(work) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(work{s.accounts.In(tx), tx}) })
}
