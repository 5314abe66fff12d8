package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
	"barong/internal/event"
	"barong/internal/limit"
	"barong/internal/secret"
	"barong/internal/token"
)

// ErrNoLink says that a mailed link is not kept any more.
var ErrNoLink = fmt.Errorf("signin: mailed link: %w", account.ErrNotFound)

// MailTokens signs and checks the tokens of mailed links; token.Keys is one.
type MailTokens interface {
	MintMail(c token.MailClaims, now time.Time) (jwt string, err error)
	// VerifyMail's errors are *token.MailError.
	VerifyMail(jwt, purpose string, now time.Time) (token.MailClaims, error)
	// MailLifetime is how long they live.
	MailLifetime() time.Duration
}

// A MailToken remembers a mailed link that still works: its token alone opens nothing. One
// without a mail is a sign-in that awaits its code.
type MailToken struct {
	// Hash is SHA-256 over purpose, uid, e-mail and jti: a link with another of these is another
	// link, and a reader of the table can use none.
	Hash      [32]byte
	UserUID   string
	Purpose   string // of token.MailClaims
	ExpiresAt time.Time
	CreatedAt time.Time // the store's
}

// mailTokenReader is the part of Reader about mail tokens.
type mailTokenReader interface {
	// MailToken loads one that has not expired at now; ErrNoLink.
	MailToken(ctx context.Context, hash [32]byte, now time.Time) (MailToken, error)
}

// mailTokenWriter is the part of Tx about mail tokens, which are kept until they are used or
// expire; account.Tx has DeleteMailTokens.
type mailTokenWriter interface {
	// AddMailToken inserts m and, when keep is above 0, removes all but the newest keep of
	// the same user and purpose. account.ErrNoUser without the user, ErrTaken for the hash.
	AddMailToken(ctx context.Context, m MailToken, keep int) error
	// UseMailToken removes one and reports whether it was there and had not expired at now:
	// of two uses one wins.
	UseMailToken(ctx context.Context, hash [32]byte, now time.Time) (bool, error)
}

// Purposes of mailed links.
const (
	purposeConfirmation = token.Confirmation
	purposeReset        = token.Reset
)

// liveResets is how many reset links of a user work at once: mail arrives late and out of order,
// and the owner opens any of it.
const liveResets = 3

// mailTokenHash names the link of c in the store. The parts are of ours and hold no zero
// byte: a uid and a folded address that passed its syntax.
func mailTokenHash(c token.MailClaims) [32]byte {
	return sha256.Sum256([]byte(c.Purpose + "\x00" + c.UID + "\x00" + c.Email + "\x00" + c.ID))
}

// mailLink makes a link for u that works once, and announces it for mailing, in tx.
func (s *Service) mailLink(ctx context.Context, tx work, u account.User, purpose string, w wish) error {
	now := s.now()
	c := token.MailClaims{
		Purpose: purpose, UID: u.UID, Email: u.Email, ID: secret.Hex(10),
		Expires: now.Add(s.mail.MailLifetime()).Truncate(time.Second).UTC(),
	}
	text, err := s.mail.MintMail(c, now)
	if err != nil {
		return fmt.Errorf("mint mail token: %w", err)
	}
	announce, keep := event.ConfirmationToken, 0
	if purpose == purposeReset {
		announce, keep = event.ResetToken, liveResets
	}
	m := MailToken{Hash: mailTokenHash(c), UserUID: u.UID, Purpose: purpose, ExpiresAt: c.Expires}
	if err := tx.AddMailToken(ctx, m, keep); err != nil {
		return fmt.Errorf("keep mail token: %w", err)
	}
	return tx.Emit(ctx, announce(s.notice(u, w), text))
}

// A MailRequest asks for a mail with a link.
type MailRequest struct {
	Email    string
	Language string // as the edge understood the request, "" when it said none
	account.Client
}

// mailOnRequest lets write make a mail for the user with the address, if that is due in the
// user's state, within the limits (W-I11). The limits of the account count sent mails only: vain
// requests of a stranger must not use up those of the owner.
func (s *Service) mailOnRequest(
	ctx context.Context, in MailRequest, purpose string, due func(state string) bool, write func(work, account.User) error,
) error {
	if err := s.attempts.Spend(ctx, s.byNetwork(flowMail, in.Client)); err != nil {
		return err
	}
	err := s.withinMails(ctx, in, purpose, due, write)
	switch {
	case errors.Is(err, account.ErrNoUser), errors.Is(err, limit.ErrTooMany):
		return nil
	case err != nil:
		return fmt.Errorf("send %s mail: %w", purpose, err)
	}
	return nil
}

// withinMails is mailOnRequest within the limits of the signin: account.ErrNoUser when nobody has the
// address, limit.TooMany.
func (s *Service) withinMails(
	ctx context.Context, in MailRequest, purpose string, due func(state string) bool, write func(work, account.User) error,
) error {
	u, err := s.rows.UserByEmail(ctx, in.Email)
	if err != nil || !due(u.State) {
		return err
	}
	if err := s.attempts.Spend(ctx, s.byMail(purpose, u.Email)...); err != nil {
		return err
	}
	return s.update(ctx, func(tx work) error {
		u, err := tx.UserByEmail(ctx, in.Email)
		if err != nil || !due(u.State) {
			return err
		}
		return write(tx, u)
	})
}

// atLeast makes f take Config.FailureFloor, so that its time reveals nothing.
func (s *Service) atLeast(ctx context.Context, f func() error) error {
	began := s.now()
	err := f()
	s.evenOut(ctx, began)
	return err
}

// evenOut waits until a whole number of floors has gone since began. On a busy machine work
// takes longer than one; the wait then still covers extra time that some take and others do not.
func (s *Service) evenOut(ctx context.Context, began time.Time) {
	floor := s.cfg.FailureFloor
	s.sleep(ctx, floor-s.now().Sub(began)%floor)
}

// noMail is the MailTokens of a service that sends none.
type noMail struct{}

var errNoMail = errors.New("signin: no mail tokens are configured")

func (noMail) MintMail(token.MailClaims, time.Time) (string, error) { return "", errNoMail }
func (noMail) VerifyMail(string, string, time.Time) (token.MailClaims, error) {
	return token.MailClaims{}, errNoMail
}
func (noMail) MailLifetime() time.Duration { return 0 }

// useLink uses a mailed link up, and with it all others of its purpose that the user has.
// ErrUtilizedToken when it was used already.
func (s *Service) useLink(ctx context.Context, tx work, hash [32]byte, uid, purpose string) error {
	fresh, err := tx.UseMailToken(ctx, hash, s.now())
	if err != nil {
		return err
	}
	if !fresh {
		return ErrUtilizedToken
	}
	return tx.DeleteMailTokens(ctx, uid, purpose)
}
