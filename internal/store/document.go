package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"barong/internal/account"
	"barong/internal/person"
)

const documentsTable = "documents" // sealing binds to it

// sealedDocument is a document as its row has it.
type sealedDocument struct {
	person.Document
	number, fileName, address []byte
	plainName, plainAddress   *string
}

var documents = noun[sealedDocument]{
	columns: `d.uuid, u.uid, d.file, d.file_name, d.size, d.media, d.doc_type, d.doc_number, d.doc_expire, d.doc_issue,
	       d.doc_category, d.identificator, d.metadata, d.address, d.created_at, d.updated_at`,
	from: `documents d JOIN users u ON u.id = d.user_id`,
	into: func(d *sealedDocument) []any {
		return []any{
			&d.ID, &d.UserUID, &d.File, &d.fileName, &d.Size, &d.Media, &d.Type, &d.number, &d.Expires, &d.Issued,
			&d.Category, &d.Identificator, &d.Metadata, &d.address, at(&d.CreatedAt), at(&d.UpdatedAt),
		}
	},
	missing: person.ErrNoDocument,
}

func (d *sealedDocument) secrets() []secretColumn {
	return []secretColumn{
		{"doc_number", &d.number, &d.Number}, {"file_name", &d.fileName, &d.plainName}, {"address", &d.address, &d.plainAddress},
	}
}

// openDocument is the document of a row.
func (q queries) openDocument(d sealedDocument) (person.Document, error) {
	if err := q.openTexts(documentsTable, d.ID, d.secrets()); err != nil {
		return person.Document{}, err
	}
	d.FileName = *d.plainName
	if d.plainAddress != nil {
		d.Address = new(person.Address)
		if err := json.Unmarshal([]byte(*d.plainAddress), d.Address); err != nil {
			return person.Document{}, fmt.Errorf("address: %w", err)
		}
	}
	return d.Document, nil
}

// Documents implements person.Tx.
func (q queries) Documents(ctx context.Context, uid string) ([]person.Document, error) {
	sealed, err := documents.many(ctx, q, "list documents", lockUser(uid), `WHERE u.uid = $1 ORDER BY d.id`, uid)
	if err != nil {
		return nil, err
	}
	all := make([]person.Document, len(sealed))
	for i, d := range sealed {
		if all[i], err = q.openDocument(d); err != nil {
			return nil, fmt.Errorf("list documents: %w", err)
		}
	}
	return all, nil
}

// Document implements person.Tx.
func (q queries) Document(ctx context.Context, id string) (person.Document, error) {
	sealed, err := documents.one(ctx, q, "load document", unlocked, `WHERE d.uuid = $1`, id)
	if err != nil {
		return person.Document{}, err
	}
	d, err := q.openDocument(sealed)
	if err != nil {
		return d, fmt.Errorf("load document: %w", err)
	}
	return d, nil
}

// DocumentFiles implements person.Tx.
func (q queries) DocumentFiles(ctx context.Context, names []string) (all []string, err error) {
	for part := range slices.Chunk(names, 200) {
		marks, args := inList(part)
		some, err := many(ctx, q, "look for files", unlocked, value[string], `SELECT file FROM documents WHERE file IN `+marks, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Lapsed implements person.Tx.
func (q queries) Lapsed(ctx context.Context, day string, limit int) ([]string, error) {
	return many(ctx, q, "list expired documents", unlocked, value[string], `
		SELECT u.uid
		FROM (SELECT user_id, min(doc_expire) AS oldest FROM documents
		      WHERE lapsed_at IS NULL AND doc_expire IS NOT NULL AND doc_expire < $1
		      GROUP BY user_id ORDER BY oldest, user_id LIMIT $2) d
		JOIN users u ON u.id = d.user_id
		ORDER BY d.oldest, d.user_id`, day, limit)
}

// AddDocument implements person.Tx.
func (q queries) AddDocument(ctx context.Context, d *person.Document) error {
	return q.write(ctx, "add document", func(t *txn) error {
		user, err := t.lockedUserID(ctx, d.UserUID)
		if err != nil {
			return err
		}
		s := sealedDocument{Document: *d, plainName: &d.FileName}
		if d.Address != nil {
			text, err := json.Marshal(d.Address)
			if err != nil {
				return err
			}
			plain := string(text)
			s.plainAddress = &plain
		}
		if err := q.sealTexts(documentsTable, d.ID, s.secrets()); err != nil {
			return err
		}
		d.CreatedAt, d.UpdatedAt = t.now, t.now
		var id int64
		err = t.QueryRowContext(ctx, `
			INSERT INTO documents (uuid, user_id, file, file_name, size, media, doc_type, doc_number, doc_expire, doc_issue,
			                       doc_category, identificator, metadata, address, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
			ON CONFLICT DO NOTHING
			RETURNING id`,
			d.ID, user, d.File, s.fileName, d.Size, d.Media, d.Type, s.number, d.Expires, d.Issued,
			d.Category, d.Identificator, d.Metadata, s.address, t.now.UnixMicro()).Scan(&id)
		return inserted(err, account.ErrTaken)
	})
}

// MarkLapsed implements person.Tx.
func (q queries) MarkLapsed(ctx context.Context, uid, day string) (n int, err error) {
	err = q.writeLocked(ctx, "mark expired documents", lockUser(uid), func(t *txn) error {
		changed, err := affected(ctx, t, `
			UPDATE documents SET lapsed_at = $1
			WHERE user_id = (SELECT id FROM users WHERE uid = $2) AND lapsed_at IS NULL AND doc_expire < $3`,
			t.now.UnixMicro(), uid, day)
		n = int(changed)
		return err
	})
	return n, err
}
