package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/factor"
	"barong/internal/secret"
)

// Refusals of SignIn.
var (
	ErrBadCredentials = errors.New("signin: unknown e-mail or wrong password")
	ErrBanned         = errors.New("signin: banned")
	ErrDeleted        = errors.New("signin: deleted")
	ErrNotActive      = errors.New("signin: not active")
)

// An Admission reports whether the policy lets the client sign in, as it is now, which the gateway may
// not have known: nil does. It is asked when all is proved and before anything is written. nil
// admits everybody.
type Admission func(context.Context) error

func (ask Admission) admit(ctx context.Context) error {
	if ask == nil {
		return nil
	}
	return ask(ctx)
}

// recordTimeout bounds writing down a refusal whose caller does not wait for it.
const recordTimeout = 5 * time.Second

// A SignIn holds the credentials that a caller presents to sign in.
type SignIn struct {
	Email    string
	Password string
	OTPCode  string // "" for none
	Language string // of mails about it; "" for the user's own
	Device   string // the device cookie's value, "" for none
	// Human says that a captcha was solved for this attempt, or that AwaitsCode stood for one.
	Human bool
	Admit Admission
	account.Client
}

// String keeps the password out of logs and errors.
func (SignIn) String() string { return "sign-in" }

// GoString keeps it out of %#v.
func (in SignIn) GoString() string { return in.String() }

// A SignedIn is a user after a proved sign-in.
type SignedIn struct {
	// User is as committed; the new session takes its SessionGeneration.
	account.User
	// Device is the device cookie's new value, "" to keep the one there is.
	Device string
	// NewDevice says that the cookie did not know the account; the user learns of it unless it
	// is the first session ever.
	NewDevice bool
}

// String keeps the cookie out of logs and errors.
func (in SignedIn) String() string { return "sign-in of " + in.UID }

// GoString keeps it out of %#v.
func (in SignedIn) GoString() string { return in.String() }

// SignIn proves that the caller is a user (design D3, W-I1). Refusals, in order:
// limit.TooMany; ErrBadCredentials (unknown e-mail and wrong password alike, after equal
// work); then, only after the right password, ErrBanned, ErrDeleted, ErrNotActive;
// ErrMissingOTP (also for users with passkeys and no one-time codes, whose way in is SignInPasskey),
// limit.TooMany, ErrInvalidOTP, ErrOTPReplay; the Admission's. Each takes a whole number of
// Config.FailureFloor. Anything else is an outage: the hasher's full queue, the store or the
// limiters.
//
// A wrong password and a wrong or used code count as failures (W-I2): for the network, and for
// the account or, from a device that knows it, for that device alone, so that nobody can lock
// out an owner by failing elsewhere. Each try is counted before the password is looked at, so
// that of many at once no more are. A good sign-in, with the second factor when it is on, clears
// the count of the account or that device. The account is the address as typed and folded,
// whether or not anyone has it. Good ones count too, by account, for themselves: nothing clears
// that, so that a loop of them ends.
//
// A good sign-in replaces an old kind of password digest by a new one.
func (s *Service) SignIn(ctx context.Context, in SignIn) (SignedIn, error) {
	began := s.now()
	out, err := s.signIn(ctx, in)
	if err != nil {
		s.evenOut(ctx, began)
		return SignedIn{}, err
	}
	return out, nil
}

