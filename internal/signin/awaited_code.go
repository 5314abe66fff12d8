package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/factor"
	"barong/internal/limit"
)

// A captcha is good once, and signing in with a second factor takes two requests: one that shows
// the password and a captcha, and one that shows a code as well. The proof of the first is kept
// for the second.
const (
	purposeCode = "code" // of a MailToken that no mail holds
	codeTime    = 5 * time.Minute
)

// awaitsCode reports whether a sign-in was refused for nothing but its code.
func awaitsCode(err error) bool {
	return errors.Is(err, factor.ErrMissingOTP) || errors.Is(err, factor.ErrInvalidOTP) || errors.Is(err, factor.ErrOTPReplay)
}

// AwaitsCode reports whether the same browser, on the same network, has just shown the right
// password of the account together with a captcha, so that only a good code is missing. It is
// true once for each refusal of SignIn that is about the code alone: a caller that then sets
// SignIn.Human gets another with a wrong code, and none with a wrong password. So it serves
// a caller that knows the password, and none that guesses it.
func (s *Service) AwaitsCode(ctx context.Context, in SignIn) (awaited bool, err error) {
	hash := codeHash(in)
	if _, err := s.rows.MailToken(ctx, hash, s.now()); errors.Is(err, ErrNoLink) {
		return false, nil // strangers cause no write
	} else if err != nil {
		return false, fmt.Errorf("look for a sign-in that awaits its code: %w", err)
	}
	err = s.update(ctx, func(tx work) error {
		awaited, err = tx.UseMailToken(ctx, hash, s.now())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for a sign-in that awaits its code: %w", err)
	}
	return awaited, nil
}

// awaitCode makes AwaitsCode true for the client of in, which has shown the password of u.
func (s *Service) awaitCode(ctx context.Context, u account.User, in SignIn) error {
	hash := codeHash(in)
	err := s.update(ctx, func(tx work) error {
		if _, err := tx.UseMailToken(ctx, hash, s.now()); err != nil { // begin anew
			return err
		}
		const devices = 5 // that somebody signs in from at the same time
		return tx.AddMailToken(ctx, MailToken{
			Hash: hash, UserUID: u.UID, Purpose: purposeCode, ExpiresAt: s.now().Add(codeTime),
		}, devices)
	})
	if err != nil {
		return fmt.Errorf("await a code: %w", err)
	}
	return nil
}

// codeHash names an account and a client in the store. Every part but the last is of a shape
// without zero bytes, or is hashed.
func codeHash(in SignIn) [32]byte {
	email, agent := sha256.Sum256([]byte(account.FoldEmail(in.Email))), sha256.Sum256([]byte(in.UserAgent))
	text := fmt.Sprintf("%s\x00%x\x00%x\x00%s\x00%s", purposeCode, email, agent, limit.Network(in.IP), in.Device)
	return sha256.Sum256([]byte(text))
}
