package apikey

import (
	"context"
	"errors"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/invalid"
)

// A Grant says whose keys a peer service changes, and how far it may go.
type Grant struct {
	HolderUID string
	// Users and ServiceAccounts say which kinds of holders are served at all.
	Users, ServiceAccounts bool
	// Staff says that the holder may have a role above member.
	Staff bool
}

// ErrHoldersOff says that peer services have no say about keys of this kind of holder.
var ErrHoldersOff = errors.New("apikey: keys of such holders are not served")

// holderOf loads the user or service account of a grant. Errors, in order: account.ErrServiceOnly,
// account.ErrNoServiceAccount when nobody has the uid, ErrHoldersOff, account.ErrRank.
func (s *Service) holderOf(ctx context.Context, tx work, by account.Actor, g Grant) (h keyHolder, err error) {
	if by.Service == "" {
		return h, account.ErrServiceOnly
	}
	var role string
	served := g.Users
	u, err := tx.User(ctx, g.HolderUID)
	switch {
	case err == nil:
		h, role = keyHolder{u.UID, account.KindUser, u.State}, u.Role
	case errors.Is(err, account.ErrNoUser):
		a, err := tx.ServiceAccount(ctx, g.HolderUID)
		if err != nil {
			return h, err
		}
		h, role, served = keyHolder{a.UID, account.KindServiceAccount, a.State}, a.Role, g.ServiceAccounts
	default:
		return h, err
	}
	if !served {
		return keyHolder{}, ErrHoldersOff
	}
	if !g.Staff && s.accounts.AboveMember(role) {
		return h, account.ErrRank
	}
	return h, nil
}

// IssueKey is CreateKey for a peer service, which needs no code. Errors, in order:
// account.ErrServiceOnly, account.ErrNoServiceAccount when nobody has the uid, ErrHoldersOff,
// account.ErrRank for a role above member without Grant.Staff, invalid.Fields, ErrCouldNotSaveSecret.
func (s *Service) IssueKey(ctx context.Context, by account.Actor, g Grant, in Input) (Key, error) {
	return s.create(ctx, in, func(tx work) (keyHolder, error) { return s.holderOf(ctx, tx, by, g) },
		func(k Key) audit.Activity {
			return by.PeerActivity(s.now(), "api key create", g.HolderUID, "kid", k.Kid)
		})
}

// ReviseKey is UpdateKey for a peer service, which needs no code. Errors, in order: those of IssueKey
// for the holder, ErrNoKey, invalid.Fields.
func (s *Service) ReviseKey(ctx context.Context, by account.Actor, g Grant, kid string, patch Patch) (Key, error) {
	if patch.State != nil && *patch.State == Disabled { // for the public front end alone
		return Key{}, invalid.Field("state", "inclusion")
	}
	return s.change(ctx, kid, patch, func(tx work) (keyHolder, error) { return s.holderOf(ctx, tx, by, g) },
		by.PeerActivity(s.now(), "api key update", g.HolderUID, "kid", kid))
}