func (s *Service) signIn(ctx context.Context, in SignIn) (SignedIn, error) {
	network := s.byNetwork(flowSignIn, in.Client)
	if err := s.attempts.Spend(ctx, network); err != nil {
		return SignedIn{}, err
	}
	u, err := s.rows.UserByEmail(ctx, account.FoldEmail(in.Email))
	if err != nil && !errors.Is(err, account.ErrNoUser) {
		return SignedIn{}, errors.Join(fmt.Errorf("load user: %w", err), s.attempts.GiveBack(ctx, network))
	}
	if err != nil {
		u = account.User{} // nobody, whose empty digest matches nothing
	}
	try := s.bySignIn(in.Email)
	device, known := s.devices.Known(in.Device, deviceName(u), s.now())
	if known {
		try = s.byDevice(u.UID, device)
	}
	if err := s.attempts.Spend(ctx, try); err != nil {
		return SignedIn{}, errors.Join(err, s.attempts.GiveBack(ctx, network))
	}
	// After that of failures, which others than the owner are held up by before they have used
	// this one up.
	if err := s.attempts.Spend(ctx, s.byAccount(in.Email)); err != nil {
		return SignedIn{}, errors.Join(err, s.attempts.GiveBack(ctx, network, try))
	}
	p, err := s.prove(queued(ctx, in.Client, try.Key), u, in)
	if in.Human && awaitsCode(err) {
		if failed := s.awaitCode(ctx, u, in); failed != nil {
			return SignedIn{}, errors.Join(failed, s.attempts.GiveBack(ctx, network, try))
		}
	}
	switch {
	case errors.Is(err, ErrBadCredentials), errors.Is(err, factor.ErrInvalidOTP), errors.Is(err, factor.ErrOTPReplay):
		return SignedIn{}, err
	case err != nil:
		return SignedIn{}, errors.Join(err, s.attempts.GiveBack(ctx, network, try))
	}
	// Before the commit: a sign-in that is written down is not refused any more.
	if err := in.Admit.admit(ctx); err != nil {
		return SignedIn{}, errors.Join(err, s.attempts.GiveBack(ctx, network, try))
	}
	if err := errors.Join(s.attempts.GiveBack(ctx, network), s.attempts.Forget(ctx, try)); err != nil {
		return SignedIn{}, err
	}
	return s.signedIn(ctx, p, in.Language, in.Device, in.Client)
}

// A proof is a proved user and how it was shown.
type proof struct {
	user   account.User // as read
	action string       // of the activity
	digest string       // replaces the user's when it is not ""
	// passkey is the one that proved it, by both factors; nil for a password or a provider.
	passkey *factor.PasskeyProof
}

// prove checks password, state and second factor of u, which is nobody without a uid. It records
// refusals of somebody. Errors as SignIn.
func (s *Service) prove(ctx context.Context, u account.User, in SignIn) (proof, error) {
	ok, rehash, err := s.accounts.Match(ctx, u.PasswordDigest, in.Password)
	switch {
	case errors.Is(err, secret.ErrDigest): // of an import that went wrong; no answer may show it
		return proof{}, s.refuseSignIn(ctx, u, in.Client, ErrBadCredentials, actionLogin, "Stored password is unreadable")
	case err != nil:
		return proof{}, fmt.Errorf("match password: %w", err)
	case u.UID == "":
		return proof{}, ErrBadCredentials
	case !ok:
		return proof{}, s.refuseSignIn(ctx, u, in.Client, ErrBadCredentials, actionLogin, "Invalid Email or Password")
	}
	action, err := s.admit(ctx, u, in.OTPCode, in.Client)
	if err != nil {
		return proof{}, err
	}
	p := proof{user: u, action: action}
	if rehash {
		// A pool that is full now is no reason to refuse: the next sign-in tries again.
		p.digest, _ = s.accounts.Hash(ctx, in.Password)
	}
	return p, nil
}

// admit checks the state of u, after the first factor, and the second factor when it is on; it
// returns the action of the activity. It records refusals. Errors as SignIn.
func (s *Service) admit(ctx context.Context, u account.User, code string, c account.Client) (action string, err error) {
	if reason, why := stateRefusal(u.State); why != nil {
		return "", s.refuseSignIn(ctx, u, c, why, actionLogin, reason)
	}
	if !u.OTP {
		return actionLogin, s.withoutPasskeys(ctx, u, c)
	}
	if strings.TrimSpace(code) == "" {
		return "", s.refuseSignIn(ctx, u, c, factor.ErrMissingOTP, actionLogin2F, "OTP code is missing")
	}
	if err := s.codes.UseOrRecover(ctx, account.Actor{UID: u.UID, Role: u.Role, Client: c}, code); errors.Is(err, factor.ErrInvalidOTP) {
		return "", s.refuseSignIn(ctx, u, c, err, actionLogin2F, "OTP code is invalid")
	} else if err != nil {
		return "", err
	}
	return actionLogin2F, nil
}

