package store

import (
	"context"
	"fmt"

	"barong/internal/account"
	"barong/internal/person"
)

const profilesTable = "profiles" // sealing binds to it

// sealedProfile is a profile as its row has it.
type sealedProfile struct {
	person.Profile
	row                                string
	firstName, lastName, born, address []byte
}

var profiles = noun[sealedProfile]{
	columns: `p.id, p.uuid, u.uid, p.first_name, p.last_name, p.dob, p.address, p.postcode, p.city, p.country,
	       p.metadata, p.state, p.applicant_id, COALESCE(p.author_uid, ''), p.created_at, p.updated_at`,
	from: `profiles p JOIN users u ON u.id = p.user_id`,
	into: func(p *sealedProfile) []any {
		return []any{
			&p.ID, &p.row, &p.UserUID, &p.firstName, &p.lastName, &p.born, &p.address, &p.Postcode, &p.City, &p.Country,
			&p.Metadata, &p.State, &p.ApplicantID, &p.AuthorUID, at(&p.CreatedAt), at(&p.UpdatedAt),
		}
	},
	missing: account.ErrNotFound,
}

// A secretColumn is a sealed text of a row and its plain form.
type secretColumn struct {
	name   string
	sealed *[]byte
	plain  **string
}

func (p *sealedProfile) secrets() []secretColumn {
	return []secretColumn{
		{"first_name", &p.firstName, &p.FirstName}, {"last_name", &p.lastName, &p.LastName},
		{"dob", &p.born, &p.DOB}, {"address", &p.address, &p.Address},
	}
}

// Profiles implements person.Tx.
func (q queries) Profiles(ctx context.Context, uid string) ([]person.Profile, error) {
	sealed, err := profiles.many(ctx, q, "list profiles", lockUser(uid), `WHERE u.uid = $1 ORDER BY p.id`, uid)
	if err != nil {
		return nil, err
	}
	return q.openProfiles(sealed)
}

// ProfilePage implements person.Reader. It finds the page by the index before it looks at rows.
func (q queries) ProfilePage(ctx context.Context, limit, offset int) (all []person.Profile, total int, err error) {
	var sealed []sealedProfile
	err = q.together(ctx, "list profiles", func(q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM profiles`).Scan(&total); err != nil || offset >= total {
			return err
		}
		page, args := new(filter).page(limit, offset)
		sealed, err = profiles.list(ctx, q, `WHERE p.id IN (SELECT id FROM profiles ORDER BY id`+page+`) ORDER BY p.id`, args...)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	all, err = q.openProfiles(sealed)
	return all, total, err
}

// openProfiles are the profiles of rows.
func (q queries) openProfiles(sealed []sealedProfile) ([]person.Profile, error) {
	all := make([]person.Profile, len(sealed))
	for i, p := range sealed {
		if err := q.openTexts(profilesTable, p.row, p.secrets()); err != nil {
			return nil, fmt.Errorf("list profiles: %w", err)
		}
		all[i] = p.Profile
	}
	return all, nil
}

// AddProfile implements person.Tx.
func (q queries) AddProfile(ctx context.Context, p *person.Profile) error {
	return q.write(ctx, "add profile", func(t *txn) error {
		user, err := t.lockedUserID(ctx, p.UserUID)
		if err != nil {
			return err
		}
		s := sealedProfile{Profile: *p, row: newUUID()}
		if err := q.sealTexts(profilesTable, s.row, s.secrets()); err != nil {
			return err
		}
		p.CreatedAt, p.UpdatedAt = t.now, t.now
		err = t.QueryRowContext(ctx, `
			INSERT INTO profiles (uuid, user_id, first_name, last_name, dob, address, postcode, city, country,
			                      metadata, state, applicant_id, author_uid, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			s.row, user, s.firstName, s.lastName, s.born, s.address, p.Postcode, p.City, p.Country,
			p.Metadata, p.State, p.ApplicantID, textOrNull(p.AuthorUID), t.now.UnixMicro()).Scan(&p.ID)
		return inserted(err, person.ErrProfileOpen)
	})
}

// PutProfile implements person.Tx.
func (q queries) PutProfile(ctx context.Context, p *person.Profile) error {
	return q.writeLocked(ctx, "put profile", lockUser(p.UserUID), func(t *txn) error {
		s, err := profiles.load(ctx, t, `WHERE p.id = $1 AND u.uid = $2`, p.ID, p.UserUID)
		if err != nil {
			return err
		}
		p.CreatedAt, p.UpdatedAt = s.CreatedAt, t.now
		s.Profile = *p
		if err := q.sealTexts(profilesTable, s.row, s.secrets()); err != nil {
			return err
		}
		err = t.exec(ctx, `
			UPDATE profiles
			SET first_name = $1, last_name = $2, dob = $3, address = $4, postcode = $5, city = $6, country = $7,
			    metadata = $8, state = $9, applicant_id = $10, author_uid = $11, updated_at = $12
			WHERE id = $13`,
			s.firstName, s.lastName, s.born, s.address, p.Postcode, p.City, p.Country,
			p.Metadata, p.State, p.ApplicantID, textOrNull(p.AuthorUID), t.now.UnixMicro(), p.ID)
		return updated(err, person.ErrProfileOpen)
	})
}

// sealTexts seals each text for its column of a row; absent ones stay absent. account.ErrSeal.
func (q queries) sealTexts(table, row string, columns []secretColumn) error {
	for _, c := range columns {
		if *c.sealed = nil; *c.plain == nil {
			continue
		}
		var err error
		if *c.sealed, err = q.sealAs([]byte(**c.plain), table, c.name, row); err != nil {
			return err
		}
	}
	return nil
}

// openTexts is the inverse of sealTexts.
func (q queries) openTexts(table, row string, columns []secretColumn) error {
	for _, c := range columns {
		if *c.sealed == nil {
			continue
		}
		plain, err := q.open(*c.sealed, table, c.name, row)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		text := string(plain)
		*c.plain = &text
	}
	return nil
}
