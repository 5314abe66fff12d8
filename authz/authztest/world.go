package authztest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
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
	Accounts *account.Directory
	Minter   *token.Minter

	mu         sync.Mutex
	now        time.Time
	seq        int64
	down       map[string]bool
	principals map[string]account.Principal
	keys       map[string]account.KeyRecord
	sessions   map[session.ID]session.Session
	ended      map[session.ID]time.Time
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
		principals: map[string]account.Principal{}, keys: map[string]account.KeyRecord{},
		sessions: map[session.ID]session.Session{}, ended: map[session.ID]time.Time{},
		nonces: map[string]bool{},
	}
	ctx := context.Background()
	if err := w.setPolicy(f.Policy); err != nil {
		return nil, err
	}
	w.Sessions = session.NewManager(session.Config{
		Lifetime: w.lifetime(), Absolute: duration(f.Settings.SessionAbsolute, 24*time.Hour), Size: 1000,
	}, sessionStore{w}, ledger{w}, w.Now, nil)
	w.Accounts = account.NewDirectory(account.DirectoryConfig{Principals: 1000, Keys: 1000}, reader{w}, w.Now)
	life := duration(f.Settings.JWTExpireTime, 300*time.Second)
	var err error
	w.Minter, err = token.NewMinter(keys, token.Config{
		Lifetime: life, Reuse: duration(f.Settings.JWTReuse, min(60*time.Second, life/2)), IatBackdate: time.Second,
	})
	if err != nil {
		return nil, err
	}
	if err := w.put(f.Accounts); err != nil {
		return nil, err
	}
	return w, w.Sessions.Start(ctx)
}

// Begin does what comes before the request of a step.
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

func (w *World) lifetime() time.Duration {
	return duration(w.File.Settings.SessionExpireTime, 1800*time.Second)
}

func duration(d *Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
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
func (t Tokens) Reuse(slot *token.Slot, version int64, now time.Time) (string, bool) {
	return t.w.Minter.Reuse(slot, version, now)
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
	_, ended := w.ended[id]
	return ended
}

func (w *World) setPolicy(p Policy) error {
	w.mu.Lock()
	w.seq++
	rows := policy.Rows{Seq: w.seq}
	now := w.now
	w.mu.Unlock()
	for i, line := range p.Permissions {
		f := strings.Fields(line)
		if len(f) != 4 && len(f) != 5 {
			return fmt.Errorf("permission %q is not: role action verb path [topic]", line)
		}
		row := policy.Permission{ID: int64(i + 1), Role: f[0], Action: f[1], Verb: f[2], Path: f[3]}
		if len(f) == 5 {
			row.Topic = f[4]
		}
		rows.Permissions = append(rows.Permissions, row)
	}
	for i, r := range p.Restrictions {
		rows.Restrictions = append(rows.Restrictions, policy.Restriction{
			ID: int64(i + 1), Category: r.Category, Scope: r.Scope, Value: r.Value,
			Code: or2(r.Code, policy.DefaultCode(r.Category, r.Scope)), State: or(r.State, "enabled"),
		})
	}
	for _, c := range p.Cuts {
		rows.Cuts = append(rows.Cuts, policy.Cut{Scope: c.Scope, Value: c.Value, At: now.Add(-time.Duration(c.Ago))})
	}
	options := policy.Options{
		Matching: w.File.Settings.PathMatching, Components: w.File.Settings.GatewayComponents,
		Geo: countries(p.Countries),
	}
	snapshot, _ := policy.Compile(rows, policy.RouteRules{Pass: p.Pass, Block: p.Block}, options)
	w.snapshot.Store(snapshot)
	return nil
}

func or2(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// countries locates the addresses of a file.
type countries map[string]string

func (c countries) Lookup(ip netip.Addr) (country, continent string, ok bool) {
	country, continent, ok = strings.Cut(c[ip.String()], " ")
	return country, continent, ok
}

func (c countries) Name(ip netip.Addr, _ string) string {
	country, _, _ := c.Lookup(ip)
	return country
}

// put adds or replaces accounts and tells the caches.
func (w *World) put(a Accounts) error {
	changes, err := w.rows(a)
	if err != nil {
		return err
	}
	for _, c := range changes {
		w.Accounts.Apply(c)
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
		principal(account.Principal{
			Kind: account.KindUser, UID: u.UID, Email: or(u.Email, strings.ToLower(u.UID)+"@example.com"),
			Username: u.Username, Role: or(u.Role, "member"), Level: u.Level, State: or(u.State, "active"),
			OTP: u.OTP, ReferralID: u.ReferralID, SessionGeneration: u.Generation,
		})
	}
	for _, s := range a.ServiceAccounts {
		principal(account.Principal{
			Kind: account.KindServiceAccount, UID: s.UID, Email: strings.ToLower(s.UID) + "@example.com",
			Role: or(s.Role, "service_account"), Level: s.Level, State: or(s.State, "active"), OwnerUID: s.Owner,
		})
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
		w.keys[k.Kid] = account.KeyRecord{
			Kid: k.Kid, Algorithm: account.AlgorithmHS256, Secret: []byte(or(k.Secret, Secret)),
			State: or(k.State, account.KeyActive), HolderUID: k.Holder, HolderKind: kind,
		}
		changes = append(changes, feed.Change{Seq: w.seq, Kind: feed.Key, Ref: k.Kid})
	}
	for _, s := range a.Sessions {
		ip, err := netip.ParseAddr(or(s.IP, Client))
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", s.Name, err)
		}
		agent := UserAgent
		if s.UserAgent != nil {
			agent = *s.UserAgent
		}
		id, _ := session.IDOf(s.Cookie())
		w.sessions[id] = session.Session{
			ID: id, UID: s.User, IP: ip.Unmap(), UserAgent: agent, CSRFToken: CSRFToken(s.Name),
			Generation: s.Generation, Epoch: s.Epoch, CreatedAt: w.now.Add(-time.Duration(s.Age)),
			ExpiresAt: w.now.Add(duration(s.Left, w.lifetime())),
		}
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

func (r reader) KeyRecord(_ context.Context, kid string) (account.KeyRecord, error) {
	if err := r.w.check("accounts"); err != nil {
		return account.KeyRecord{}, err
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if k, ok := r.w.keys[kid]; ok {
		return k, nil
	}
	return account.KeyRecord{}, account.ErrNotFound
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

func (s sessionStore) RestampSession(_ context.Context, id session.ID, generation int64) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	row, ok := s.w.sessions[id]
	if !ok {
		return session.ErrNotFound
	}
	row.Generation = generation
	s.w.sessions[id] = row
	return nil
}

func (s sessionStore) DeleteSession(_ context.Context, id session.ID) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	delete(s.w.sessions, id)
	return nil
}

func (s sessionStore) DeleteExpired(context.Context, time.Time) (int, error) { return 0, nil }

// ledger is the truth about ended sessions.
type ledger struct{ w *World }

func (l ledger) EndSession(_ context.Context, id session.ID, until time.Time) error {
	if err := l.w.check("sessions"); err != nil {
		return err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.ended[id] = until
	return nil
}

func (l ledger) EndedSessions(context.Context, time.Time) ([]session.ID, error) { return nil, nil }

func (l ledger) Ended(_ context.Context, id session.ID) (bool, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	_, ok := l.w.ended[id]
	return ok, nil
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

func (l ledger) DeleteEnded(context.Context, time.Time) (int, error) { return 0, nil }

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
