package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"barong/internal/audit"
)

// Refusals of SignIn.
var (
	ErrBadCredentials = errors.New("account: unknown e-mail or wrong password")
	ErrBanned         = errors.New("account: banned")
	ErrDeleted        = errors.New("account: deleted")
	ErrNotActive      = errors.New("account: not active")
)

// A SignIn is what somebody presents to sign in.
type SignIn struct {
	Email    string
	Password string
	OTPCode  string // "" for none
	Client
}

// String keeps the password out of logs and errors.
func (SignIn) String() string { return "sign-in" }

// GoString keeps it out of %#v.
func (in SignIn) GoString() string { return in.String() }

// SignIn proves who somebody is (design D3, W-I1) and returns the user as committed, whose
// SessionGeneration the new session takes. Refusals, in order: ErrBadCredentials (unknown
// e-mail and wrong password alike, after equal work), then, told only after the right
// password, ErrBanned, ErrDeleted, ErrNotActive; ErrMissingOTP, TooManyAttempts,
// ErrInvalidOTP, ErrOTPReplay. None takes less than Config.FailureFloor. Anything else is
// an outage: the hasher's full queue or the store.
//
// A good sign-in replaces an old kind of password digest by a new one.
func (s *Service) SignIn(ctx context.Context, in SignIn) (User, error) {
	floor := s.now().Add(s.cfg.FailureFloor)
	u, err := s.signIn(ctx, in)
	if err != nil {
		if early := floor.Sub(s.now()); early > 0 {
			s.sleep(ctx, early)
		}
		return User{}, err
	}
	return u, nil
}

func (s *Service) signIn(ctx context.Context, in SignIn) (User, error) {
	u, err := s.store.UserByEmail(ctx, FoldEmail(in.Email))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, fmt.Errorf("load user: %w", err)
	}
	known := err == nil
	ok, rehash, err := s.hasher.Match(ctx, u.PasswordDigest, in.Password)
	if err != nil {
		return User{}, fmt.Errorf("match password: %w", err)
	}
	if !known {
		return User{}, ErrBadCredentials
	}
	refuse := func(why error, action, reason string) (User, error) {
		a := s.activity(u.UID, in.Client, topicSession, action, audit.Failed, reason)
		if err := s.store.AddActivity(ctx, a); err != nil {
			return User{}, fmt.Errorf("record refused sign-in: %w", err)
		}
		return User{}, why
	}
	if !ok {
		return refuse(ErrBadCredentials, actionLogin, "Invalid Email or Password")
	}
	if reason, why := stateRefusal(u.State); why != nil {
		return refuse(why, actionLogin, reason)
	}
	action := actionLogin
	if u.OTP {
		action = actionLogin2F
		if strings.TrimSpace(in.OTPCode) == "" {
			return refuse(ErrMissingOTP, action, "OTP code is missing")
		}
		if err := s.useCode(ctx, u.UID, in.OTPCode); errors.Is(err, ErrInvalidOTP) {
			return refuse(err, action, reasonWrongCode)
		} else if err != nil {
			return User{}, err
		}
	}
	var digest string
	if rehash {
		// A pool that is full now is no reason to refuse: the next sign-in tries again.
		digest, _ = s.hasher.Hash(ctx, in.Password)
	}
	return s.signedIn(ctx, u, digest, action, in.Client)
}

// stateRefusal says why an account may not sign in; the error is nil when it may.
func stateRefusal(state string) (reason string, why error) {
	switch {
	case MayAct(state):
		return "", nil
	case state == StateBanned:
		return "Your account is banned", ErrBanned
	case state == StateDeleted:
		return "Your account is deleted", ErrDeleted
	}
	return "Your account is not active", ErrNotActive
}

// signedIn commits a sign-in of proved: the activity, and digest when it is not "". What
// the proof rested on must still stand inside the transaction.
func (s *Service) signedIn(ctx context.Context, proved User, digest, action string, c Client) (User, error) {
	var u User
	err := s.store.Update(ctx, func(tx Tx) error {
		var err error
		if u, err = tx.User(ctx, proved.UID); err != nil {
			return err
		}
		if u.PasswordDigest != proved.PasswordDigest || u.Email != proved.Email || u.OTP != proved.OTP {
			return ErrBadCredentials
		}
		if _, why := stateRefusal(u.State); why != nil {
			return why
		}
		if digest != "" {
			u.PasswordDigest = digest
			if err := tx.PutUser(ctx, &u); err != nil {
				return err
			}
		}
		return tx.AddActivity(ctx, s.activity(u.UID, c, topicSession, action, audit.Succeed, ""))
	})
	if err != nil {
		return User{}, fmt.Errorf("sign in: %w", err)
	}
	return u, nil
}
