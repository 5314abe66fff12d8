package store

import (
	"context"
	"fmt"
	"slices"

	"barong/internal/account"
	"barong/internal/feed"
)

var users = noun[account.User]{
	columns: `u.id, u.uid, u.email, u.username, u.password_digest, u.role, u.level, u.otp, u.state,
	       u.admin_state, u.unproved, u.data, u.referral_id, r.uid, u.session_generation, u.version,
	       u.lock_version, u.created_at, u.updated_at`,
	from: `users u LEFT JOIN users r ON r.id = u.referral_id`,
	into: func(u *account.User) []any {
		return []any{
			&u.ID, &u.UID, &u.Email, &u.Username, &u.PasswordDigest, &u.Role, &u.Level, &u.OTP, &u.State,
			&u.AdminState, &u.Unproved, &u.Data, &u.ReferralID, &u.ReferralUID, &u.SessionGeneration, &u.Version,
			&u.LockVersion, at(&u.CreatedAt), at(&u.UpdatedAt),
		}
	},
	missing: account.ErrNoUser,
}

// User implements account.Tx.
func (q queries) User(ctx context.Context, uid string) (account.User, error) {
	return users.one(ctx, q, "load user", lockUser(uid), `WHERE u.uid = $1`, uid)
}

// byEmail is the condition of UserByEmail: a deleted account comes last.
const byEmail = `WHERE u.email = $1 ORDER BY u.state = 'deleted', u.id DESC LIMIT 1`

// UserByEmail implements account.Tx; it folds the address itself.
func (q queries) UserByEmail(ctx context.Context, email string) (account.User, error) {
	email = account.FoldEmail(email)
	return users.one(ctx, q, "load user by e-mail", lockRows("users", "email = $1", email),
		byEmail, email)
}

// UsersByUID implements account.Reader.
func (q queries) UsersByUID(ctx context.Context, uids []string) (map[string]account.User, error) {
	found := make(map[string]account.User, len(uids))
	for part := range slices.Chunk(uids, 200) {
		marks, args := inList(part)
		all, err := users.many(ctx, q, "load users", unlocked, `WHERE u.uid IN `+marks, args...)
		if err != nil {
			return nil, err
		}
		for _, u := range all {
			found[u.UID] = u
		}
	}
	return found, nil
}

