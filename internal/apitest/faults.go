package apitest

import (
	"context"
	"errors"
	"sync"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/factor"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/store"
	"barong/policy/editor"
)

// ErrOutage is an error that callers get as an outage, ErrBug one that nobody expects.
var (
	ErrOutage = errors.New("it is away")
	ErrBug    = errors.New("it is broken")
)

// Faults stand between the services and the database. The zero value lets everything through;
// it is safe for concurrent use.
type Faults struct {
	mu sync.Mutex
	on map[string]func() error
}

// On calls f before each use of a verb of the database, whose error is the verb's; nil takes it away.
func (f *Faults) On(verb string, do func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on == nil {
		f.on = map[string]func() error{}
	}
	f.on[verb] = do
}

// Fail lets verbs of the database fail with err; nil mends them.
func (f *Faults) Fail(err error, verbs ...string) {
	for _, verb := range verbs {
		f.On(verb, func() error { return err })
	}
}

func (f *Faults) at(verb string) error {
	f.mu.Lock()
	do := f.on[verb]
	f.mu.Unlock()
	if do == nil {
		return nil
	}
	return do()
}

// faulty is the database with faults in front of some of its verbs. Those of a transaction fail
// as a whole, by Update and ChangePolicy.
type faulty struct {
	*store.DB
	faults *Faults
}

func (f faulty) ChangePolicy(ctx context.Context, do func(editor.Tx) error) error {
	if err := f.faults.at("ChangePolicy"); err != nil {
		return err
	}
	return f.DB.ChangePolicy(ctx, do)
}

func (f faulty) User(ctx context.Context, uid string) (account.User, error) {
	if err := f.faults.at("User"); err != nil {
		return account.User{}, err
	}
	return f.DB.User(ctx, uid)
}

func (f faulty) UserByEmail(ctx context.Context, email string) (account.User, error) {
	if err := f.faults.at("UserByEmail"); err != nil {
		return account.User{}, err
	}
	return f.DB.UserByEmail(ctx, email)
}

func (f faulty) UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error) {
	if err := f.faults.at("UsersByUID"); err != nil {
		return nil, err
	}
	return f.DB.UsersByUID(ctx, uids)
}

func (f faulty) Labels(ctx context.Context, uid string) ([]account.Label, error) {
	if err := f.faults.at("Labels"); err != nil {
		return nil, err
	}
	return f.DB.Labels(ctx, uid)
}

func (f faulty) Activities(ctx context.Context, q audit.Query) ([]audit.Activity, int, error) {
	if err := f.faults.at("Activities"); err != nil {
		return nil, 0, err
	}
	return f.DB.Activities(ctx, q)
}

func (f faulty) TOTPSecret(ctx context.Context, uid string) (factor.TOTPSecret, error) {
	if err := f.faults.at("TOTPSecret"); err != nil {
		return factor.TOTPSecret{}, err
	}
	return f.DB.TOTPSecret(ctx, uid)
}

func (f faulty) Passkeys(ctx context.Context, uid string) ([]factor.Passkey, error) {
	if err := f.faults.at("Passkeys"); err != nil {
		return nil, err
	}
	return f.DB.Passkeys(ctx, uid)
}

func (f faulty) Session(ctx context.Context, id session.ID, now time.Time) (session.Session, error) {
	if err := f.faults.at("Session"); err != nil {
		return session.Session{}, err
	}
	return f.DB.Session(ctx, id, now)
}

func (f faulty) SessionsOf(ctx context.Context, uid string, now time.Time) ([]session.Session, error) {
	if err := f.faults.at("SessionsOf"); err != nil {
		return nil, err
	}
	return f.DB.SessionsOf(ctx, uid, now)
}

func (f faulty) AddSession(ctx context.Context, s session.Session) error {
	if err := f.faults.at("AddSession"); err != nil {
		return err
	}
	return f.DB.AddSession(ctx, s)
}

func (f faulty) EndSession(ctx context.Context, keep time.Duration, ids ...session.ID) error {
	if err := f.faults.at("EndSession"); err != nil {
		return err
	}
	return f.DB.EndSession(ctx, keep, ids...)
}

// sealer is the database's, which fails where a test says so.
type sealer struct {
	*secret.Sealer
	faults *Faults
}

func (s sealer) Seal(plain []byte, table, column, row string) ([]byte, error) {
	if err := s.faults.at("Seal"); err != nil {
		return nil, err
	}
	return s.Sealer.Seal(plain, table, column, row)
}

func (s sealer) Open(sealed []byte, table, column, row string) ([]byte, error) {
	if err := s.faults.at("Open"); err != nil {
		return nil, err
	}
	return s.Sealer.Open(sealed, table, column, row)
}
