package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"barong/internal/invalid"
	"barong/internal/password"
)

// A SeedLevel is one rung of the seeds file; its place is its number.
type SeedLevel struct {
	Key, Value  string
	Description string
}

// SeedLevels adds the rungs that are not there yet and returns how many. A rung whose
// number is held by another one is an error: replacing it would change people's levels.
func (s *Service) SeedLevels(ctx context.Context, seeds []SeedLevel) (added int, err error) {
	err = s.update(ctx, func(tx Writer) error {
		added = 0
		levels, err := tx.Levels(ctx)
		if err != nil {
			return err
		}
		at, named := map[int64]Level{}, map[[2]string]bool{}
		for _, l := range levels {
			at[l.ID], named[[2]string{l.Key, l.Value}] = l, true
		}
		for i, seed := range seeds {
			if named[[2]string{seed.Key, seed.Value}] {
				continue
			}
			l := Level{ID: int64(i) + 1, Key: seed.Key, Value: seed.Value}
			if seed.Description != "" {
				l.Description = &seed.Description
			}
			if held, ok := at[l.ID]; ok {
				return fmt.Errorf("level %d is %s:%s already", l.ID, held.Key, held.Value)
			}
			if err := tx.PutLevel(ctx, l); err != nil {
				return err
			}
			added++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("seed levels: %w", err)
	}
	return added, nil
}

// A SeedUser is one user of the seeds file.
type SeedUser struct {
	Email    string
	Password string // "" generates one
	Role     string // "" is member
	State    string // "" follows from the labels of Level
	Username string
	Level    *int
	Line     int // in the file, for messages
}

// String leaves the password out.
func (u SeedUser) String() string { return "user " + u.Email }

// GoString leaves the password out.
func (u SeedUser) GoString() string { return u.String() }

// Seeded is the outcome of a SeedUser.
type Seeded struct {
	Email string
	UID   string
	// Password is set when it was generated; to be shown once, on the terminal only.
	Password string
	// Skipped says that the e-mail was known and nothing was changed.
	Skipped bool
	// Err is a broken rule; the user was not made, the others were.
	Err error
}

// String keeps the password out of logs and errors.
func (s Seeded) String() string { return "seeded user " + s.Email }

// GoString keeps the password out of %#v.
func (s Seeded) GoString() string { return s.String() }

// SeedUsers makes the users that are not there yet. A missing e-mail or level,
// or a level above the ladder, ends the run with an error; the Seeded of a user that breaks a
// rule reports it.
func (s *Service) SeedUsers(ctx context.Context, seeds []SeedUser) ([]Seeded, error) {
	done := make([]Seeded, 0, len(seeds))
	for _, seed := range seeds {
		one, err := s.seedUser(ctx, seed)
		if err != nil {
			return done, err
		}
		done = append(done, one)
	}
	return done, nil
}

func (s *Service) seedUser(ctx context.Context, seed SeedUser) (Seeded, error) {
	email := FoldEmail(seed.Email)
	if email == "" {
		return Seeded{}, errors.New("Email missing in users seed")
	}
	if seed.Level == nil {
		return Seeded{}, fmt.Errorf("Level is missing for user %s", email)
	}
	one := Seeded{Email: email}
	known, err := s.rows.UserByEmail(ctx, email)
	if err == nil {
		one.UID, one.Skipped = known.UID, true
		return one, nil
	}
	if !errors.Is(err, ErrNoUser) {
		return Seeded{}, fmt.Errorf("seed user %s: %w", email, err)
	}
	in := UserInput{
		Email: email, Password: seed.Password, Role: seed.Role, State: seed.State, Level: *seed.Level,
		Operator: true,
	}
	if seed.Username != "" {
		in.Username = &seed.Username
	}
	if strings.TrimSpace(in.Password) == "" {
		in.Password = password.Generate()
		one.Password = in.Password
	}
	u, err := s.CreateUser(ctx, in)
	if _, broken := errors.AsType[invalid.Fields](err); broken {
		one.Password = ""
		one.Err = fmt.Errorf("Can't create user '%s': %w", email, err)
		return one, nil
	}
	if errors.Is(err, errLevels) {
		return Seeded{}, fmt.Errorf("No enough levels found in database to grant the user to level %d", in.Level)
	}
	if err != nil {
		return Seeded{}, fmt.Errorf("seed user %s: %w", email, err)
	}
	one.UID = u.UID
	return one, nil
}

// A SeedKey is one API key of the seeds file, with the service account that holds it. Package apikey
// makes both.
type SeedKey struct {
	Kid string
	// Secret is the key's own. SecretFile and SecretEnv name a file or a variable of the environment
	// that has it in its place. Without any of the three one is made up.
	Secret, SecretFile, SecretEnv string
	ServiceAccount                string // the uid
	// Email, Role and Owner are those of a service account that is not there yet. Owner is a user's
	// address.
	Email, Role, Owner string
	// Scope and Networks are comma-separated.
	Scope, Networks string
	Line            int // in the file, for messages
}

// String leaves the secret out.
func (k SeedKey) String() string { return "api key " + k.Kid }

// GoString leaves the secret out.
func (k SeedKey) GoString() string { return k.String() }
