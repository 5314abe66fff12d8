package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"barong/authz"
	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/exchange"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/secret"
	"barong/internal/session"
	"barong/internal/signin"
	"barong/internal/store"
	"barong/internal/store/redis"
	"barong/internal/token"
	"barong/policy/seed"
)

// load reads the settings and the files that they name.
func load(term *terminal) (config.Settings, files, error) {
	var p prepared
	problems, err := p.read(term)
	if err == nil && len(problems) > 0 {
		err = usageError{problems}
	}
	return p.settings, p.files, err
}

// checkParts notes the problems that parts find in their settings, before any of the parts is
// made. It leaves out those that follow from problems noted already.
func checkParts(s config.Settings, problems *config.Problems) {
	check := func(settings, keys string, err error) {
		if err != nil && !problems.Has(strings.Fields(keys)...) {
			*problems = append(*problems, config.Problem{Text: fmt.Sprintf("%s: %v", settings, err)})
		}
	}
	if text := s.Stores.SecretKey.Reveal(); text != "" {
		_, err := secret.ParseKey(text)
		if err != nil {
			problems.Say("secret_key", "%v", err)
		}
	}
	for _, text := range s.Stores.OtherKeyTexts() {
		if _, err := secret.ParseKey(text); err != nil {
			problems.Say("secret_keys_other", "%v", err)
		}
	}
	check("BARONG_JWT_ROTATE_EVERY", "jwt_rotate_every jwt_expire_time jwks_max_age mail_token_expire_time jwt_algorithm", configured.Keys(s).Validate())
	check("BARONG_JWT_*", "jwt_expire_time jwt_reuse jwt_iat_backdate", configured.Tokens(s).Validate())
	check("BARONG_AUDIT_*", "audit_queue audit_flush_interval audit_spill_max", configured.Audit(s).Validate())
	check("decisions", "policy_max_stale cache_max_stale decision_timeout session_name apikey_nonce_lifetime "+
		"session_ip_v4_mask session_ip_v6_mask rbac_denied_status outage_answer apikey_replay", configured.Decisions(s).Validate())
	check("BARONG_UPLOAD_EXTENSION_WHITELIST, BARONG_UPLOAD_SIZE_*", "upload_extension_whitelist upload_size_min_range upload_size_max_range", configured.Documents(s, exchange.Rules{}).Validate())
	if s.Redis.URL != "" {
		check("BARONG_REDIS_URL and the settings beside it", "redis_url redis_sentinels redis_cluster", configured.Redis(s).Validate())
	}
}

// openDatabase opens the database of the settings with the key that seals it.
func openDatabase(ctx context.Context, s config.Settings, f files, log *slog.Logger) (*store.DB, error) {
	key, others, err := masterKeys(s)
	if err != nil {
		return nil, err
	}
	sealer, err := secret.NewSealer(key, others...)
	if err != nil {
		return nil, usageError{fmt.Errorf("BARONG_SECRET_KEY and BARONG_SECRET_KEYS_OTHER: %w", err)}
	}
	db, err := store.Open(ctx, s.Stores.DatabaseURL, sealer, store.WithLog(log), store.WithPostgres(configured.Postgres(s)), store.WithDestinations(destinations(s, f)))
	return db, named("BARONG_DATABASE_URL", err)
}

// shared holds the stores that several replicas must see alike: in Redis, or in the database.
type shared struct {
	sessions session.Store
	nonces   authz.Nonces
	limits   limit.Store
	redis    *redis.Store // nil without Redis
}

// onClock has a store of limits go by the clock of the database, as all replicas do.
func onClock(s limit.Store, db *store.DB) limit.Store {
	return limit.Shared{Store: s, Time: db.Shared}
}

