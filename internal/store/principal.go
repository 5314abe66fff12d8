package store

import (
	"context"
	"errors"
	"fmt"

	"barong/internal/account"
)

const (
	selectUserPrincipal = `
		SELECT uid, email, username, role, level, state, unproved, otp, referral_id, version, session_generation,` + renewalColumns + `
		FROM users WHERE uid = $1`
	selectServiceAccountPrincipal = `
		SELECT a.uid, a.email, a.role, a.level, a.state, COALESCE(o.uid, ''), a.version
		FROM service_accounts a LEFT JOIN users o ON o.id = a.owner_id WHERE a.uid = $1`
)

// Principal implements account.Source: one statement for a user, two for a service account.
func (db *DB) Principal(ctx context.Context, uid string) (account.Principal, error) {
	p := account.Principal{Kind: account.KindUser}
	var renewed renewalRow
	err := db.userByUID.row(ctx, db, uid).Scan(append([]any{&p.UID, &p.Email, &p.Username, &p.Role, &p.Level,
		&p.State, &p.Unproved, &p.OTP, &p.ReferralID, &p.Version, &p.SessionGeneration}, renewed.dest()...)...)
	err = found(err, account.ErrNotFound)
	p.Renewal = renewed.renewal()
	if errors.Is(err, account.ErrNotFound) {
		p = account.Principal{Kind: account.KindServiceAccount}
		err = db.serviceAccountByUID.row(ctx, db, uid).Scan(&p.UID, &p.Email, &p.Role, &p.Level,
			&p.State, &p.OwnerUID, &p.Version)
		err = found(err, account.ErrNotFound)
	}
	if err != nil {
		return account.Principal{}, fmt.Errorf("load principal: %w", err)
	}
	return p, nil
}
