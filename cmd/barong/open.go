package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/token"
	"barong/policy"
)

// load reads the settings and the files that they name.
func load(term *terminal) (config.Settings, files, error) {
	s, err := config.Load(term.environ)
	if err != nil {
		return s, files{}, err
	}
	f, err := policyFiles(s)
	if err != nil {
		return s, f, errUsage{err}
	}
	return s, f, nil
}

// openDatabase opens the database of the settings with the key that seals it.
func openDatabase(ctx context.Context, s config.Settings) (*store.DB, error) {
	key, err := masterKey(s)
	if err != nil {
		return nil, err
	}
	sealer, err := secret.NewSealer(key)
	if err != nil {
		return nil, errUsage{fmt.Errorf("BARONG_SECRET_KEY: %w", err)}
	}
	db, err := store.Open(ctx, s.Stores.DatabaseURL, sealer)
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("%w; SQLite is one process on one file: stop the other first", err)
	}
	return db, err
}

// openMigrated is openDatabase for commands that need today's tables.
func openMigrated(ctx context.Context, s config.Settings) (*store.DB, error) {
	db, err := openDatabase(ctx, s)
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// masterKey is the key of the settings, or that of the file beside the SQLite database.
func masterKey(s config.Settings) ([]byte, error) {
	if text := s.Stores.SecretKey.Reveal(); text != "" {
		key, err := secret.ParseKey(text)
		if err != nil {
			return nil, errUsage{fmt.Errorf("BARONG_SECRET_KEY: %w", err)}
		}
		return key, nil
	}
	key, err := secret.LoadOrCreateKey(filepath.Join(dataDir(s), "secret.key"))
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return key, nil
}

// dataDir is the folder of the SQLite file.
func dataDir(s config.Settings) string {
	return filepath.Dir(strings.TrimPrefix(s.Stores.DatabaseURL, "sqlite:"))
}

// newHasher makes the pool that passwords are hashed on.
func newHasher(s config.Settings) *secret.Hasher {
	workers := s.Account.HashWorkers
	if workers == 0 {
		workers = max(1, runtime.NumCPU()/2)
	}
	return secret.NewHasher(workers, s.Account.HashQueue)
}

// newAccounts makes the account service.
func newAccounts(s config.Settings, f files, db *store.DB, hasher *secret.Hasher) *account.Service {
	triggers := make([]account.Trigger, len(f.accounts.Triggers))
	for i, t := range f.accounts.Triggers {
		triggers[i] = account.Trigger{State: t.State, Keys: t.Keys}
	}
	return account.NewService(account.Config{
		AppName:      s.Account.AppName,
		UIDPrefix:    s.Account.UIDPrefix,
		Activation:   f.accounts.Activation,
		Triggers:     triggers,
		Passwords:    account.PasswordRules{MinEntropy: float64(s.Account.MinEntropy)},
		FailureFloor: s.Account.SigninFloor,
	}, db, hasher, new(account.MemoryAttempts), nil)
}

// openKeys loads the signing keys, making those that are missing.
func openKeys(ctx context.Context, s config.Settings, db *store.DB) (*token.Keys, error) {
	c := token.DefaultKeysConfig()
	c.Algorithm, c.Lifetime = s.Token.Algorithm, s.Token.Expire
	c.JWKSMaxAge, c.RotateEvery = s.Token.JWKSMaxAge, s.Token.RotateEvery
	if err := c.Validate(); err != nil {
		return nil, errUsage{err}
	}
	return token.OpenKeys(ctx, db, c, nil)
}

// seedAll adds what the seeds file holds and the database lacks, in the order in which the
// parts need each other. It returns the passwords that it made up, by e-mail.
func seedAll(ctx context.Context, f files, db *store.DB, accounts *account.Service) (policy.SeedReport, []account.Seeded, error) {
	levels := make([]account.SeedLevel, len(f.seeds.Levels))
	for i, l := range f.seeds.Levels {
		levels[i] = account.SeedLevel(l)
	}
	if _, err := accounts.SeedLevels(ctx, levels); err != nil {
		return policy.SeedReport{}, nil, err
	}
	withoutUsers := f.seeds
	withoutUsers.Users = nil
	report, err := policy.Seed(ctx, db, withoutUsers)
	if err != nil {
		return report, nil, err
	}
	users := make([]account.SeedUser, len(f.seeds.Users))
	for i, u := range f.seeds.Users {
		users[i] = account.SeedUser{
			Email: u.Email, Password: u.Password, Username: u.Username, Role: u.Role, State: u.State, Level: &u.Level,
		}
	}
	seeded, err := accounts.SeedUsers(ctx, users)
	return report, seeded, err
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
