package factor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
)

// Refusals about passkeys.
var (
	// ErrNoPasskeys says that the settings name no site whose passkeys are taken.
	ErrNoPasskeys = errors.New("factor: passkeys are off")
	// ErrNoChallenge says that the browser has no challenge, or one that is over or was used.
	ErrNoChallenge = errors.New("factor: no challenge of a passkey")
	// ErrBadPasskey says that the answer to a challenge is not one of a passkey that is known here.
	ErrBadPasskey = errors.New("factor: the passkey is refused")
	// ErrCopiedPasskey says that a passkey was used more often than its device has counted: two devices
	// have it.
	ErrCopiedPasskey = errors.New("factor: the passkey may have been copied")
	// ErrTooManyPasskeys says that a user has as many as there may be.
	ErrTooManyPasskeys = errors.New("factor: too many passkeys")
	// ErrPasskeyTaken says that the passkey is registered already.
	ErrPasskeyTaken = errors.New("factor: the passkey is registered already")
	// ErrNoPasskey says that a user has no such passkey.
	ErrNoPasskey = fmt.Errorf("factor: passkey: %w", account.ErrNotFound)
)

const (
	// MaxPasskeys is how many passkeys one user may have.
	MaxPasskeys = 10
	// maxPasskeyName is how many characters the name of one has at most.
	maxPasskeyName = 64
	// handleSize is the size of a user handle: random, so that a device that shows it names nobody.
	handleSize = 32

	actionAddPasskey    = "add passkey"
	actionDeletePasskey = "delete passkey"
	actionRenamePasskey = "rename passkey"
)

// A Passkey is a key pair of a device, of which we have the public half. It signs its user in by
// itself, and counts as both factors: the device asks for a finger, a face or a PIN.
type Passkey struct {
	ID      string // random, for URLs
	UserUID string
	Name    string // given by its user
	// CredentialID is the device's name for it, and Handle the name of the user on all devices, 32
	// random bytes.
	CredentialID, Handle []byte
	// PublicKey is a COSE_Key (RFC 9052).
	PublicKey []byte
	// SignCount is the device's count of its uses, at the last of them; 0 for devices that do not count.
	SignCount uint32
	// Synced says that the device's maker keeps copies of it. It does not change.
	Synced     bool
	CreatedAt  time.Time
	LastUsedAt time.Time // zero before its first sign-in
}

// PasskeyReader is the part of Reader about passkeys.
type PasskeyReader interface {
	// Passkeys lists a user's, the oldest first.
	Passkeys(ctx context.Context, uid string) ([]Passkey, error)
	// PasskeyOf finds the one of a credential id; ErrNoPasskey.
	PasskeyOf(ctx context.Context, credentialID []byte) (Passkey, error)
}

// passkeyWriter is the part of Tx about passkeys; account.Tx has DeletePasskeys.
type passkeyWriter interface {
	PasskeyAdvancer
	// UserHandle returns the user's handle, which is fresh when there was none; account.ErrNoUser.
	UserHandle(ctx context.Context, uid string, fresh []byte) ([]byte, error)
	// AddPasskey writes a new one and its ID and times into p, unless the user has most already:
	// ErrTooManyPasskeys. ErrPasskeyTaken when anybody has the credential id; account.ErrNoUser.
	AddPasskey(ctx context.Context, p *Passkey, most int) error
	// RenamePasskey gives a user's passkey another name; ErrNoPasskey.
	RenamePasskey(ctx context.Context, uid, id, name string) error
	// DeletePasskey removes a user's passkey; ErrNoPasskey.
	DeletePasskey(ctx context.Context, uid, id string) error
}

// PasskeyAdvancer notes uses of passkeys.
type PasskeyAdvancer interface {
	// UsePasskey notes a use at which the device has counted up to count. ErrCopiedPasskey when that
	// is not more than before, unless the device never counts; ErrNoPasskey. Of two uses with one
	// count, one wins.
	UsePasskey(ctx context.Context, uid, id string, count uint32) error
}

// Passkeys lists the actor's passkeys, the oldest first.
func (s *Service) Passkeys(ctx context.Context, me account.Actor) ([]Passkey, error) {
	return s.rows.Passkeys(ctx, me.UID)
}

// HasPasskeys reports whether a user has any, so that the password alone does not sign in.
func (s *Service) HasPasskeys(ctx context.Context, uid string) (bool, error) {
	all, err := s.rows.Passkeys(ctx, uid)
	return len(all) > 0, err
}

