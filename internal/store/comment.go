package store

import (
	"context"
	"fmt"

	"barong/internal/person"
)

const commentsTable = "comments" // sealing binds to it

// sealedComment is a comment as its row has it.
type sealedComment struct {
	person.Comment
	row         string
	title, data []byte
}

var comments = noun[sealedComment]{
	columns: `c.id, c.uuid, u.uid, c.author_uid, c.title, c.data, c.created_at, c.updated_at`,
	from:    `comments c JOIN users u ON u.id = c.user_id`,
	into: func(c *sealedComment) []any {
		return []any{&c.ID, &c.row, &c.UserUID, &c.AuthorUID, &c.title, &c.data, at(&c.CreatedAt), at(&c.UpdatedAt)}
	},
	missing: person.ErrNoComment,
}

// Comments implements person.Tx.
func (q queries) Comments(ctx context.Context, uid string) ([]person.Comment, error) {
	sealed, err := comments.many(ctx, q, "list comments", lockUser(uid), `WHERE u.uid = $1 ORDER BY c.id`, uid)
	if err != nil {
		return nil, err
	}
	all := make([]person.Comment, len(sealed))
	for i, c := range sealed {
		if all[i], err = q.openComment(c); err != nil {
			return nil, fmt.Errorf("list comments: %w", err)
		}
	}
	return all, nil
}

// Comment implements person.Tx.
func (q queries) Comment(ctx context.Context, id int64) (person.Comment, error) {
	c, err := comments.one(ctx, q, "load comment", lockRows("comments", "id = $1", id), `WHERE c.id = $1`, id)
	if err != nil {
		return person.Comment{}, err
	}
	return q.openComment(c)
}

// AddComment implements person.Tx.
func (q queries) AddComment(ctx context.Context, c *person.Comment) error {
	return q.write(ctx, "add comment", func(t *txn) error {
		user, err := t.lockedUserID(ctx, c.UserUID)
		if err != nil {
			return err
		}
		s := sealedComment{Comment: *c, row: newUUID()}
		if err := q.sealComment(&s); err != nil {
			return err
		}
		c.CreatedAt, c.UpdatedAt = t.now, t.now
		return t.QueryRowContext(ctx, `
			INSERT INTO comments (uuid, user_id, author_uid, title, data, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			RETURNING id`, s.row, user, c.AuthorUID, s.title, s.data, t.now.UnixMicro()).Scan(&c.ID)
	})
}

// PutComment implements person.Tx.
func (q queries) PutComment(ctx context.Context, c *person.Comment) error {
	return q.writeLocked(ctx, "put comment", lockRows("comments", "id = $1", c.ID), func(t *txn) error {
		s, err := comments.load(ctx, t, `WHERE c.id = $1`, c.ID)
		if err != nil {
			return err
		}
		s.Title, s.Data = c.Title, c.Data
		if err := q.sealComment(&s); err != nil {
			return err
		}
		c.UserUID, c.AuthorUID, c.CreatedAt, c.UpdatedAt = s.UserUID, s.AuthorUID, s.CreatedAt, t.now
		return t.exec(ctx, `UPDATE comments SET title = $1, data = $2, updated_at = $3 WHERE id = $4`,
			s.title, s.data, t.now.UnixMicro(), c.ID)
	})
}

// DeleteComment implements person.Tx.
func (q queries) DeleteComment(ctx context.Context, id int64) error {
	return q.write(ctx, "delete comment", func(t *txn) error {
		return t.change(ctx, person.ErrNoComment, `DELETE FROM comments WHERE id = $1`, id)
	})
}

func (q queries) sealComment(c *sealedComment) (err error) {
	if c.title, err = q.sealAs([]byte(c.Title), commentsTable, "title", c.row); err != nil {
		return err
	}
	c.data, err = q.sealAs([]byte(c.Data), commentsTable, "data", c.row)
	return err
}

func (q queries) openComment(c sealedComment) (person.Comment, error) {
	title, err := q.open(c.title, commentsTable, "title", c.row)
	if err != nil {
		return person.Comment{}, fmt.Errorf("title: %w", err)
	}
	data, err := q.open(c.data, commentsTable, "data", c.row)
	if err != nil {
		return person.Comment{}, fmt.Errorf("data: %w", err)
	}
	c.Title, c.Data = string(title), string(data)
	return c.Comment, nil
}
