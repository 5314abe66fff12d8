package person

import (
	"context"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
)

// Config holds the rules that operators set.
type Config struct {
	// StorageTitles are those under which clients may keep data.
	StorageTitles []string
	// Outside says that an outside provider checks identities: submitted profiles are noted for KYC,
	// and a document is complete with all of its files.
	// Else staff do.
	Outside bool
	// AppName is the name of this service in messages to phones.
	AppName string
	// CodeText replaces these messages, {{code}} in it being the code; "" for a text in the language
	// of the user.
	CodeText string
	// Phones bound what is asked and sent about phones.
	Phones PhoneLimits
	// Documents are the rules for them.
	Documents DocumentRules
	// SecondReviewer wants another member of staff to decide about a profile than its author,
	// unless the role is one of SoleReviewers.
	SecondReviewer bool
	SoleReviewers  []string
}

// Reader reads committed rows, or those of a transaction when it is part of a Tx.
type Reader interface {
	account.Reader
	verificationReader
	profileReader
	storageReader
	phoneReader
	documentReader
	kycStepReader
	commentReader
}

// Tx is the part of the store that proofs about a person write in one transaction.
type Tx interface {
	account.Tx
	records
}

// records is the part of a Tx that is not account's.
type records interface {
	verifications
	profileReader
	profileWriter
	storageReader
	storageWriter
	phoneReader
	phoneWriter
	documentReader
	documentWriter
	kycStepReader
	kycStepWriter
	commentReader
	commentWriter
}

// work is one transaction: its writes of users and labels announce themselves.
type work struct {
	account.Writer
	records
}

// Parts are the parts that a Service works with.
type Parts struct {
	Accounts *account.Service
	Rows     Reader
	Update   func(ctx context.Context, f func(Tx) error) error // as account.Parts has it
	Attempts *limit.Attempts
	Phones   PhoneProvider    // nil where phones are not verified
	Now      func() time.Time // nil for time.Now
	Files    Files            // nil where nothing can be uploaded
	Scanner  Scanner          // nil looks at nothing
	Links    *Links           // nil where no links are made
}

// A Service holds the rules of proofs about a person. Its methods are safe for concurrent use; each
// commits its rows, its activity and its events together.
type Service struct {
	cfg      Config
	accounts *account.Service
	rows     Reader
	commit   func(ctx context.Context, f func(Tx) error) error
	attempts *limit.Attempts
	phones   PhoneProvider
	now      func() time.Time
	files    Files
	scanner  Scanner
	links    *Links
}

// NewService makes a service.
func NewService(cfg Config, p Parts) *Service {
	if p.Now == nil {
		p.Now = time.Now
	}
	cfg.Phones = cfg.Phones.withDefaults()
	return &Service{
		cfg: cfg, accounts: p.Accounts, rows: p.Rows, commit: p.Update, attempts: p.Attempts, phones: p.Phones, now: p.Now,
		files: p.Files, scanner: p.Scanner, links: p.Links,
	}
}

// update runs f in one transaction of the store.
func (s *Service) update(ctx context.Context, f func(work) error) error {
	return s.commit(ctx, func(tx Tx) error { return f(work{s.accounts.In(tx), tx}) })
}

// Belongings are all that a person has stated and stored, each list by row id.
type Belongings struct {
	Labels   []account.Label // of both scopes
	Phones   []Phone
	Profiles []Profile
	Storages []DataStorage
}

// Belongings loads those of the user uid.
func (s *Service) Belongings(ctx context.Context, uid string) (b Belongings, err error) {
	if b.Labels, err = s.rows.Labels(ctx, uid); err != nil {
		return b, fmt.Errorf("load labels: %w", err)
	}
	if b.Phones, err = s.rows.Phones(ctx, uid); err != nil {
		return b, fmt.Errorf("load phones: %w", err)
	}
	if b.Profiles, err = s.rows.Profiles(ctx, uid); err != nil {
		return b, fmt.Errorf("load profiles: %w", err)
	}
	if b.Storages, err = s.rows.DataStorages(ctx, uid); err != nil {
		return b, fmt.Errorf("load data storages: %w", err)
	}
	return b, nil
}

// A Dossier is all that there is about a person for staff, each list by row id.
type Dossier struct {
	Belongings
	Documents []Document
	Comments  []Comment
}

// Dossier loads that of the user uid.
func (s *Service) Dossier(ctx context.Context, uid string) (d Dossier, err error) {
	if d.Belongings, err = s.Belongings(ctx, uid); err != nil {
		return d, err
	}
	if d.Documents, err = s.rows.Documents(ctx, uid); err != nil {
		return d, fmt.Errorf("load documents: %w", err)
	}
	if d.Comments, err = s.rows.Comments(ctx, uid); err != nil {
		return d, fmt.Errorf("load comments: %w", err)
	}
	return d, nil
}
