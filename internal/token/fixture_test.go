package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"barong/internal/config"
)

// memory is a KeyStore in memory. It hands out copies, as a database does.
type memory struct {
	mu      sync.Mutex
	rows    []SigningKey
	reads   int
	updates int
	broken  error
}

var _ KeyStore = (*memory)(nil)

func (m *memory) SigningKeys(context.Context) ([]SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return slices.Clone(m.rows), m.broken
}

func (m *memory) UpdateSigningKeys(_ context.Context, f func([]SigningKey) ([]SigningKey, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.updates++
	if m.broken != nil {
		return m.broken
	}
	rows, err := f(slices.Clone(m.rows))
	if err != nil {
		return err
	}
	m.rows = slices.Clone(rows)
	return nil
}

// clock is a settable now.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// signers makes one key pair per algorithm for the whole test binary: RSA takes long.
var signers = map[string]func() crypto.Signer{
	RS256: sync.OnceValue(func() crypto.Signer { return must(newKey(RS256)) }),
	ES256: sync.OnceValue(func() crypto.Signer { return must(newKey(ES256)) }),
	// Fixed, so that every process of a fuzz run has the same.
	EdDSA: sync.OnceValue(func() crypto.Signer { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }),
}

// wireSigner is another RSA key, since a key never serves two uses.
var wireSigner = sync.OnceValue(func() crypto.Signer { return must(newKey(RS256)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newStore has active keys of all uses, entered at the given time.
func newStore(t testing.TB, algorithm string, at time.Time) *memory {
	t.Helper()
	k := &Keys{now: func() time.Time { return at }}
	m := &memory{}
	for _, row := range []SigningKey{
		must(k.row(UseBearer, algorithm, signers[algorithm]())),
		must(k.row(UseMail, EdDSA, must(newKey(EdDSA)))),
		must(k.row(UseWire, RS256, wireSigner())),
	} {
		row.State, row.ActivatedAt = Active, at
		m.rows = append(m.rows, row)
	}
	return m
}

func openKeys(t testing.TB, store KeyStore, c KeysConfig, now func() time.Time) *Keys {
	t.Helper()
	k, err := OpenKeys(context.Background(), store, c, now)
	if err != nil {
		t.Fatalf("OpenKeys: %v", err)
	}
	return k
}

func newMinter(t testing.TB, k *Keys, c Config) *Minter {
	t.Helper()
	m, err := NewMinter(k, c)
	if err != nil {
		t.Fatalf("NewMinter: %v", err)
	}
	return m
}

// shipped and shippedKeys are the configurations of the default settings.
func shipped() Config {
	s := config.Default().Token
	return Config{Lifetime: s.Expire, Reuse: s.Reuse, IatBackdate: s.IatBackdate}
}

func shippedKeys() KeysConfig {
	s := config.Default()
	return KeysConfig{
		Algorithm: s.Token.Algorithm, Lifetime: s.Token.Expire, MailLifetime: s.Mail.TokenExpire,
		JWKSMaxAge: s.Token.JWKSMaxAge, RotateEvery: s.Token.RotateEvery,
	}
}

func keysConfig(algorithm string) KeysConfig {
	c := shippedKeys()
	c.Algorithm = algorithm
	return c
}

// fixture is a minter on prepared keys.
func fixture(t testing.TB, algorithm string) (*Minter, *Keys, *memory, *clock) {
	t.Helper()
	now := newClock()
	store := newStore(t, algorithm, now.now())
	keys := openKeys(t, store, keysConfig(algorithm), now.now)
	return newMinter(t, keys, shipped()), keys, store, now
}

func user() Claims {
	name, referrer := "ann", int64(41)
	return Claims{
		Party: PartyBarong, UID: "ID1A2B3C4D5E", Email: "ann@example.com", Role: "member", State: "active", Level: 3,
		Username: &name, ReferralID: &referrer,
	}
}

func serviceAccount() Claims {
	return Claims{
		Party: PartyBarong, UID: "SI1A2B3C4D5E", Email: "bot@example.com", Role: "service_account", State: "active", Level: 1,
		ServiceAccount: true,
	}
}

func mint(t testing.TB, m *Minter, c Claims, now time.Time) string {
	t.Helper()
	var slot Slot
	bearer, err := m.Mint(&slot, 1, c, now)
	if err != nil {
		t.Fatalf("Mint: %v", err)
	}
	return bearer[len(prefix):]
}

var errBroken = errors.New("store is down")