// openShared opens Redis if the settings name one. A server that is down is not an error:
// decisions say so when they need it.
func openShared(ctx context.Context, s config.Settings, db *store.DB, log *slog.Logger) (shared, error) {
	if s.Redis.URL == "" {
		return shared{sessions: db, nonces: db, limits: onClock(db, db)}, nil
	}
	redis.LogTo(log)
	c := configured.Redis(s)
	c.Log, c.Now = log, db.Time
	r, err := redis.Open(ctx, c)
	if err != nil {
		return shared{}, fmt.Errorf("BARONG_REDIS_URL and the settings beside it: %w", err)
	}
	return shared{sessions: r, nonces: r, limits: onClock(r, db), redis: r}, nil
}

// loads is how many sessions may be read at once: a pipeline to Redis takes many for the
// price of one, the database does not.
func (s shared) loads(settings config.Settings) int {
	if s.redis != nil {
		return max(512, settings.Account.LoadsAtOnce)
	}
	return settings.Account.LoadsAtOnce
}

// sessionConfig is the part of the settings that sessions in these stores go by; clock is the one
// that all processes share.
func (s shared) sessionConfig(settings config.Settings, clock func(time.Time) time.Time) session.Config {
	c := configured.Sessions(settings)
	c.Loads, c.Shared = s.loads(settings), clock
	return c
}

func (s shared) close() {
	if s.redis != nil {
		_ = s.redis.Close() // the process ends
	}
}

// unavailable reports whether a store is away, so that callers are asked to come again.
func unavailable(err error) bool { return store.Unavailable(err) || redis.Unavailable(err) }

// openMigrated is openDatabase for commands that need today's tables.
func openMigrated(ctx context.Context, s config.Settings, f files, log *slog.Logger) (*store.DB, error) {
	db, err := openDatabase(ctx, s, f, log)
	if err != nil {
		return nil, err
	}
	if _, err := migrate(ctx, s, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// migrate brings the schema up to date, unless the database is not for this program or not for
// this key.
func migrate(ctx context.Context, s config.Settings, db *store.DB) (int, error) {
	n, err := db.Migrate(ctx)
	if errors.Is(err, store.ErrOtherKey) {
		name := "BARONG_SECRET_KEY"
		if s.Stores.SecretKey == "" {
			name = s.KeyFile()
		}
		return n, fmt.Errorf("%s is not the key of this database: %w", name, err)
	}
	return n, err
}

// masterKey is the key of the settings, or that of the file beside the SQLite database,
// which is made together with the database only: a new key would open nothing in an old one.
func masterKey(s config.Settings) ([]byte, error) {
	if text := s.Stores.SecretKey.Reveal(); text != "" {
		key, err := secret.ParseKey(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("BARONG_SECRET_KEY: %w", err)}
		}
		return key, nil
	}
	path := s.KeyFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := keyBelongs(s); err != nil {
			return nil, err
		}
	}
	key, err := secret.LoadOrCreateKey(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return key, nil
}

// masterKeys are masterKey and the others that open what it does not.
func masterKeys(s config.Settings) (key []byte, others [][]byte, err error) {
	if key, err = masterKey(s); err != nil {
		return nil, nil, err
	}
	for _, text := range s.Stores.OtherKeyTexts() {
		other, err := secret.ParseKey(text)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("BARONG_SECRET_KEYS_OTHER: %w", err)}
		}
		others = append(others, other)
	}
	return key, others, nil
}

// newHasher makes the pool that passwords are hashed on.
func newHasher(s config.Settings) *secret.Hasher {
	workers := s.Account.HashWorkers
	if workers == 0 {
		workers = max(1, runtime.NumCPU()/2)
	}
	return secret.NewHasher(workers, s.Account.HashQueue)
}

// openCookies makes the signers of device cookies and of passkeys' challenges, by the keys that open the
// database.
func openCookies(s config.Settings) (*signin.Devices, *factor.Challenges, error) {
	key, others, err := masterKeys(s)
	if err != nil {
		return nil, nil, err
	}
	devices, err := signin.NewDevices(key, others...)
	if err != nil {
		return nil, nil, err
	}
	challenges, err := factor.NewChallenges(key, others...)
	return devices, challenges, err
}