// withoutPasskeys refuses a user with passkeys and no one-time codes: the first factor alone is not
// enough, and the passkey signs in by itself (SignInPasskey). It records the refusal.
func (s *Service) withoutPasskeys(ctx context.Context, u account.User, c account.Client) error {
	has, err := s.codes.HasPasskeys(ctx, u.UID)
	if err != nil {
		return fmt.Errorf("look for passkeys: %w", err)
	}
	if has {
		return s.refuseSignIn(ctx, u, c, factor.ErrMissingOTP, actionLogin, "Passkey is missing")
	}
	return nil
}

// refuseSignIn records a refusal and returns why, also after the caller has left: a wrong
// password that could not be written down would be an outage, which does not count as a try.
func (s *Service) refuseSignIn(ctx context.Context, u account.User, c account.Client, why error, action, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	a := s.activity(u.UID, c, topicSession, action, audit.Failed, reason)
	if err := s.record(ctx, a); err != nil {
		return fmt.Errorf("record refused sign-in: %w", err)
	}
	return why
}

// stateRefusal says why an account may not sign in; the error is nil when it may.
func stateRefusal(state string) (reason string, why error) {
	switch {
	case account.MayAct(state):
		return "", nil
	case state == account.StateBanned:
		return "Your account is banned", ErrBanned
	case state == account.StateDeleted:
		return "Your account is deleted", ErrDeleted
	}
	return "Your account is not active", ErrNotActive
}

// signedIn commits a sign-in: the activity, the events and the new digest. The facts that the
// proof rested on must still stand inside the transaction.
func (s *Service) signedIn(ctx context.Context, p proof, language, cookie string, c account.Client) (SignedIn, error) {
	_, known := s.devices.Known(cookie, deviceName(p.user), s.now())
	out := SignedIn{NewDevice: !known && s.devices != nil}
	err := s.update(ctx, func(tx work) error {
		u, err := tx.User(ctx, p.user.UID)
		if err != nil {
			return err
		}
		if u.PasswordDigest != p.user.PasswordDigest || u.Email != p.user.Email || u.OTP != p.user.OTP {
			return ErrBadCredentials
		}
		if _, why := stateRefusal(u.State); why != nil {
			return why
		}
		if err := s.factorStands(ctx, tx, p); err != nil {
			return err
		}
		if p.digest != "" {
			u.PasswordDigest = p.digest
			if err := tx.PutUser(ctx, &u); err != nil {
				return err
			}
		}
		out.User = u
		// The first session of an account is on a new device by nature.
		tell := out.NewDevice
		if tell {
			if tell, err = tx.SignedInBefore(ctx, u.UID); err != nil {
				return err
			}
		}
		a := s.activity(u.UID, c, topicSession, p.action, audit.Succeed, "")
		if err := tx.AddActivity(ctx, a); err != nil {
			return err
		}
		told := []event.Event{event.SessionCreated(u.Event(), a.IP, a.UserAgent)}
		if tell {
			told = append(told, event.DeviceAdded(u.Event(), a.IP, a.UserAgent, a.IPCountry, a.CreatedAt))
		}
		for _, e := range told {
			e.Language = s.accounts.Language(u, language, c.Language)
			if err := tx.Emit(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign in: %w", err)
	}
	out.Device = s.RememberDevice(cookie, out.User)
	return out, nil
}

// factorStands notes the use of the passkey that p is by. One that was registered since a first factor
// was judged to be enough refuses it: ErrBadCredentials. factor.ErrNoPasskey, factor.ErrCopiedPasskey.
func (s *Service) factorStands(ctx context.Context, tx work, p proof) error {
	if p.passkey != nil {
		return tx.UsePasskey(ctx, p.user.UID, p.passkey.ID, p.passkey.Count)
	}
	if p.action != actionLogin {
		return nil
	}
	all, err := tx.Passkeys(ctx, p.user.UID)
	if err == nil && len(all) > 0 {
		return ErrBadCredentials
	}
	return err
}

// RememberDevice returns the device cookie's new value for a device on which u has just opened
// a session other than by SignIn; "" to set none.
func (s *Service) RememberDevice(cookie string, u account.User) string {
	return s.devices.Remember(cookie, deviceName(u), s.now())
}
