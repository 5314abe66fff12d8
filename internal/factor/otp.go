package factor

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/limit"
	"barong/internal/secret"
)

// Refusals about one-time codes.
var (
	ErrOTPEnabled    = errors.New("factor: one-time codes are on already")
	ErrOTPNotEnabled = errors.New("factor: one-time codes are off")
	ErrMissingOTP    = errors.New("factor: one-time code missing")
	ErrInvalidOTP    = errors.New("factor: wrong one-time code")
	// ErrOTPReplay says that the code, or a newer one, was used before.
	ErrOTPReplay = errors.New("factor: one-time code used before")
)

// ErrNoSecret says that a user has no one-time-code secret.
var ErrNoSecret = fmt.Errorf("factor: one-time-code secret: %w", account.ErrNotFound)

const (
	reasonWrongCode = "OTP code is invalid"
	reasonEnabled   = "2FA has been already enabled for this account"
	reasonDisabled  = "2FA has not been enabled for this account"

	actionQR        = "request QR code for 2FA"
	actionEnable2F  = "enable 2FA"
	actionDisable2F = "disable 2FA"
	actionVerify2F  = "verify 2FA code"

	qrPixels = 300
)

// A TOTPSecret is a user's one-time-code secret and the record of the last code accepted with
// it.
type TOTPSecret struct {
	UserUID string
	// Secret is the raw key of RFC 6238, 20 bytes.
	Secret []byte
	// LastStep is the newest accepted 30 s time step; codes at or below it are replays.
	LastStep int64
}

// String keeps the secret out of logs and errors.
func (s TOTPSecret) String() string { return "totp secret of " + s.UserUID }

// GoString keeps the secret out of %#v.
func (s TOTPSecret) GoString() string { return s.String() }

// totpReader is the part of Reader about one-time-code secrets.
type totpReader interface {
	// TOTPSecret loads a user's; ErrNoSecret.
	TOTPSecret(ctx context.Context, uid string) (TOTPSecret, error)
}

// totpWriter is the part of Tx about one-time-code secrets, which are sealed; account.Tx has
// DeleteTOTPSecret.
type totpWriter interface {
	// PutTOTPSecret seals and writes, replacing any other; account.account.ErrNoUser without the user.
	PutTOTPSecret(ctx context.Context, s TOTPSecret) error
	// AdvanceTOTP sets LastStep to step if it is lower and reports whether it was: of two
	// requests with one code, one wins.
	AdvanceTOTP(ctx context.Context, uid string, step int64) (bool, error)
}

// Use checks a code of a user and consumes it: no code works twice, and after
// as many wrong ones as Config.Code has none works at all for a while (W-I3). Errors:
// limit.TooMany, ErrInvalidOTP (also without a secret), ErrOTPReplay.
func (s *Service) Use(ctx context.Context, uid, code string) error {
	return s.guess(ctx, uid, func() error { return s.use(ctx, uid, code) })
}

// guess runs a check of a user's code unless too many were wrong; one that is then counts.
func (s *Service) guess(ctx context.Context, uid string, check func() error) (err error) {
	try := limit.Try{Key: "code of " + uid, Rule: s.cfg.Code}
	if err := s.attempts.Spend(ctx, try); err != nil {
		return err
	}
	if err = check(); !errors.Is(err, ErrInvalidOTP) { // only wrong codes count
		err = errors.Join(err, s.attempts.GiveBack(ctx, try))
	}
	return err
}

// use uses up a code of the authenticator app.
func (s *Service) use(ctx context.Context, uid, code string) error {
	held, err := s.rows.TOTPSecret(ctx, uid)
	if errors.Is(err, ErrNoSecret) {
		return ErrInvalidOTP
	}
	if err != nil {
		return fmt.Errorf("load one-time code secret: %w", err)
	}
	step, ok := secret.TOTPStep(held.Secret, code, s.now())
	if !ok {
		return ErrInvalidOTP
	}
	var won bool
	err = s.update(ctx, func(tx work) error {
		won, err = tx.AdvanceTOTP(ctx, uid, step)
		return err
	})
	if err != nil {
		return fmt.Errorf("use one-time code: %w", err)
	}
	if !won {
		return ErrOTPReplay
	}
	return nil
}

// RequireOTP is the gate before changes to API keys: the user must have
// one-time codes on and give one. Errors: ErrOTPNotEnabled, ErrMissingOTP, then Use's.
func (s *Service) RequireOTP(ctx context.Context, me account.Actor, code string) error {
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	if !u.OTP {
		return ErrOTPNotEnabled
	}
	if strings.TrimSpace(code) == "" {
		return ErrMissingOTP
	}
	return s.Use(ctx, me.UID, code)
}

// A Setup is the input of an authenticator app. It must not be logged.
type Setup struct {
	Secret string // base32 without padding
	URL    string // otpauth://…
	PNG    []byte // the URL as a QR code, 300 × 300
}

// String keeps the secret out of logs and errors.
func (Setup) String() string { return "one-time code setup" }

// GoString keeps the secret out of %#v.
func (o Setup) GoString() string { return o.String() }