// openLinks makes the signer of links to files, by the keys that open the database.
func openLinks(s config.Settings) (*person.Links, error) {
	key, others, err := masterKeys(s)
	if err != nil {
		return nil, err
	}
	return person.NewLinks(time.Duration(s.Uploads.LinkMinutes)*time.Minute, key, others...)
}

// newAccounts makes the account service; hasher may be nil where nobody gets a password.
func newAccounts(s config.Settings, f files, db *store.DB, hasher account.Hasher) (*account.Service, error) {
	return account.NewService(configured.Accounts(s, f.accounts, f.abilities.Staff()), account.Parts{Rows: db, Update: store.Update[account.Tx](db), Hasher: hasher, Now: db.Time})
}

// openKeys loads the signing keys, making those that are missing.
func openKeys(ctx context.Context, s config.Settings, db *store.DB) (*token.Keys, error) {
	return token.OpenKeys(ctx, db, configured.Keys(s), db.Time)
}

// seeded is the outcome of seedAll: the rows of the policy, the users with the passwords that were
// made up, and the API keys with such secrets.
type seeded struct {
	policy seed.Report
	users  []account.Seeded
	keys   []apikey.Seeded
}

// seedAll adds the entries of the seeds file that the database lacks, in the order in which the
// parts need each other.
func seedAll(ctx context.Context, s config.Settings, f files, db *store.DB, accounts *account.Service) (done seeded, err error) {
	keys := slices.Clone(f.seeds.APIKeys)
	for i := range keys {
		if err := revealSecret(&keys[i]); err != nil {
			return done, err
		}
	}
	if _, err := accounts.SeedLevels(ctx, f.seeds.Levels); err != nil {
		return done, err
	}
	if done.policy, err = seed.Apply(ctx, db, f.seeds); err != nil {
		return done, err
	}
	if done.users, err = accounts.SeedUsers(ctx, f.seeds.Users); err != nil {
		return done, err
	}
	service := apikey.NewService(configured.KeyRules(s), apikey.Parts{
		Accounts: accounts, Rows: db, Update: store.Update[apikey.Tx](db), Now: db.Time,
		Scopes: func(name string) bool { return f.rules.Scopes[name] != nil },
	})
	done.keys, err = service.SeedKeys(ctx, keys)
	return done, err
}

// revealSecret reads the secret of a key where the seeds file only names its place.
func revealSecret(k *account.SeedKey) error {
	switch {
	case k.SecretFile != "":
		text, err := os.ReadFile(k.SecretFile)
		if err != nil {
			return fmt.Errorf("secret_file of api key %s: %w", k.Kid, err)
		}
		k.Secret = strings.TrimSpace(string(text))
	case k.SecretEnv != "":
		k.Secret = strings.TrimSpace(os.Getenv(k.SecretEnv))
	default:
		return nil
	}
	if k.Secret == "" {
		return fmt.Errorf("api key %s: its secret is empty in %s", k.Kid, cmp.Or(k.SecretFile, "$"+k.SecretEnv))
	}
	return nil
}

// newLog makes the process's logger: JSON unless it speaks to a terminal.
func newLog(s config.Settings, term *terminal) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.Process.LogLevel)) // config allows its names only
	return slog.New(newHandler(s, term)(term.err, level))
}

// newHandler picks the form of log lines.
func newHandler(s config.Settings, term *terminal) func(io.Writer, slog.Level) slog.Handler {
	text := s.Process.LogFormat == "text" || s.Process.LogFormat == "auto" && isTerminal(term.err)
	return func(w io.Writer, level slog.Level) slog.Handler {
		o := &slog.HandlerOptions{Level: level}
		if text {
			return slog.NewTextHandler(w, o)
		}
		return slog.NewJSONHandler(w, o)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
