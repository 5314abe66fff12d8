// Package worldtest makes the services about accounts over a real database, for tests of those
// services and of the packages that use them.
package worldtest

import (
	"cmp"
	"context"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/exchange"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/password"
	"barong/internal/person"
	"barong/internal/secret"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/defaults"
)

// Config holds the fields of the services' configurations and parts that tests set; see there. Those
// that are not set have the shipped values, but for Passwords, which then admit any.
type Config struct {
	AppName, UIDPrefix, DefaultLanguage, Domain string
	Activation                                  map[string]string
	Triggers                                    []account.Trigger
	StaffRoles, MemberRoles                     []string
	FourEyes                                    account.FourEyes
	Passwords                                   password.Rules
	FailureFloor                                time.Duration
	Limits                                      signin.Limits
	Code, QR                                    limit.Rule
	Unlimited, NoPasskeys                       bool
	MaxKeys                                     int
	Keys                                        *apikey.Config // nil has the shipped values
	KeepKeys                                    bool           // whatever becomes of password and second factor
	StorageTitles                               []string
	Outside, SecondReviewer                     bool
	PhoneLimits                                 person.PhoneLimits
	Phones                                      person.PhoneProvider // nil is none; Inbox is one
	CodeText                                    string
	Documents                                   func(*person.DocumentRules) // changes the shipped ones; nil does not
	Files                                       person.Files
	Scanner                                     person.Scanner
	Links                                       *person.Links
	Mail                                        signin.MailTokens
	Devices                                     *signin.Devices
	Sleep                                       func(ctx context.Context, d time.Duration) // nil sleeps
	// Rows reads in the database's place; nil means the database.
	Rows Rows
	// Begin runs before each transaction, Commit at its end; an error of theirs is the
	// transaction's. They may be nil.
	Begin, Commit func() error
}

// Rows is everything that the services read.
type Rows interface {
	signin.Reader
	factor.Reader
	apikey.Reader
	person.Reader
}

// update is store.Update with the hooks of cfg.
func update[T any](cfg Config, db *store.DB) func(ctx context.Context, f func(T) error) error {
	run := store.Update[T](db)
	return func(ctx context.Context, f func(T) error) error {
		if cfg.Begin != nil {
			if err := cfg.Begin(); err != nil {
				return err
			}
		}
		return run(ctx, func(tx T) error {
			if err := f(tx); err != nil || cfg.Commit == nil {
				return err
			}
			return cfg.Commit()
		})
	}
}

// Services are all services about accounts over one database.
type Services struct {
	Accounts *account.Service
	Codes    *factor.Service
	SignIns  *signin.Service
	Keys     *apikey.Service
	Persons  *person.Service
}

// Open makes the services; hasher may be nil where nobody has a password, and limits is where
// attempts are counted.
func Open(cfg Config, db *store.DB, hasher account.Hasher, limits limit.Store, now func() time.Time) Services {
	if cfg.Rows == nil {
		cfg.Rows = db
	}
	if limits == nil {
		limits = new(limit.Memory)
	}
	attempts := limit.NewAttempts(limits, now)
	if cfg.Unlimited {
		attempts = limit.Unlimited(limits, now)
	}
	accounts := made(account.NewService(cfg.accounts(), account.Parts{
		Rows: cfg.Rows, Update: update[account.Tx](cfg, db), Hasher: hasher, Now: now,
	}))
	codes := made(factor.NewService(cfg.codes(), factor.Parts{
		Accounts: accounts, Rows: cfg.Rows, Update: update[factor.Tx](cfg, db), Attempts: attempts,
		Challenges: made(factor.NewChallenges(make([]byte, secret.KeySize))), Now: now,
	}))
	return Services{
		Accounts: accounts, Codes: codes,
		SignIns: made(signin.NewService(cfg.signIns(), signin.Parts{
			Accounts: accounts, Codes: codes, Rows: cfg.Rows, Update: update[signin.Tx](cfg, db), Attempts: attempts,
			Mail: cfg.Mail, Devices: cfg.Devices, Now: now, Sleep: cfg.Sleep,
		})),
		Keys: apikey.NewService(cfg.keys(), apikey.Parts{
			Accounts: accounts, Codes: codes, Rows: cfg.Rows, Scopes: ShippedScopes, Update: update[apikey.Tx](cfg, db), Now: now,
		}),
		Persons: person.NewService(cfg.persons(), person.Parts{
			Accounts: accounts, Rows: cfg.Rows, Update: update[person.Tx](cfg, db), Attempts: attempts, Phones: cfg.Phones, Now: now,
			Files: cfg.Files, Scanner: cfg.Scanner, Links: cfg.Links,
		}),
	}
}

