package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/factor"
	"barong/internal/limit"
	"barong/internal/secret"
)

// ErrWrongPassword says that a signed-in user does not know the password of the account.
var ErrWrongPassword = errors.New("signin: wrong password")

// ownPassword loads the user that by acts for and proves that the caller knows the password. Wrong
// ones count, for all that asks for it together (W-R15). Errors, in order: account.ErrNoUser,
// limit.TooMany, ErrWrongPassword.
func (s *Service) ownPassword(ctx context.Context, by account.Actor, password string) (u account.User, err error) {
	if u, err = s.rows.User(ctx, by.UID); err != nil {
		return u, fmt.Errorf("load user: %w", err)
	}
	try := limit.Try{Key: "own password of " + u.UID, Rule: s.cfg.Limits.OwnPassword}
	if err := s.attempts.Spend(ctx, try); err != nil {
		return u, err
	}
	ok, _, err := s.accounts.Match(queued(ctx, by.Client, try.Key), u.PasswordDigest, password)
	if err == nil && !ok || errors.Is(err, secret.ErrDigest) {
		return u, ErrWrongPassword
	}
	return u, errors.Join(err, s.attempts.GiveBack(ctx, try))
}

// ownProof loads the user that by acts for and proves that it is its owner who asks: by the password
// and, when one-time codes are on, by a code of the authenticator app. Wrong ones are recorded as
// refusals of an action. Errors, in order: those of ownPassword, factor.ErrMissingOTP, those of
// factor.Service.Use.
func (s *Service) ownProof(ctx context.Context, by account.Actor, password, code, topic, action string) (account.User, error) {
	u, err := s.ownPassword(ctx, by, password)
	switch {
	case errors.Is(err, ErrWrongPassword):
		return u, s.refuseOwn(ctx, by, err, topic, action, "Invalid password")
	case err != nil || !u.OTP:
		return u, err
	case strings.TrimSpace(code) == "":
		return u, factor.ErrMissingOTP
	}
	err = s.codes.Use(ctx, by.UID, code)
	if errors.Is(err, factor.ErrInvalidOTP) {
		return u, s.refuseOwn(ctx, by, err, topic, action, "OTP code is invalid")
	}
	return u, err
}

// refuseOwn records that the actor was refused and returns why.
func (s *Service) refuseOwn(ctx context.Context, by account.Actor, why error, topic, action, reason string) error {
	if err := s.record(ctx, by.Activity(s.now(), topic, action, audit.Failed, reason)); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return why
}
