package cluster

import (
	"context"
	"crypto/md5" //nolint:gosec // cookies that SQL makes, too
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"barong/internal/apikey"
	"barong/internal/secret"
	"barong/internal/testenv"
)

// A Crowd is many people, with sessions and an API key each, of whom some lose everything by a
// history of the database that replicas have not read.
type Crowd struct {
	*Cluster
	Sessions, Keys int

	db     *pgx.Conn
	sealer *secret.Sealer
}

// oneReplica is replica A on a PostgreSQL of its own. It ends with the test.
func oneReplica(t testing.TB, barong string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Postgres: testenv.StartPostgres(t, testenv.PostgresConfig{})}
	a, err := newReplica(t, "A", barong, append(environment(t),
		"BARONG_DATABASE_URL="+c.Postgres.URL("postgres"), "BARONG_JWT_ALGORITHM=EdDSA")) // quick to sign: the loads are of interest
	must(t, err)
	c.A, c.replicas = a, []*Replica{a}
	c.startAll()
	c.write(c.Postgres.URL("postgres"))
	return c
}

// StartCrowd starts one replica and makes as many sessions and keys, of keys people. Rows are written
// by few statements: the replica has loaded none of them.
func StartCrowd(t testing.TB, barong string, sessions, keys int) *Crowd {
	t.Helper()
	ctx := t.Context()
	c := &Crowd{Cluster: oneReplica(t, barong), Sessions: sessions, Keys: keys}
	var err error
	c.db, err = pgx.Connect(ctx, c.Postgres.URL("postgres"))
	must(t, err)
	t.Cleanup(func() { c.db.Close(context.Background()) })
	c.sealer, err = secret.NewSealer(sealingKey)
	must(t, err)
	c.exec(`
		INSERT INTO users (uid, email, password_digest, role, level, otp, state, session_generation, created_at, updated_at)
		SELECT 'IDC' || n, 'crowd' || n || '@cluster.example', 'none', 'member', 3, TRUE, 'active', 1, 0, 0
		FROM generate_series(0, $1::bigint - 1) n`, keys)
	c.exec(`
		INSERT INTO sessions (id, uid, ip, user_agent, csrf_token, generation, epoch, created_at, expires_at)
		SELECT sha256(md5('session ' || n)::bytea), 'IDC' || n % $2, $3, $4, 'none', 1, e.epoch, t.now, t.now + 7200000000
		FROM generate_series(0, $1::bigint - 1) n, session_epoch e,
		     (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) t`,
		sessions, keys, crowdIP.String(), []byte(userAgent))
	var first int64
	must(t, c.db.QueryRow(ctx, `SELECT id FROM users WHERE uid = 'IDC0'`).Scan(&first))
	_, err = c.db.CopyFrom(ctx, pgx.Identifier{"apikeys"},
		[]string{"uuid", "user_id", "kid", "algorithm", "secret", "created_at", "updated_at"},
		pgx.CopyFromSlice(keys, func(n int) ([]any, error) {
			row := fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
			k := crowdKey(n)
			sealed, err := c.sealer.Seal([]byte(k.Secret), "apikeys", "secret", row)
			return []any{row, first + int64(n), k.Kid, k.Algorithm, sealed, int64(0), int64(0)}, err
		}))
	must(t, err)
	c.exec(`ANALYZE`)
	return c
}

func (c *Crowd) exec(text string, args ...any) {
	c.t.Helper()
	_, err := c.db.Exec(c.t.Context(), text, args...)
	must(c.t, err)
}

var crowdIP = netip.AddrFrom4([4]byte{100, 127, 255, 7})

func crowdKey(n int) *apikey.Key {
	return &apikey.Key{Kid: fmt.Sprintf("%016x", n), Secret: fmt.Sprintf("%032x", n), Algorithm: apikey.HS256}
}

// Grant is the n-th credential: of the sessions, then of the keys. After Lose lost says that it must be
// refused.
func (c *Crowd) Grant(n int) (g *Grant, lost bool) {
	g = &Grant{Path: Balances, ip: crowdIP}
	person := n % c.Keys
	if n < c.Sessions {
		sum := md5.Sum(fmt.Appendf(nil, "session %d", n)) //nolint:gosec // see above
		g.cookie = hex.EncodeToString(sum[:])
	} else {
		person = n - c.Sessions
		g.key = crowdKey(person)
	}
	g.UID = fmt.Sprintf("IDC%d", person)
	return g, person%100 == 0
}

// Lose gives the database another history: one in which a hundredth of the people are banned.
func (c *Crowd) Lose() {
	c.t.Helper()
	tx, err := c.db.Begin(c.t.Context())
	must(c.t, err)
	for _, text := range []string{
		`UPDATE users SET state = 'banned', version = version + 1 WHERE uid LIKE 'IDC%' AND substr(uid, 4)::bigint % 100 = 0`,
		`UPDATE feed SET name = decode(md5(random()::text), 'hex')`,
	} {
		_, err := tx.Exec(c.t.Context(), text)
		must(c.t, err)
	}
	must(c.t, tx.Commit(c.t.Context()))
}

// Memory is the resident size of the replica in KiB.
func (r *Replica) Memory() (kib int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.running.PID()))
	if err != nil {
		return 0, fmt.Errorf("memory of replica %s: %w", r.Name, err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of replica %s", r.Name)
}
