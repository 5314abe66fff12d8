package store

import (
	"context"
	"database/sql"
	"fmt"

	"barong/internal/account"
)

// AddVerification implements account.KYCStore.
func (q queries) AddVerification(ctx context.Context, v *account.Verification) error {
	return q.write(ctx, "add verification", func(t *txn) error {
		user, err := t.lockedUserID(ctx, v.UserUID)
		if err != nil {
			return err
		}
		v.CreatedAt, v.UpdatedAt = t.now, t.now
		var id int64
		err = t.QueryRowContext(ctx, `
			INSERT INTO kyc_verifications (verification_id, applicant_id, user_id, kind, final_status,
			                               created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			v.VerificationID, v.ApplicantID, user, v.Kind, textOrNull(v.FinalStatus),
			t.now.UnixMicro()).Scan(&id)
		return inserted(err, account.ErrTaken)
	})
}

// lockVerification locks the user of a verification, by lockUser's agreement. A row's user
// never changes, so that one statement is enough.
func (t *txn) lockVerification(ctx context.Context, id string) error {
	return t.lock(ctx, "users",
		"id = (SELECT user_id FROM kyc_verifications WHERE verification_id = $1)", id)
}

// Verification implements account.KYCStore.
func (q queries) Verification(ctx context.Context, id string) (account.Verification, error) {
	if err := q.held(func(t *txn) error { return t.lockVerification(ctx, id) }); err != nil {
		return account.Verification{}, fmt.Errorf("load verification: %w", err)
	}
	return q.verification(ctx, "v.verification_id = $1", id)
}

// NewestVerification implements account.KYCStore.
func (q queries) NewestVerification(ctx context.Context, uid, kind string) (account.Verification, error) {
	return q.verification(ctx, "u.uid = $1 AND v.kind = $2 ORDER BY v.id DESC LIMIT 1", uid, kind)
}

// verification loads the one that cond picks.
func (q queries) verification(ctx context.Context, cond string, args ...any) (account.Verification, error) {
	var v account.Verification
	var status sql.NullString
	err := q.read().QueryRowContext(ctx, `
		SELECT v.verification_id, v.applicant_id, u.uid, v.kind, v.final_status, v.created_at, v.updated_at
		FROM kyc_verifications v JOIN users u ON u.id = v.user_id WHERE `+cond, args...).
		Scan(&v.VerificationID, &v.ApplicantID, &v.UserUID, &v.Kind, &status,
			at(&v.CreatedAt), at(&v.UpdatedAt))
	if err != nil {
		return account.Verification{}, fmt.Errorf("load verification: %w", found(err, account.ErrNotFound))
	}
	v.FinalStatus = status.String
	return v, nil
}

// FinishVerification implements account.KYCStore.
func (q queries) FinishVerification(ctx context.Context, id, status string) error {
	return q.write(ctx, "finish verification", func(t *txn) error {
		if err := t.lockVerification(ctx, id); err != nil {
			return err
		}
		n, err := affected(ctx, t, `
			UPDATE kyc_verifications SET final_status = $1, updated_at = $2 WHERE verification_id = $3`,
			textOrNull(status), t.now.UnixMicro(), id)
		if err == nil && n == 0 {
			err = account.ErrNotFound
		}
		return err
	})
}
