package store

import (
	"context"

	"barong/internal/account"
)

// KYCSteps implements person.Tx.
func (q queries) KYCSteps(ctx context.Context, uid, batch string) (map[string]string, error) {
	type step struct{ name, id string }
	all, err := many(ctx, q, "list steps of identity checks", lockUser(uid), func(row scanner) (s step, err error) {
		return s, row.Scan(&s.name, &s.id)
	}, `SELECT s.step, s.external_id FROM kyc_steps s JOIN users u ON u.id = s.user_id WHERE u.uid = $1 AND s.batch = $2`, uid, batch)
	if err != nil {
		return nil, err
	}
	done := make(map[string]string, len(all))
	for _, s := range all {
		done[s.name] = s.id
	}
	return done, nil
}

// AddKYCStep implements person.Tx.
func (q queries) AddKYCStep(ctx context.Context, uid, batch, step, id string) error {
	return q.write(ctx, "add step of identity checks", func(t *txn) error {
		user, err := t.lockedUserID(ctx, uid)
		if err != nil {
			return err
		}
		var row int64
		err = t.QueryRowContext(ctx, `
			INSERT INTO kyc_steps (user_id, batch, step, external_id, created_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			user, batch, step, id, t.now.UnixMicro()).Scan(&row)
		return inserted(err, account.ErrTaken)
	})
}
