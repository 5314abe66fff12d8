package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// The label of a proved e-mail address (identity §6.3).
const (
	emailLabelKey      = "email"
	emailLabelVerified = "verified"
)

// emailProved reports whether we have proof of the address of whose labels these are.
func emailProved(labels []Label) bool {
	return slices.ContainsFunc(labels, func(l Label) bool {
		return l.Scope == ScopePrivate && l.Key == emailLabelKey && l.Value == emailLabelVerified
	})
}

// proveEmail applies every proof that somebody reads the mail to the address of before, the user
// as read in tx, however it was given: it sets the private label, level and state follow, and
// all sessions end. It returns the user as it then is.
//
// The first proof of an address that anybody may have signed up with also ends every way in that
// such a stranger could have left (design D27): the API keys of the user and of the user's
// service accounts, every mailed link, the devices (deviceName), and the password unless it is
// known to be the prover's. The second factor goes while the account awaits the proof, when
// nobody could have put it to use. One that is active already, where an operator asks for no
// proof, may have been somebody's for years: a mailbox alone does not undo its second factor.
//
// On accounts that others than strangers made, the command line and the seeds, nothing was left
// by anybody, and nothing goes.
func (s *Service) proveEmail(ctx context.Context, tx Tx, before User, knowsPassword bool) (User, error) {
	u := before
	if before.Unproved {
		if !knowsPassword {
			u.PasswordDigest = "" // matches nothing
		}
		if before.AwaitsProof() {
			if err := s.forgetSecondFactor(ctx, tx, &u); err != nil {
				return User{}, err
			}
		}
		if err := s.removeKeys(ctx, tx, u.UID); err != nil {
			return User{}, err
		}
		if err := tx.DeleteMailTokens(ctx, u.UID, ""); err != nil {
			return User{}, err
		}
		if err := s.saveUser(ctx, tx, before, &u); err != nil {
			return User{}, err
		}
	}
	l := Label{UserUID: u.UID, Key: emailLabelKey, Value: emailLabelVerified, Scope: ScopePrivate}
	held, err := tx.Label(ctx, u.UID, l.Key, l.Scope)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, fmt.Errorf("load label: %w", err)
	}
	l.Description = held.Description
	if err := tx.PutLabel(ctx, &l); err != nil {
		return User{}, fmt.Errorf("set label: %w", err)
	}
	if _, err := s.recompute(ctx, tx, u.UID); err != nil {
		return User{}, err
	}
	if _, err := tx.EndSessions(ctx, u.UID); err != nil {
		return User{}, fmt.Errorf("end sessions: %w", err)
	}
	return tx.User(ctx, u.UID)
}

// removeKeys deletes the API keys of a user and of the user's service accounts.
func (s *Service) removeKeys(ctx context.Context, tx Tx, uid string) error {
	holders := []string{uid}
	owned, err := tx.ServiceAccountsOf(ctx, uid)
	if err != nil {
		return fmt.Errorf("list service accounts: %w", err)
	}
	for _, a := range owned {
		holders = append(holders, a.UID)
	}
	for _, holder := range holders {
		for {
			keys, _, err := tx.APIKeys(ctx, KeyQuery{HolderUID: holder, OrderBy: "id", Limit: 100})
			if err != nil {
				return fmt.Errorf("list api keys: %w", err)
			}
			if len(keys) == 0 {
				break
			}
			for _, k := range keys {
				if err := tx.DeleteAPIKey(ctx, holder, k.Kid); err != nil {
					return fmt.Errorf("delete api key: %w", err)
				}
			}
		}
	}
	return nil
}

// forgetSecondFactor removes a user's one-time codes with their secret and label; the caller
// saves u.
func (s *Service) forgetSecondFactor(ctx context.Context, tx Tx, u *User) error {
	u.OTP = false
	err := tx.DeleteLabel(ctx, u.UID, otpLabelKey, ScopePrivate)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("remove label: %w", err)
	}
	return tx.DeleteTOTPSecret(ctx, u.UID)
}