// AddUser implements account.Tx. It folds u.Email and takes SessionGeneration as
// given; ErrNotFound when the referrer is not there.
func (q queries) AddUser(ctx context.Context, u *account.User) error {
	return q.writeLocked(ctx, "add user", serializeUID(u.UID), func(t *txn) error {
		err := t.free(ctx, account.ErrTaken, `SELECT 1 FROM service_accounts WHERE uid = $1`, u.UID)
		if err != nil {
			return err
		}
		if err := t.referrerExists(ctx, u.ReferralID); err != nil {
			return err
		}
		u.Email, u.Version, u.LockVersion, u.CreatedAt, u.UpdatedAt = account.FoldEmail(u.Email), nextName(0), 1, t.now, t.now
		err = t.QueryRowContext(ctx, `
			INSERT INTO users (uid, email, username, password_digest, role, level, otp, state,
			                   admin_state, unproved, data, referral_id, session_generation,
			                   version, lock_version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			u.UID, u.Email, u.Username, u.PasswordDigest, u.Role, u.Level, u.OTP, u.State,
			u.AdminState, u.Unproved, u.Data, u.ReferralID, u.SessionGeneration, u.Version, u.LockVersion,
			t.now.UnixMicro()).Scan(&u.ID)
		if err := inserted(err, account.ErrTaken); err != nil {
			return err
		}
		t.changed(feed.Principal, u.UID)
		return nil
	})
}

// PutUser implements account.Tx. A SessionGeneration that is not higher changes nothing,
// so that a stale copy cannot revive ended sessions. u gets the counters and UpdatedAt as written.
// ErrNotFound also when the referrer is not there.
func (q queries) PutUser(ctx context.Context, u *account.User) error {
	return q.writeLocked(ctx, "put user", lockUser(u.UID), func(t *txn) error {
		old, err := users.load(ctx, t, `WHERE u.uid = $1`, u.UID)
		if err != nil {
			return err
		}
		email := account.FoldEmail(u.Email)
		if u.State != account.StateDeleted { // else others may have both
			err = t.free(ctx, account.ErrTaken, `
				SELECT 1 FROM users
				WHERE (email = $1 OR username = $2) AND id <> $3 AND state <> 'deleted'`, email, u.Username, old.ID)
			if err != nil {
				return err
			}
		}
		if err := t.referrerExists(ctx, u.ReferralID); err != nil {
			return err
		}
		version, generation := old.Version, old.SessionGeneration
		if u.SessionGeneration > generation {
			generation = nextName(generation)
		}
		if email != old.Email || u.Role != old.Role || u.Level != old.Level || u.OTP != old.OTP ||
			u.State != old.State || u.Unproved != old.Unproved || !same(u.Username, old.Username) || !same(u.ReferralID, old.ReferralID) {
			version = nextName(version)
		}
		err = t.exec(ctx, `
			UPDATE users
			SET email = $1, username = $2, password_digest = $3, role = $4, level = $5, otp = $6,
			    state = $7, admin_state = $8, data = $9, referral_id = $10,
			    session_generation = $11, version = $12, lock_version = lock_version + 1,
			    updated_at = $13, unproved = $14
			WHERE id = $15`,
			email, u.Username, u.PasswordDigest, u.Role, u.Level, u.OTP, u.State, u.AdminState,
			u.Data, u.ReferralID, generation, version, t.now.UnixMicro(), u.Unproved, old.ID)
		if err := updated(err, account.ErrTaken); err != nil {
			return err
		}
		u.ID, u.Email, u.CreatedAt, u.UpdatedAt = old.ID, email, old.CreatedAt, t.now
		u.SessionGeneration, u.Version, u.LockVersion = generation, version, old.LockVersion+1
		if version != old.Version || generation != old.SessionGeneration {
			t.changed(feed.Principal, u.UID)
		}
		return nil
	})
}

// serializeUID is the lock of giving a uid to anyone: uids are unique over two tables, which no
// index can hold.
func serializeUID(uid string) lock { return serialize("uid " + uid) }

func (t *txn) referrerExists(ctx context.Context, id *int64) error {
	if id == nil {
		return nil
	}
	ok, err := exists(ctx, t, `SELECT 1 FROM users WHERE id = $1`, *id)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("referrer: %w", account.ErrNoUser)
	}
	return nil
}

// userID is the row id behind a uid; account.ErrNoUser.
func userID(ctx context.Context, q querier, uid string) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT id FROM users WHERE uid = $1`, uid).Scan(&id)
	return id, found(err, account.ErrNoUser)
}

// lockedUserID is userID of a user that nobody else changes before the commit.
func (t *txn) lockedUserID(ctx context.Context, uid string) (id int64, err error) {
	err = t.QueryRowContext(ctx, `SELECT id FROM users WHERE uid = $1`+t.dialect.Lock, uid).Scan(&id)
	return id, found(err, account.ErrNoUser)
}

// CountUsers implements account.Tx. Transactions that count wait for each other, so
// that a rule on the number ("not the last one") holds if a caller counts before lowering it.
func (q queries) CountUsers(ctx context.Context, role, state string) (int, error) {
	var f filter
	f.match("role", role)
	f.match("state", state)
	return one(ctx, q, "count users", serialize("count of users"), nil, value[int],
		`SELECT count(*) FROM users`+f.where(), f.args...)
}

// EndSessions implements account.Tx. Service accounts have no sessions: ErrNotFound.
func (q queries) EndSessions(ctx context.Context, uid string) (int64, error) {
	var generation int64
	err := q.write(ctx, "end sessions of user", func(t *txn) error {
		err := t.QueryRowContext(ctx, `
			UPDATE users
			SET session_generation = `+fmt.Sprintf(nextInSQL, "session_generation")+`,
			    lock_version = lock_version + 1, updated_at = $2
			WHERE uid = $3
			RETURNING session_generation`, nameNoise(), t.now.UnixMicro(), uid).Scan(&generation)
		if err != nil {
			return found(err, account.ErrNoUser)
		}
		t.changed(feed.Principal, uid)
		return nil
	})
	return generation, err
}

func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
