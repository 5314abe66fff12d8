package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"barong/internal/audit"
	"barong/internal/captcha"
)

// Refusals of SignUp about the referrer.
var (
	ErrReferralFormat  = errors.New("account: referral is not a uid")
	ErrReferralUnknown = errors.New("account: referral unknown")
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
	Client
}

// String keeps the password out of logs and errors.
func (SignUp) String() string { return "sign-up" }

// GoString keeps it out of %#v.
func (in SignUp) GoString() string { return in.String() }

// SignUp makes a pending member, to whom a confirmation link is mailed; nobody becomes more by
// signing up (design D14). Refusals, in order: ErrReferralFormat, TooManyAttempts (from the
// caller's network, W-I4), captcha.ErrRequired (after a few Unproved ones from there),
// ErrReferralUnknown, Invalid. A refusal that reveals nothing about other users does not count
// as a try. So only a caller without other mistakes learns whether an address is taken, and a
// sign-up that names a referrer always counts.
func (s *Service) SignUp(ctx context.Context, in SignUp) (User, error) {
	if in.RefID != nil && !strings.HasPrefix(*in.RefID, s.cfg.UIDPrefix) {
		return User{}, ErrReferralFormat
	}
	tries := []take{s.byNetwork(flowSignUp, in.Client)}
	if err := s.spend(ctx, tries...); err != nil {
		return User{}, err
	}
	if in.Unproved {
		more := s.byNetwork(flowUnproved, in.Client)
		if err := s.spend(ctx, more); errors.Is(err, ErrTooManyAttempts) {
			return User{}, errors.Join(captcha.ErrRequired, s.giveBack(ctx, tries...))
		} else if err != nil {
			return User{}, err
		}
		tries = append(tries, more)
	}
	if in.RefID != nil {
		if _, err := s.store.User(ctx, *in.RefID); errors.Is(err, ErrNotFound) {
			return User{}, ErrReferralUnknown
		} else if err != nil {
			return User{}, fmt.Errorf("look up referral: %w", err)
		}
	}
	u, err := s.createUser(queued(ctx, in.Client, "sign-up of "+FoldEmail(in.Email)), NewUser{
		Email: in.Email, Password: in.Password, Username: in.Username, Data: in.Data, Referral: in.RefID,
		stranger: true, discreet: true,
	}, func(tx Tx, u *User) error {
		a := s.activity(u.UID, in.Client, topicAccount, "signup", audit.Succeed, "")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		if u.State != StatePending { // this installation asks for no proof
			return nil
		}
		return s.mailLink(ctx, tx, *u, purposeConfirmation, in.wish(in.Language))
	})
	if bad, ok := errors.AsType[Invalid](err); ok && in.RefID == nil && !bad.tellsOthers() {
		return User{}, errors.Join(err, s.giveBack(ctx, tries...))
	}
	return u, err
}

// tellsOthers reports whether a problem reveals data of other users (W-I4).
func (e Invalid) tellsOthers() bool {
	return slices.ContainsFunc(e.Problems, func(p Problem) bool { return p.Reason == "taken" })
}
