package factor

import (
	"context"
	"encoding/base32"
	"fmt"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/secret"
)

const (
	// RecoveryCodeCount is how many recovery codes a user gets at once.
	RecoveryCodeCount = 10
	// recoveryCodeLen is the length of one, without its hyphens: 80 bits in base32.
	recoveryCodeLen = 16

	actionRecoveryCodes = "make recovery codes"
	actionRecover       = "use recovery code"
)

// RecoveryCodes are codes that each stand for one code of the authenticator app, once. They are
// shown when they are made, and not kept. They must not be logged.
type RecoveryCodes []string

// String keeps the codes out of logs and errors.
func (RecoveryCodes) String() string { return "recovery codes" }

// GoString keeps them out of %#v.
func (c RecoveryCodes) GoString() string { return c.String() }

// recoveryReader is the part of Reader about recovery codes.
type recoveryReader interface {
	// RecoveryCodesLeft counts the recovery codes of a user that still work.
	RecoveryCodesLeft(ctx context.Context, uid string) (int, error)
}

// recoveryWriter is the part of Tx about recovery codes; account.Tx has DeleteRecoveryCodes. A store
// keeps SHA-256 of user and code. That is right for codes of 80 random bits: nobody can try so many, so
// that a password's slow hash would be for nothing, and under a key the codes would be lost when it is changed.
type recoveryWriter interface {
	// PutRecoveryCodes writes the codes in place of all others of the user; account.ErrNoUser.
	PutRecoveryCodes(ctx context.Context, uid string, codes RecoveryCodes) error
	// UseRecoveryCode deletes a code of the user and reports whether it was there: of two uses of
	// one, one wins.
	UseRecoveryCode(ctx context.Context, uid, code string) (bool, error)
}

// newRecoveryCodes makes codes of the form "abcd-efgh-ijkl-mnop".
func newRecoveryCodes() RecoveryCodes {
	codes := make(RecoveryCodes, RecoveryCodeCount)
	for i := range codes {
		text := strings.ToLower(base32.StdEncoding.EncodeToString(secret.Bytes(recoveryCodeLen * 5 / 8)))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	}
	return codes
}

// recoveryCode reads a recovery code as people type it: in either case, spaces and hyphens
// anywhere or nowhere. It returns the form of newRecoveryCodes, and false for a text that can be
// none.
func recoveryCode(text string) (code string, ok bool) {
	var b strings.Builder
	n := 0
	for _, c := range []byte(text) {
		switch {
		case c == ' ' || c == '-' || c == '\t':
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z' || '2' <= c && c <= '7':
		default:
			return "", false
		}
		if n == recoveryCodeLen {
			return "", false
		}
		if n > 0 && n%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(c)
		n++
	}
	return b.String(), n == recoveryCodeLen
}

// NewRecoveryCodes makes recovery codes for a user whose one-time codes are on, in place of all
// others, proved by a code of the authenticator app. Errors: ErrOTPNotEnabled, then Use's.
func (s *Service) NewRecoveryCodes(ctx context.Context, me account.Actor, code string) (RecoveryCodes, error) {
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return nil, fmt.Errorf("load user: %w", err)
	}
	if err := s.useOwn(ctx, me, u, code, actionRecoveryCodes); err != nil {
		return nil, err
	}
	codes := newRecoveryCodes()
	err = s.update(ctx, func(tx work) error {
		u, err := tx.User(ctx, me.UID)
		if err != nil {
			return err
		}
		if !u.OTP { // switched off since: codes would outlive it
			return ErrOTPNotEnabled
		}
		if err := tx.PutRecoveryCodes(ctx, me.UID, codes); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(me, actionRecoveryCodes, audit.Succeed, ""))
	})
	if err != nil {
		return nil, fmt.Errorf("make recovery codes: %w", err)
	}
	return codes, nil
}

// UseOrRecover is Use for the two places where a user without the authenticator app must come
// through, signing in and switching one-time codes off: it also takes a recovery code, which is
// then gone, and its owner is mailed. A wrong one counts as a wrong code does.
func (s *Service) UseOrRecover(ctx context.Context, by account.Actor, code string) error {
	recovery, ok := recoveryCode(code)
	if !ok {
		return s.Use(ctx, by.UID, code)
	}
	return s.guess(ctx, by.UID, func() error { return s.recover(ctx, by, recovery) })
}

// recover uses a recovery code up; ErrInvalidOTP.
func (s *Service) recover(ctx context.Context, by account.Actor, code string) error {
	err := s.update(ctx, func(tx work) error {
		u, err := tx.User(ctx, by.UID)
		if err != nil {
			return err
		}
		switch used, err := tx.UseRecoveryCode(ctx, by.UID, code); {
		case err != nil:
			return err
		case !used || !u.OTP:
			return ErrInvalidOTP
		}
		left, err := tx.RecoveryCodesLeft(ctx, by.UID)
		if err != nil {
			return err
		}
		a := s.activity(by, actionRecover, audit.Succeed, fmt.Sprintf("%d left", left))
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		e := event.RecoveryCodeUsed(u.Event(), left, a.IP, a.UserAgent, a.IPCountry, a.CreatedAt)
		e.Language = s.accounts.Language(u, "", by.Language)
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("use recovery code: %w", err)
	}
	return nil
}