// ShippedScopes reports whether the shipped rules define a scope of API keys.
func ShippedScopes(name string) bool {
	text, _ := defaults.File("authz_rules")
	return made(policy.ParseRules(text)).Scopes[name] != nil
}

// DocumentRules are the shipped ones after cfg.Documents.
func (cfg Config) DocumentRules() person.DocumentRules {
	rules, _ := defaults.File("barong")
	r := configured.Documents(config.Default(), made(exchange.Parse(rules)))
	if cfg.Documents != nil {
		cfg.Documents(&r)
	}
	return r
}

// accounts is the shipped configuration with the fields of cfg in their place.
func (cfg Config) accounts() account.Config {
	rules, _ := defaults.File("barong")
	abilities, _ := defaults.File("abilities")
	c := configured.Accounts(config.Default(), made(exchange.Parse(rules)), made(ability.Parse(abilities)).Staff())
	c.UIDPrefix, c.DefaultLanguage = cmp.Or(cfg.UIDPrefix, c.UIDPrefix), cmp.Or(cfg.DefaultLanguage, c.DefaultLanguage)
	c.FourEyes = cfg.FourEyes
	c.Passwords, c.StopKeysOn2FALoss = cfg.Passwords, c.StopKeysOn2FALoss && !cfg.KeepKeys
	if cfg.Activation != nil {
		c.Activation = cfg.Activation
	}
	if cfg.Triggers != nil {
		c.Triggers = cfg.Triggers
	}
	if cfg.StaffRoles != nil {
		c.StaffRoles = cfg.StaffRoles
	}
	if cfg.MemberRoles != nil {
		c.MemberRoles = cfg.MemberRoles
	}
	if cfg.StorageTitles != nil {
		c.ReservedLabels = cfg.StorageTitles
	}
	return c
}

func (cfg Config) keys() apikey.Config {
	c := configured.KeyRules(config.Default())
	if cfg.Keys != nil {
		c = *cfg.Keys
	}
	c.MaxKeys = cfg.MaxKeys
	return c
}

func (cfg Config) codes() factor.Config {
	c := configured.Codes(config.Default())
	c.AppName, c.Code, c.QR = cmp.Or(cfg.AppName, c.AppName), cfg.Code, cfg.QR
	if cfg.NoPasskeys {
		c.PasskeySite, c.PasskeyOrigins = "", nil
	}
	return c
}

func (cfg Config) persons() person.Config {
	c := configured.Persons(config.Default(), exchange.Rules{StorageTitles: cfg.StorageTitles})
	c.AppName, c.CodeText, c.Phones = cmp.Or(cfg.AppName, c.AppName), cfg.CodeText, cfg.PhoneLimits
	c.Outside, c.Documents = cfg.Outside, cfg.DocumentRules()
	c.SecondReviewer, c.SoleReviewers = cfg.SecondReviewer, []string{account.RoleSuperadmin}
	return c
}

func (cfg Config) signIns() signin.Config {
	c := configured.SignIns(config.Default())
	c.UIDPrefix, c.Domain = cmp.Or(cfg.UIDPrefix, c.UIDPrefix), cmp.Or(cfg.Domain, c.Domain)
	c.StopKeysOnReset = c.StopKeysOnReset && !cfg.KeepKeys
	c.FailureFloor, c.Limits = cmp.Or(cfg.FailureFloor, c.FailureFloor), cfg.Limits
	return c
}

// made is made of parts in this repository, so that an error is a fault in one of them.
func made[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// Own is everything that callers do with their own accounts.
type Own struct {
	*account.Service
	*codes
	*signIns
	*apiKeys
}

type (
	codes   = factor.Service
	signIns = signin.Service
	apiKeys = apikey.Service
)

// Own are the services as one.
func (s Services) Own() Own { return Own{s.Accounts, s.Codes, s.SignIns, s.Keys} }
