package authztest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/audit"
	"barong/internal/directory"
	"barong/internal/feed"
	"barong/internal/session"
	"barong/internal/token"
	"barong/policy"
)

// ErrDown is the failure of a part that a step has put down.
var ErrDown = errors.New("authztest: this part is down")

// A World is one running copy of a file's accounts and policy: the real snapshot, session
// manager, directory and minter, over stores in memory. It is safe for concurrent use.
type World struct {
	File     *File
	Sessions *session.Manager
	Accounts *directory.Directory
	Keys     *apikey.Cache
	Minter   *token.Minter

	mu         sync.Mutex
	now        time.Time
	seq        int64
	down       map[string]bool
	principals map[string]account.Principal
	keys       map[string]apikey.Record
	sessions   map[session.ID]session.Session
	ended      map[session.ID]bool
	epoch      int64
	nonces     map[string]bool
	activities []audit.Activity

	snapshot atomic.Pointer[policy.Snapshot]
}

// NewKeys makes signing keys, which take a while: worlds share them.
func NewKeys() (*token.Keys, error) {
	return token.OpenKeys(context.Background(), new(keyStore), token.KeysConfig{
		Algorithm: token.EdDSA, Lifetime: 24 * time.Hour, MailLifetime: time.Hour, JWKSMaxAge: time.Minute,
	}, time.Now)
}

// NewWorld makes a world of f as it is at f.Now, whose tokens keys signs.
func NewWorld(f *File, keys *token.Keys) (*World, error) {
	w := &World{
		File: f, now: f.Now, down: map[string]bool{},
		principals: map[string]account.Principal{}, keys: map[string]apikey.Record{},
		sessions: map[session.ID]session.Session{}, ended: map[session.ID]bool{},
		nonces: map[string]bool{},
	}
	ctx := context.Background()
	if err := w.setPolicy(f.Policy); err != nil {
		return nil, err
	}
	var err error
	if w.Sessions, err = session.NewManager(SessionConfig(f.Applied), sessionStore{w}, ledger{w}, w.Now, nil); err != nil {
		return nil, err
	}
	loads := f.Applied.Account.LoadsAtOnce
	if w.Accounts, err = directory.New(directory.Config{Size: 1000, Loads: loads}, reader{w}, w.Now); err != nil {
		return nil, err
	}
	if w.Keys, err = apikey.NewCache(apikey.CacheConfig{Size: 1000, Loads: loads}, reader{w}, w.Now); err != nil {
		return nil, err
	}
	if w.Minter, err = token.NewMinter(keys, TokenConfig(f.Applied)); err != nil {
		return nil, err
	}
	if err := w.put(f.Accounts); err != nil {
		return nil, err
	}
	return w, w.Sessions.Start(ctx)
}

// Begin applies all of a step that comes before its request.
func (w *World) Begin(s Step) error {
	w.mu.Lock()
	w.now = w.now.Add(time.Duration(s.After))
	for _, part := range s.Down {
		w.down[part] = true
	}
	w.mu.Unlock()
	c := s.Change
	if c == nil {
		return nil
	}
	if err := w.put(c.Accounts); err != nil {
		return err
	}
	if c.EndAll {
		if err := w.Sessions.EndAll(context.Background()); err != nil {
			return err
		}
	}
	if c.Policy != nil {
		return w.setPolicy(*c.Policy)
	}
	return nil
}

// Now is the world's clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Age is that of the change feed and of the policy: an hour when they are down.
func (w *World) age(part string) time.Duration {
	if w.fails(part) {
		return time.Hour
	}
	return 0
}

func (w *World) fails(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down[part]
}

func (w *World) check(part string) error {
	if w.fails(part) {
		return fmt.Errorf("%s: %w", part, ErrDown)
	}
	return nil
}

// Rules gives the world's policy.
func (w *World) Rules() Rules { return Rules{w} }

// Rules is the policy part of a World.
type Rules struct{ w *World }

// Load returns the snapshot.
func (r Rules) Load() *policy.Snapshot { return r.w.snapshot.Load() }

// Age is 0, or an hour when "policy" is down.
func (r Rules) Age(time.Time) time.Duration { return r.w.age("policy") }

// Feed gives the age of the world's change feed.
func (w *World) Feed() Feed { return Feed{w} }

// Feed is the change feed of a World.
type Feed struct{ w *World }

// Age is 0, or an hour when "feed" is down.
func (f Feed) Age(time.Time) time.Duration { return f.w.age("feed") }

// Tokens gives the world's minter.
func (w *World) Tokens() Tokens { return Tokens{w} }

// Tokens is a minter that fails when "tokens" is down.
type Tokens struct{ w *World }

// Reuse is the minter's.
func (t Tokens) Reuse(slot *token.Slot, party string, version int64, now time.Time) (string, bool) {
	return t.w.Minter.Reuse(slot, party, version, now)
}

// Mint is the minter's.
func (t Tokens) Mint(slot *token.Slot, version int64, c token.Claims, now time.Time) (string, error) {
	if err := t.w.check("tokens"); err != nil {
		return "", err
	}
	return t.w.Minter.Mint(slot, version, c, now)
}

// UseNonce remembers nonces.
func (w *World) UseNonce(_ context.Context, kid, nonce string, _ time.Time) (bool, error) {
	if err := w.check("nonces"); err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	used := w.nonces[kid+" "+nonce]
	w.nonces[kid+" "+nonce] = true
	return !used, nil
}

// Fold never folds: every activity of a file is to be seen.
func (w *World) Fold(string, string) bool { return false }

