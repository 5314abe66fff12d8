package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/captcha"
	"barong/internal/invalid"
	"barong/internal/limit"
)

// Refusals of SignUp about the referrer.
var (
	ErrReferralFormat  = errors.New("signin: referral is not a uid")
	ErrReferralUnknown = errors.New("signin: referral unknown")
)

// A SignUp holds the data that a caller presents to become a user.
type SignUp struct {
	Email    string
	Password string // clear
	Username *string
	Data     *string // JSON object
	RefID    *string // uid of the referring user
	// Unproved says that no captcha was solved where one could have been asked for.
	Unproved bool
	Language string // of mails, as in MailRequest
	Admit    Admission
	account.Client
}

// String keeps the password out of logs and errors.
func (SignUp) String() string { return "sign-up" }

// GoString keeps it out of %#v.
func (in SignUp) GoString() string { return in.String() }

// SignUp makes a pending member, to whom a confirmation link is mailed; nobody becomes more by
// signing up (design D14). Refusals, in order: ErrReferralFormat, limit.TooMany (from the
// caller's network, W-I4), captcha.ErrRequired (after a few Unproved ones from there),
// ErrReferralUnknown, Invalid. A refusal that reveals nothing about other users does not count
// as a try. So only a caller without other mistakes learns whether an address is taken, and a
// sign-up that names a referrer always counts.
func (s *Service) SignUp(ctx context.Context, in SignUp) (account.User, error) {
	if in.RefID != nil && !strings.HasPrefix(*in.RefID, s.cfg.UIDPrefix) {
		return account.User{}, ErrReferralFormat
	}
	tries := []limit.Try{s.byNetwork(flowSignUp, in.Client)}
	if err := s.attempts.Spend(ctx, tries...); err != nil {
		return account.User{}, err
	}
	if in.Unproved {
		more := s.byNetwork(flowUnproved, in.Client)
		if err := s.attempts.Spend(ctx, more); errors.Is(err, limit.ErrTooMany) {
			return account.User{}, errors.Join(captcha.ErrRequired, s.attempts.GiveBack(ctx, tries...))
		} else if err != nil {
			return account.User{}, err
		}
		tries = append(tries, more)
	}
	if in.RefID != nil {
		if _, err := s.rows.User(ctx, *in.RefID); errors.Is(err, account.ErrNoUser) {
			return account.User{}, ErrReferralUnknown
		} else if err != nil {
			return account.User{}, fmt.Errorf("look up referral: %w", err)
		}
	}
	if err := in.Admit.admit(ctx); err != nil {
		return account.User{}, err
	}
	var u account.User
	ctx = queued(ctx, in.Client, "sign-up of "+account.FoldEmail(in.Email))
	err := s.createUser(ctx, account.UserInput{
		Email: in.Email, Password: in.Password, Username: in.Username, Data: in.Data, Referral: in.RefID, Stranger: true,
	}, func(tx work, made account.User) error {
		u = made
		a := s.activity(u.UID, in.Client, topicAccount, "signup", audit.Succeed, "")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		if u.State != account.StatePending { // this installation asks for no proof
			return nil
		}
		return s.mailLink(ctx, tx, u, purposeConfirmation, wish{in.Language, in.Client.Language})
	})
	if bad, ok := errors.AsType[invalid.Fields](err); ok && in.RefID == nil && !revealing(bad) {
		return account.User{}, errors.Join(err, s.attempts.GiveBack(ctx, tries...))
	}
	return u, err
}

// createUser makes a user; then belongs to the same transaction and gets the user as written.
func (s *Service) createUser(ctx context.Context, in account.UserInput, then func(tx work, made account.User) error) error {
	return s.accounts.CreateUserIn(ctx, in, func(add func(context.Context, account.Writer) (account.User, error)) error {
		return s.update(ctx, func(tx work) error {
			made, err := add(ctx, tx.Writer)
			if err != nil {
				return err
			}
			return then(tx, made)
		})
	})
}

// revealing reports whether a problem of e reveals data of other users (W-I4).
func revealing(e invalid.Fields) bool {
	return e.Breaks("taken")
}