// passkeyName is a name as it is kept; one of invalid.Fields.
func passkeyName(text string) (string, error) {
	name := strings.Join(strings.Fields(text), " ")
	if name == "" {
		name = "Passkey"
	}
	if utf8.RuneCountInString(name) > maxPasskeyName {
		return "", invalid.Field("name", "too_long")
	}
	return name, nil
}

// AddPasskey registers the passkey by which the browser has answered the challenge of NewPasskey,
// whose cookie it shows. All sessions of the user end: the caller restamps its own with the
// generation returned (design D11). Errors: ErrNoPasskeys, invalid.Fields (name.too_long),
// ErrNoChallenge, ErrBadPasskey, ErrTooManyPasskeys, ErrPasskeyTaken; account.ErrSessionEnded.
func (s *Service) AddPasskey(ctx context.Context, me account.Actor, cookie string, answer []byte, name string) (p Passkey, generation int64, err error) {
	if name, err = passkeyName(name); err != nil {
		return p, 0, err
	}
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return p, 0, fmt.Errorf("load user: %w", err)
	}
	p, err = s.created(ctx, u, cookie, answer)
	if errors.Is(err, ErrBadPasskey) {
		return p, 0, s.refuseOTP(ctx, me, err, actionAddPasskey, "Passkey is invalid")
	}
	if err != nil {
		return p, 0, err
	}
	p.Name = name
	err = s.changePasskeys(ctx, me, u.SessionGeneration, actionAddPasskey, &generation, func(tx work, u account.User) error {
		if err := tx.AddPasskey(ctx, &p, MaxPasskeys); err != nil {
			return err
		}
		a := s.activity(me, actionAddPasskey, audit.Succeed, "")
		e := event.PasskeyAdded(u.Event(), a.IP, a.UserAgent, a.IPCountry, a.CreatedAt)
		e.Language = s.accounts.Language(u, "", me.Language)
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return Passkey{}, 0, err
	}
	return p, generation, nil
}

// RemovePasskey removes a passkey of u, who is the actor and has proved the password since u was
// read. Sessions end as with AddPasskey. Errors: ErrNoPasskey, account.ErrSessionEnded.
func (s *Service) RemovePasskey(ctx context.Context, me account.Actor, u account.User, id string) (generation int64, err error) {
	err = s.changePasskeys(ctx, me, u.SessionGeneration, actionDeletePasskey, &generation, func(tx work, _ account.User) error {
		return tx.DeletePasskey(ctx, me.UID, id)
	})
	return generation, err
}

// changePasskeys changes the passkeys of the actor, whose sessions all end but the one that it acts
// in. The proof for the change was given in the generation proved: one that another has ended is
// account.ErrSessionEnded.
func (s *Service) changePasskeys(
	ctx context.Context, me account.Actor, proved int64, action string, generation *int64, change func(work, account.User) error,
) error {
	err := s.update(ctx, func(tx work) error {
		before, err := tx.User(ctx, me.UID)
		if err != nil {
			return err
		}
		if before.SessionGeneration != proved {
			return account.ErrSessionEnded
		}
		if err := tx.Standing(ctx, me); err != nil {
			return err
		}
		if err := change(tx, before); err != nil {
			return err
		}
		u := before
		u.SessionGeneration++
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		*generation = u.SessionGeneration
		if err := tx.Renew(ctx, me, s.now().Add(account.RenewalGrace)); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(me, action, audit.Succeed, ""))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

// RenamePasskey gives a passkey of the actor's another name and returns it. Errors: invalid.Fields
// (name.too_long), ErrNoPasskey.
func (s *Service) RenamePasskey(ctx context.Context, me account.Actor, id, name string) (p Passkey, err error) {
	if name, err = passkeyName(name); err != nil {
		return p, err
	}
	err = s.update(ctx, func(tx work) error {
		if err := tx.RenamePasskey(ctx, me.UID, id, name); err != nil {
			return err
		}
		all, err := tx.Passkeys(ctx, me.UID)
		if err != nil {
			return err
		}
		for _, one := range all {
			if one.ID == id {
				p = one
			}
		}
		return tx.AddActivity(ctx, s.activity(me, actionRenamePasskey, audit.Succeed, ""))
	})
	if err != nil {
		return Passkey{}, fmt.Errorf("rename passkey: %w", err)
	}
	return p, nil
}
