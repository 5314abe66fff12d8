package account

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"barong/internal/audit"
	"barong/internal/secret"
)

// Refusals about one-time codes.
var (
	ErrOTPEnabled    = errors.New("account: one-time codes are on already")
	ErrOTPNotEnabled = errors.New("account: one-time codes are off")
	ErrMissingOTP    = errors.New("account: one-time code missing")
	ErrInvalidOTP    = errors.New("account: wrong one-time code")
	// ErrOTPReplay says that the code, or a newer one, was used before.
	ErrOTPReplay = errors.New("account: one-time code used before")
)

const (
	reasonWrongCode = "OTP code is invalid"
	reasonEnabled   = "2FA has been already enabled for this account"
	reasonDisabled  = "2FA has not been enabled for this account"

	actionQR        = "request QR code for 2FA"
	actionEnable2F  = "enable 2FA"
	actionDisable2F = "disable 2FA"
	actionVerify2F  = "verify 2FA code"

	// The label that shows staff that one-time codes are on.
	otpLabelKey, otpLabelValue = "otp", "enabled"

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

// TOTPStore keeps one-time-code secrets, sealed.
type TOTPStore interface {
	// TOTPSecret loads a user's; ErrNotFound.
	TOTPSecret(ctx context.Context, uid string) (TOTPSecret, error)
	// PutTOTPSecret seals and writes, replacing any other; ErrNotFound without the user.
	PutTOTPSecret(ctx context.Context, s TOTPSecret) error
	// AdvanceTOTP sets LastStep to step if it is lower and reports whether it was: of two
	// requests with one code, one wins.
	AdvanceTOTP(ctx context.Context, uid string, step int64) (bool, error)
	// DeleteTOTPSecret removes it; no error when there is none.
	DeleteTOTPSecret(ctx context.Context, uid string) error
}

// useCode checks a code of a user and consumes it: no code works twice, and after
// as many wrong ones as Limits.Code has none works at all for a while (W-I3). Errors:
// TooManyAttempts, ErrInvalidOTP (also without a secret), ErrOTPReplay.
func (s *Service) useCode(ctx context.Context, uid, code string) (err error) {
	try := s.byCode(uid)
	if err := s.spend(ctx, try); err != nil {
		return err
	}
	defer func() {
		if !errors.Is(err, ErrInvalidOTP) { // only wrong codes count
			err = errors.Join(err, s.giveBack(ctx, try))
		}
	}()
	held, err := s.store.TOTPSecret(ctx, uid)
	if errors.Is(err, ErrNotFound) {
		return ErrInvalidOTP
	}
	if err != nil {
		return fmt.Errorf("load one-time code secret: %w", err)
	}
	step, ok := secret.TOTPStep(held.Secret, code, s.now())
	if !ok {
		return ErrInvalidOTP
	}
	won, err := s.store.AdvanceTOTP(ctx, uid, step)
	if err != nil {
		return fmt.Errorf("use one-time code: %w", err)
	}
	if !won {
		return ErrOTPReplay
	}
	return nil
}

// RequireOTP is the gate before changes to API keys (resource §2.8): the user must have
// one-time codes on and give one. Errors: ErrOTPNotEnabled, ErrMissingOTP, then useCode's.
func (s *Service) RequireOTP(ctx context.Context, me Actor, code string) error {
	u, err := s.store.User(ctx, me.UID)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	if !u.OTP {
		return ErrOTPNotEnabled
	}
	if strings.TrimSpace(code) == "" {
		return ErrMissingOTP
	}
	return s.useCode(ctx, me.UID, code)
}

// An OTPSetup is the input of an authenticator app. It must not be logged.
type OTPSetup struct {
	Secret string // base32 without padding
	URL    string // otpauth://…
	PNG    []byte // the URL as a QR code, 300 × 300
}

// String keeps the secret out of logs and errors.
func (OTPSetup) String() string { return "one-time code setup" }

// GoString keeps the secret out of %#v.
func (o OTPSetup) GoString() string { return o.String() }

// OTPSecret makes a new secret for a user whose one-time codes are off, in place of one not
// yet enabled. Errors: ErrOTPEnabled, TooManyAttempts (W-R13).
func (s *Service) OTPSecret(ctx context.Context, me Actor) (OTPSetup, error) {
	u, err := s.store.User(ctx, me.UID)
	if err != nil {
		return OTPSetup{}, fmt.Errorf("load user: %w", err)
	}
	if u.OTP {
		return OTPSetup{}, s.refuseOTP(ctx, me, ErrOTPEnabled, actionQR, reasonEnabled)
	}
	if err := s.spend(ctx, take{key: "code secret of " + me.UID, rule: s.cfg.Limits.QR}); err != nil {
		return OTPSetup{}, err
	}
	raw := secret.NewTOTPSecret()
	setup := OTPSetup{
		Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw),
		URL:    secret.TOTPURL(s.cfg.AppName, u.Email, raw),
	}
	if setup.PNG, err = secret.QRCode(setup.URL, qrPixels); err != nil {
		return OTPSetup{}, fmt.Errorf("draw QR code: %w", err)
	}
	err = s.update(ctx, func(tx Tx) error {
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
		return tx.AddActivity(ctx, s.activity(me.UID, me.Client, topicOTP, actionQR, audit.Succeed, ""))
	})
	if err != nil {
		return OTPSetup{}, fmt.Errorf("make one-time code secret: %w", err)
	}
	return setup, nil
}

