package signin

import (
	"context"
	"fmt"

	"barong/internal/account"
)

// proveEmail applies every proof that somebody reads the mail to the address of before, the user
// as read in tx, however it was given: it sets the private label, level and state follow, and
// all sessions end. It returns the user as it then is.
//
// The first proof of an address that anybody may have signed up with also ends every way in that
// such a stranger could have left (design D27): the API keys of the user and of the user's
// service accounts, every mailed link, the devices (deviceName), and the password unless it is
// known to be the prover's. The second factor goes while the account awaits the proof, when
// nobody could have put it to use. One that is active already, where an operator asks for no
// proof, may have been somebody's for years: a mailbox alone does not undo its second factor.
//
// On accounts that others than strangers made, the command line and the seeds, nothing was left
// by anybody, and nothing goes.
func (s *Service) proveEmail(ctx context.Context, tx work, before account.User, knowsPassword bool) (account.User, error) {
	u := before
	if before.Unproved {
		if !knowsPassword {
			u.PasswordDigest = "" // matches nothing
		}
		if before.AwaitsProof() {
			if err := tx.ForgetSecondFactor(ctx, &u); err != nil {
				return account.User{}, err
			}
		}
		if _, err := tx.DeletePasskeys(ctx, u.UID); err != nil {
			return account.User{}, err
		}
		if _, err := tx.DeleteAPIKeys(ctx, u.UID); err != nil {
			return account.User{}, fmt.Errorf("delete api keys: %w", err)
		}
		if err := tx.DeleteMailTokens(ctx, u.UID, ""); err != nil {
			return account.User{}, err
		}
		if err := tx.SaveUser(ctx, before, &u); err != nil {
			return account.User{}, err
		}
	}
	return tx.ProveEmail(ctx, u.UID)
}
