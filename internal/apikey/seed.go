package apikey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/internal/secret"
)

// Seeded is the outcome of an account.SeedKey.
type Seeded struct {
	Kid, ServiceAccount string
	// Secret is set when it was made up; to be shown once, on the terminal only.
	Secret string
	// Skipped says that the service account has a key of that id, and nothing was changed.
	Skipped bool
	// Err is a broken rule; the key was not made, others were.
	Err error
}

// String keeps the secret out of logs and errors.
func (s Seeded) String() string { return "seeded api key " + s.Kid }

// GoString keeps the secret out of %#v.
func (s Seeded) GoString() string { return s.String() }

// serviceUID is the form of a service account's uid (AZ-295).
var serviceUID = regexp.MustCompile(`^SI[0-9A-F]{10}$`)

// seedSecret is the form of a secret of an operator's choice: as long as one that is made up, and text
// that a header may have.
var seedSecret = regexp.MustCompile(`^[!-~]{32,255}$`)

// SeedKeys makes the keys that are not there yet, by the rules of new ones, and the service accounts that
// are to hold them. Nothing that is there is changed. The Seeded of a key that breaks a rule reports it;
// any other error ends the run. The secrets of seeds are in Secret.
func (s *Service) SeedKeys(ctx context.Context, seeds []account.SeedKey) ([]Seeded, error) {
	done := make([]Seeded, 0, len(seeds))
	for _, seed := range seeds {
		one := Seeded{Kid: seed.Kid, ServiceAccount: seed.ServiceAccount}
		if seed.Secret == "" {
			one.Secret = secret.Hex(16)
			seed.Secret = one.Secret
		}
		err := s.update(ctx, func(tx work) (err error) {
			one.Skipped, err = s.seedKey(ctx, tx, seed)
			return err
		})
		if errors.Is(err, account.ErrTaken) {
			err = invalid.Field("kid", "taken") // by another holder
		}
		if _, broken := errors.AsType[invalid.Fields](err); broken {
			one.Err, err = fmt.Errorf("Can't create api key '%s': %w", seed.Kid, err), nil
		}
		if one.Skipped || one.Err != nil {
			one.Secret = ""
		}
		if err != nil {
			return done, fmt.Errorf("seed api key %s: %w", seed.Kid, err)
		}
		done = append(done, one)
	}
	return done, nil
}

func (s *Service) seedKey(ctx context.Context, tx work, seed account.SeedKey) (skipped bool, err error) {
	k := Key{
		Kid: seed.Kid, Algorithm: HS256, State: Active, HolderUID: seed.ServiceAccount,
		HolderKind: account.KindServiceAccount, Secret: seed.Secret, ScopeEnforced: true,
	}
	_, err = tx.APIKey(ctx, k.HolderUID, k.Kid)
	if err == nil || !errors.Is(err, ErrNoKey) {
		return err == nil, err
	}
	var p invalid.Fields
	if !kidShape.MatchString(k.Kid) {
		p.Add("kid", invalid.Malformed)
	}
	if !seedSecret.MatchString(k.Secret) {
		p.Explain("secret", invalid.Malformed, "32 to 255 printable characters without blanks")
	}
	var b Bounds
	if seed.Scope != "" {
		b.Scope = new(strings.Split(seed.Scope, ","))
	}
	if seed.Networks != "" {
		b.Networks = &[]string{seed.Networks}
	}
	s.bound(&k, b, &p)
	if err := p.Err(); err != nil {
		return false, err
	}
	if err := seedHolder(ctx, tx, seed); err != nil {
		return false, err
	}
	if err := tx.AddAPIKey(ctx, &k); err != nil {
		return false, err
	}
	return false, tx.AddActivity(ctx, s.keyActivity(account.Operator("seed"), "api key create", k.Kid))
}

// seedHolder makes the service account of a key if it is not there.
func seedHolder(ctx context.Context, tx work, seed account.SeedKey) error {
	_, err := tx.ServiceAccount(ctx, seed.ServiceAccount)
	if !errors.Is(err, account.ErrNoServiceAccount) {
		return err
	}
	a := account.ServiceAccount{
		UID: seed.ServiceAccount, Email: account.FoldEmail(seed.Email), Role: cmp.Or(seed.Role, account.RoleServiceAccount),
		State: account.StateActive,
	}
	var p invalid.Fields
	if !serviceUID.MatchString(a.UID) {
		p.Explain("service_account", invalid.Malformed, "SI and ten of 0-9 and A-F")
	}
	if a.Email == "" {
		p.Add("email", invalid.Blank)
	}
	switch known, err := tx.RoleExists(ctx, a.Role); {
	case err != nil:
		return err
	case !known:
		p.Add("role", invalid.Unknown)
	}
	if seed.Owner != "" {
		owner, err := tx.UserByEmail(ctx, account.FoldEmail(seed.Owner))
		switch {
		case errors.Is(err, account.ErrNoUser):
			p.Add("owner", invalid.Unknown)
		case err != nil:
			return err
		}
		a.OwnerUID, a.Level = owner.UID, owner.Level
		a.State = cmp.Or(owner.State, a.State)
	}
	if err := p.Err(); err != nil {
		return err
	}
	if err := tx.AddServiceAccount(ctx, &a); errors.Is(err, account.ErrTaken) {
		return invalid.Field("email_or_uid", "not_uniq")
	} else if err != nil {
		return err
	}
	return nil
}