// EnableOTP switches one-time codes on, proved by one, and ends every session of the user:
// the caller restamps its own with the generation returned (design D11). Errors:
// ErrOTPEnabled, then useCode's.
func (s *Service) EnableOTP(ctx context.Context, me Actor, code string) (generation int64, err error) {
	return s.switchOTP(ctx, me, code, true, func(tx Tx) error {
		// Another secret may have been made since the code was checked: nobody has shown a code of it.
		held, err := tx.TOTPSecret(ctx, me.UID)
		if errors.Is(err, ErrNotFound) || err == nil && held.LastStep == 0 {
			return ErrInvalidOTP
		}
		if err != nil {
			return err
		}
		_, err = tx.Label(ctx, me.UID, otpLabelKey, ScopePrivate)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		l := Label{UserUID: me.UID, Key: otpLabelKey, Value: otpLabelValue, Scope: ScopePrivate}
		if err := tx.PutLabel(ctx, &l); err != nil {
			return err
		}
		_, err = s.recompute(ctx, tx, me.UID)
		return err
	})
}

// DisableOTP switches one-time codes off, proved by one: the secret is forgotten (W-R13),
// all API keys of the user and of the user's service accounts stop, and sessions end as
// with EnableOTP. Errors: ErrOTPNotEnabled, then useCode's.
func (s *Service) DisableOTP(ctx context.Context, me Actor, code string) (generation int64, err error) {
	return s.switchOTP(ctx, me, code, false, func(tx Tx) error {
		err := tx.DeleteLabel(ctx, me.UID, otpLabelKey, ScopePrivate)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return tx.DeleteTOTPSecret(ctx, me.UID)
	})
}

// switchOTP sets the flag to on, then runs also, in one transaction.
func (s *Service) switchOTP(
	ctx context.Context, me Actor, code string, on bool, also func(Tx) error,
) (generation int64, err error) {
	action, already, reason := actionEnable2F, ErrOTPEnabled, reasonEnabled
	if !on {
		action, already, reason = actionDisable2F, ErrOTPNotEnabled, reasonDisabled
	}
	u, err := s.store.User(ctx, me.UID)
	if err != nil {
		return 0, fmt.Errorf("load user: %w", err)
	}
	if u.OTP == on {
		return 0, s.refuseOTP(ctx, me, already, action, reason)
	}
	if err := s.useCode(ctx, me.UID, code); errors.Is(err, ErrInvalidOTP) {
		return 0, s.refuseOTP(ctx, me, err, action, reasonWrongCode)
	} else if err != nil {
		return 0, err
	}
	err = s.update(ctx, func(tx Tx) error {
		before, err := tx.User(ctx, me.UID)
		if err != nil {
			return err
		}
		if before.OTP == on {
			return already
		}
		u := before
		u.OTP = on
		u.SessionGeneration++
		if err := s.saveUser(ctx, tx, before, &u); err != nil {
			return err
		}
		if err := also(tx); err != nil {
			return err
		}
		if u, err = tx.User(ctx, me.UID); err != nil {
			return err
		}
		generation = u.SessionGeneration
		if err := s.renew(ctx, tx, me); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.activity(me.UID, me.Client, topicOTP, action, audit.Succeed, ""))
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", action, err)
	}
	return generation, nil
}

// renew notes that me's session goes on under its next id, if it does.
func (s *Service) renew(ctx context.Context, tx Tx, me Actor) error {
	if me.SessionID == ([32]byte{}) || me.NextSessionID == ([32]byte{}) {
		return nil
	}
	return tx.RenewSession(ctx, me.UID, Renewal{
		From: me.SessionID, To: me.NextSessionID, Until: s.now().Add(RenewalGrace),
	})
}

// VerifyOTP checks and consumes a code of a user whose one-time codes are on. Errors:
// ErrOTPNotEnabled, then useCode's. Only refusals are recorded (identity §6.7).
func (s *Service) VerifyOTP(ctx context.Context, me Actor, code string) error {
	u, err := s.store.User(ctx, me.UID)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	if !u.OTP {
		return s.refuseOTP(ctx, me, ErrOTPNotEnabled, actionVerify2F, reasonDisabled)
	}
	if err := s.useCode(ctx, me.UID, code); errors.Is(err, ErrInvalidOTP) {
		return s.refuseOTP(ctx, me, err, actionVerify2F, reasonWrongCode)
	} else if err != nil {
		return err
	}
	return nil
}

// refuseOTP records a refusal and returns why.
func (s *Service) refuseOTP(ctx context.Context, me Actor, why error, action, reason string) error {
	a := s.activity(me.UID, me.Client, topicOTP, action, audit.Failed, reason)
	if err := s.store.AddActivity(ctx, a); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return why
}
