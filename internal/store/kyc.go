package store

import (
	"context"

	"barong/internal/account"
	"barong/internal/person"
)

var verifications = noun[person.Verification]{
	columns: `v.verification_id, v.applicant_id, u.uid, v.kind, COALESCE(v.final_status, ''), v.created_at, v.updated_at`,
	from:    `kyc_verifications v JOIN users u ON u.id = v.user_id`,
	into: func(v *person.Verification) []any {
		return []any{
			&v.VerificationID, &v.ApplicantID, &v.UserUID, &v.Kind, &v.FinalStatus, at(&v.CreatedAt), at(&v.UpdatedAt),
		}
	},
	missing: person.ErrUnknownVerification,
}

// AddVerification implements person.Tx.
func (q queries) AddVerification(ctx context.Context, v *person.Verification) error {
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

// lockVerification is lockUser for the user of a verification. A row's user never changes, so that
// one statement is enough.
func lockVerification(id string) lock {
	return lockRows("users", "id = (SELECT user_id FROM kyc_verifications WHERE verification_id = $1)", id)
}

// Verification implements person.Tx.
func (q queries) Verification(ctx context.Context, id string) (person.Verification, error) {
	return verifications.one(ctx, q, "load verification", lockVerification(id), `WHERE v.verification_id = $1`, id)
}

// NewestVerification implements person.Tx.
func (q queries) NewestVerification(ctx context.Context, uid, kind string) (person.Verification, error) {
	return verifications.one(ctx, q, "load newest verification", unlocked,
		`WHERE u.uid = $1 AND v.kind = $2 ORDER BY v.id DESC LIMIT 1`, uid, kind)
}

// FinishVerification implements person.Tx.
func (q queries) FinishVerification(ctx context.Context, id, status string) error {
	return q.writeLocked(ctx, "finish verification", lockVerification(id), func(t *txn) error {
		return t.change(ctx, person.ErrUnknownVerification, `
			UPDATE kyc_verifications SET final_status = $1, updated_at = $2 WHERE verification_id = $3`,
			textOrNull(status), t.now.UnixMicro(), id)
	})
}