// Record keeps activities.
func (w *World) Record(a audit.Activity) bool {
	if w.fails("audit") {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.activities = append(w.activities, a)
	return true
}

// Activities returns the activities since the last call.
func (w *World) Activities() []audit.Activity {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.activities
	w.activities = nil
	return list
}

// Ended reports whether a session has ended for good.
func (w *World) Ended(name string) bool {
	id, _ := session.IDOf(Cookie(name))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[id]
}

func (w *World) setPolicy(p Policy) error {
	w.mu.Lock()
	w.seq++
	seq, now := w.seq, w.now
	w.mu.Unlock()
	rows, err := p.Rows(now)
	if err != nil {
		return err
	}
	rows.At.Seq = seq
	snapshot, _ := policy.Compile(rows, p.RouteRules(), w.File.Options(p))
	w.snapshot.Store(snapshot)
	return nil
}

// put adds or replaces accounts, and updates the caches.
func (w *World) put(a Accounts) error {
	changes, err := w.rows(a)
	if err != nil {
		return err
	}
	for _, c := range changes {
		w.Accounts.Apply(c)
		w.Keys.Apply(c)
		w.Sessions.Apply(c)
	}
	return nil
}

func (w *World) rows(a Accounts) (changes []feed.Change, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	principal := func(p account.Principal) {
		w.seq++
		p.Version = w.seq
		w.principals[p.UID] = p
		changes = append(changes, feed.Change{Seq: w.seq, Kind: feed.Principal, Ref: p.UID})
	}
	for _, u := range a.Users {
		principal(u.Principal())
	}
	for _, s := range a.ServiceAccounts {
		principal(s.Principal())
	}
	for _, uid := range a.Gone {
		w.seq++
		delete(w.principals, uid)
		changes = append(changes, feed.Change{Seq: w.seq, Kind: feed.Principal, Ref: uid})
	}
	for _, k := range a.APIKeys {
		w.seq++
		kind := account.KindUser
		if p, ok := w.principals[k.Holder]; ok {
			kind = p.Kind
		}
		key, err := k.Key(w.now)
		if err != nil {
			return nil, err
		}
		w.keys[k.Kid] = recordOf(key, kind)
		changes = append(changes, feed.Change{Seq: w.seq, Kind: feed.Key, Ref: k.Kid})
	}
	for _, s := range a.Sessions {
		row, err := w.File.Session(s, w.now)
		if err != nil {
			return nil, err
		}
		w.sessions[row.ID] = row
	}
	return changes, nil
}

// reader is the account store.
type reader struct{ w *World }

func (r reader) Principal(_ context.Context, uid string) (account.Principal, error) {
	if err := r.w.check("accounts"); err != nil {
		return account.Principal{}, err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if p, ok := r.w.principals[uid]; ok {
		return p, nil
	}
	return account.Principal{}, account.ErrNotFound
}

func (r reader) KeyRecord(_ context.Context, kid string) (apikey.Record, error) {
	if err := r.w.check("accounts"); err != nil {
		return apikey.Record{}, err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if k, ok := r.w.keys[kid]; ok {
		return k, nil
	}
	return apikey.Record{}, account.ErrNotFound
}

// sessionStore is the session store.
type sessionStore struct{ w *World }

func (s sessionStore) Session(_ context.Context, id session.ID, now time.Time) (session.Session, error) {
	if err := s.w.check("sessions"); err != nil {
		return session.Session{}, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if row, ok := s.w.sessions[id]; ok && now.Before(row.ExpiresAt) {
		return row, nil
	}
	return session.Session{}, session.ErrNotFound
}

func (s sessionStore) SessionsOf(_ context.Context, uid string, now time.Time) (all []session.Session, err error) {
	if err := s.w.check("sessions"); err != nil {
		return nil, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, row := range s.w.sessions {
		if row.UID == uid && now.Before(row.ExpiresAt) {
			all = append(all, row)
		}
	}
	return all, nil
}

func (s sessionStore) AddSession(_ context.Context, row session.Session) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.sessions[row.ID] = row
	return nil
}

func (s sessionStore) SlideSessions(_ context.Context, to map[session.ID]time.Time) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for id, at := range to {
		if row, ok := s.w.sessions[id]; ok && at.After(row.ExpiresAt) {
			row.ExpiresAt = at
			s.w.sessions[id] = row
		}
	}
	return nil
}

func (s sessionStore) DeleteSession(_ context.Context, id session.ID) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	delete(s.w.sessions, id)
	return nil
}

// ledger is the truth about ended sessions.
type ledger struct{ w *World }

func (l ledger) EndSession(_ context.Context, _ time.Duration, ids ...session.ID) error {
	if err := l.w.check("sessions"); err != nil {
		return err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, id := range ids {
		l.w.ended[id] = true
	}
	return nil
}

func (l ledger) EndedSessions(context.Context) ([]session.ID, error) { return nil, nil }

func (l ledger) Ended(_ context.Context, id session.ID) (bool, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.ended[id], nil
}

func (l ledger) Epoch(context.Context) (int64, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.epoch, nil
}

func (l ledger) EndAll(context.Context) (int64, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.epoch++
	return l.w.epoch, nil
}

// keyStore keeps signing keys.
type keyStore struct {
	mu   sync.Mutex
	rows []token.SigningKey
}

func (k *keyStore) SigningKeys(context.Context) ([]token.SigningKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.rows), nil
}

func (k *keyStore) UpdateSigningKeys(
	_ context.Context, f func([]token.SigningKey) ([]token.SigningKey, error),
) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	rows, err := f(slices.Clone(k.rows))
	if err != nil {
		return err
	}
	k.rows = rows
	return nil
}