// OTPSecret makes a new secret for a user whose one-time codes are off, in place of one not
// yet enabled. Errors: ErrOTPEnabled, limit.TooMany (W-R13).
func (s *Service) OTPSecret(ctx context.Context, me account.Actor) (Setup, error) {
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return Setup{}, fmt.Errorf("load user: %w", err)
	}
	if u.OTP {
		return Setup{}, s.refuseOTP(ctx, me, ErrOTPEnabled, actionQR, reasonEnabled)
	}
	if err := s.attempts.Spend(ctx, limit.Try{Key: "code secret of " + me.UID, Rule: s.cfg.QR}); err != nil {
		return Setup{}, err
	}
	raw := secret.NewTOTPSecret()
	setup := Setup{
		Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw),
		URL:    secret.TOTPURL(s.cfg.AppName, u.Email, raw),
	}
	if setup.PNG, err = secret.QRCode(setup.URL, qrPixels); err != nil {
		return Setup{}, fmt.Errorf("draw QR code: %w", err)
	}
	err = s.update(ctx, func(tx work) error {
		u, err := tx.User(ctx, me.UID)
		if err != nil {
			return err
		}
		if u.OTP { // enabled since: its secret must not be replaced
			return ErrOTPEnabled
		}
		if err := tx.PutTOTPSecret(ctx, TOTPSecret{UserUID: me.UID, Secret: raw}); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(me, actionQR, audit.Succeed, ""))
	})
	if err != nil {
		return Setup{}, fmt.Errorf("make one-time code secret: %w", err)
	}
	return setup, nil
}

// EnableOTP switches one-time codes on, proved by one, and ends every session of the user:
// the caller restamps its own with the generation returned (design D11). Errors:
// ErrOTPEnabled, then Use's; account.ErrSessionEnded when me's session has ended by then.
func (s *Service) EnableOTP(ctx context.Context, me account.Actor, code string) (generation int64, err error) {
	return s.switchOTP(ctx, me, code, true)
}

// DisableOTP switches one-time codes off, proved by one or by a recovery code: the secret and all
// recovery codes are forgotten (W-R13), all API keys of the user and of the user's service accounts
// stop, and sessions end as with EnableOTP. Errors: ErrOTPNotEnabled, then Use's.
func (s *Service) DisableOTP(ctx context.Context, me account.Actor, code string) (generation int64, err error) {
	return s.switchOTP(ctx, me, code, false)
}

// switchOTP sets the flag to on, with everything that belongs to it.
func (s *Service) switchOTP(ctx context.Context, me account.Actor, code string, on bool) (generation int64, err error) {
	action, already, reason := actionEnable2F, ErrOTPEnabled, reasonEnabled
	if !on {
		action, already, reason = actionDisable2F, ErrOTPNotEnabled, reasonDisabled
	}
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return 0, fmt.Errorf("load user: %w", err)
	}
	if u.OTP == on {
		return 0, s.refuseOTP(ctx, me, already, action, reason)
	}
	if on {
		err = s.Use(ctx, me.UID, code)
	} else {
		err = s.UseOrRecover(ctx, me, code)
	}
	if errors.Is(err, ErrInvalidOTP) {
		return 0, s.refuseOTP(ctx, me, err, action, reasonWrongCode)
	} else if err != nil {
		return 0, err
	}
	err = s.update(ctx, func(tx work) error {
		before, err := tx.User(ctx, me.UID)
		if err != nil {
			return err
		}
		if err := tx.Standing(ctx, me); err != nil {
			return err
		}
		if before.OTP == on {
			return already
		}
		u := before
		u.OTP = on
		u.SessionGeneration++
		if on {
			err = secretProved(ctx, tx, me.UID)
		} else {
			err = tx.ForgetSecondFactor(ctx, &u)
		}
		if err != nil {
			return err
		}
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return err
		}
		if on {
			if err := tx.ShowSecondFactor(ctx, me.UID); err != nil {
				return err
			}
		}
		if u, err = tx.User(ctx, me.UID); err != nil {
			return err
		}
		generation = u.SessionGeneration
		if err := tx.Renew(ctx, me, s.now().Add(account.RenewalGrace)); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(me, action, audit.Succeed, ""))
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", action, err)
	}
	return generation, nil
}

// secretProved returns ErrInvalidOTP when another secret was made since a code was checked: nobody
// has shown a code of it.
func secretProved(ctx context.Context, tx work, uid string) error {
	held, err := tx.TOTPSecret(ctx, uid)
	if errors.Is(err, ErrNoSecret) || err == nil && held.LastStep == 0 {
		return ErrInvalidOTP
	}
	return err
}

// VerifyOTP checks and consumes a code of a user whose one-time codes are on. Errors:
// ErrOTPNotEnabled, then Use's. Only refusals are recorded.
func (s *Service) VerifyOTP(ctx context.Context, me account.Actor, code string) error {
	u, err := s.rows.User(ctx, me.UID)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	return s.useOwn(ctx, me, u, code, actionVerify2F)
}

// useOwn is Use for the actor, who is u, before an action; it records refusals. Errors:
// ErrOTPNotEnabled, then Use's.
func (s *Service) useOwn(ctx context.Context, me account.Actor, u account.User, code, action string) error {
	if !u.OTP {
		return s.refuseOTP(ctx, me, ErrOTPNotEnabled, action, reasonDisabled)
	}
	err := s.Use(ctx, me.UID, code)
	if errors.Is(err, ErrInvalidOTP) {
		return s.refuseOTP(ctx, me, err, action, reasonWrongCode)
	}
	return err
}

// refuseOTP records a refusal and returns why.
func (s *Service) refuseOTP(ctx context.Context, me account.Actor, why error, action, reason string) error {
	a := s.activity(me, action, audit.Failed, reason)
	if err := s.update(ctx, func(tx work) error { return tx.AddActivity(ctx, a) }); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return why
}
