package apikey

import (
	"context"
	"slices"
	"time"

	"barong/internal/account"
	"barong/internal/factor"
)

// Config holds the rules that operators set; zero values mean the defaults.
type Config struct {
	// MaxKeys bounds the API keys of one holder: 20 (W-R10).
	MaxKeys int
	// A key that has one of ListedScopes must have a list of networks. One that has one of
	// ShortScopes and no such list lives for ShortLife at most; 0 sets no bound. In both "*" is
	// a key without a scope.
	ListedScopes, ShortScopes []string
	ShortLife                 time.Duration
}

// AnyScope stands in lists of Config for a key without a scope.
const AnyScope = "*"

// has reports whether a key of that scope is one that list is about.
func has(list, scope []string) bool {
	if len(scope) == 0 {
		return slices.Contains(list, AnyScope)
	}
	return slices.ContainsFunc(scope, func(name string) bool { return slices.Contains(list, name) })
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Codes    *factor.Service
	Rows     Reader
	// Scopes reports whether the rules of the moment define a scope of that name.
	Scopes func(name string) bool
	Update func(ctx context.Context, f func(Tx) error) error // as account.Parts has it
	Now    func() time.Time                                  // nil for time.Now
}

// A Service holds the rules of API keys. Its methods are safe for concurrent use; each commits its
// rows, its activity and its change-feed rows together.
type Service struct {
	cfg      Config
	accounts *account.Service
	codes    *factor.Service
	rows     Reader
	scopes   func(name string) bool
	commit   func(ctx context.Context, f func(Tx) error) error
	now      func() time.Time
}

// NewService makes a service.
func NewService(cfg Config, p Parts) *Service {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = 20
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return &Service{cfg: cfg, accounts: p.Accounts, codes: p.Codes, rows: p.Rows, scopes: p.Scopes, commit: p.Update, now: p.Now}
}

// work is one transaction: its writes of users and labels announce themselves.
type work struct {
	account.Writer
	keys
}

// keys is the part of a Tx that is not account's.
type keys interface {
	keyReader
	keyWriter
}

// update runs f in one transaction of the store.
func (s *Service) update(ctx context.Context, f func(work) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(work{s.accounts.In(tx), tx}) })
}
