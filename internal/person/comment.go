package person

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/audit"
)

// ErrNoComment says that there is no such comment.
var ErrNoComment = fmt.Errorf("person: comment: %w", account.ErrNotFound)

// A Comment is a note of staff on a user, hidden from that user.
type Comment struct {
	ID        int64
	UserUID   string
	AuthorUID string // it may outlive its author
	Title     string // at most 64 characters; sealed in the row, as is Data
	Data      string // at most 65535 characters
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String keeps the text out of logs and errors.
func (c Comment) String() string { return fmt.Sprintf("comment %d on %s", c.ID, c.UserUID) }

// GoString keeps it out of %#v.
func (c Comment) GoString() string { return c.String() }

// commentReader is the part of Reader about comments.
type commentReader interface {
	// Comments lists those on a user, by row id; in a transaction others wait that write rows of the user.
	Comments(ctx context.Context, uid string) ([]Comment, error)
	// Comment loads one; ErrNoComment. In a transaction nobody else changes it.
	Comment(ctx context.Context, id int64) (Comment, error)
}

// commentWriter is the part of Tx about comments.
type commentWriter interface {
	// AddComment inserts c and fills ID and times; account.ErrNoUser.
	AddComment(ctx context.Context, c *Comment) error
	// PutComment writes title and data by ID, and fills the rest; ErrNoComment.
	PutComment(ctx context.Context, c *Comment) error
	// DeleteComment removes one; ErrNoComment.
	DeleteComment(ctx context.Context, id int64) error
}

// TooLong names the texts of a comment that are too long.
//
//nolint:errname // reads as a sentence where it is made and matched
type TooLong []string

func (e TooLong) Error() string { return fmt.Sprintf("person: too long: %v", []string(e)) }

// Tokens is the problem as the wire names it, below the name of the endpoint's noun.
func (e TooLong) Tokens() (all []string) {
	for _, field := range e {
		all = append(all, "."+field+"_too_long")
	}
	return all
}

// check finds the texts that are too long.
func (c Comment) check() error {
	var long TooLong
	if utf8.RuneCountInString(c.Title) > 64 {
		long = append(long, "title")
	}
	if utf8.RuneCountInString(c.Data) > 65535 {
		long = append(long, "data")
	}
	if long == nil {
		return nil
	}
	return long
}

// AddComment notes something about the user uid. Errors: those of account.Writer.MayChange, TooLong.
func (s *Service) AddComment(ctx context.Context, by account.Actor, uid, title, data string) (id int64, err error) {
	err = s.update(ctx, func(tx work) error {
		if err := tx.MayChange(ctx, by, uid); err != nil {
			return err
		}
		c := Comment{UserUID: uid, AuthorUID: by.UID, Title: title, Data: data}
		if err := c.check(); err != nil {
			return err
		}
		if err := tx.AddComment(ctx, &c); err != nil {
			return err
		}
		id = c.ID
		return tx.AddActivity(ctx, s.commentActivity(by, "create", c))
	})
	if err != nil {
		return 0, fmt.Errorf("add comment: %w", err)
	}
	return id, nil
}

// ChangeComment replaces the texts of a comment that are not nil, and returns the uid of its user. The
// author stays. Errors: ErrNoComment, those of account.Writer.MayChange about the user, account.ErrRank
// also about another author that is not of a lower rank, TooLong.
func (s *Service) ChangeComment(ctx context.Context, by account.Actor, id int64, title, data *string) (uid string, err error) {
	uid, err = s.editComment(ctx, by, "update", id, func(tx work, c Comment) error {
		if title != nil {
			c.Title = *title
		}
		if data != nil {
			c.Data = *data
		}
		if err := c.check(); err != nil {
			return err
		}
		return tx.PutComment(ctx, &c)
	})
	if err != nil {
		return "", fmt.Errorf("change comment: %w", err)
	}
	return uid, nil
}

// RemoveComment deletes a comment and returns the uid of its user. Errors: those of ChangeComment but
// TooLong.
func (s *Service) RemoveComment(ctx context.Context, by account.Actor, id int64) (uid string, err error) {
	uid, err = s.editComment(ctx, by, "delete", id, func(tx work, c Comment) error { return tx.DeleteComment(ctx, c.ID) })
	if err != nil {
		return "", fmt.Errorf("remove comment: %w", err)
	}
	return uid, nil
}

// editComment changes a comment for an actor of enough rank, with its activity.
func (s *Service) editComment(
	ctx context.Context, by account.Actor, action string, id int64, edit func(work, Comment) error,
) (uid string, err error) {
	err = s.update(ctx, func(tx work) error {
		c, err := tx.Comment(ctx, id)
		if err != nil {
			return err
		}
		uid = c.UserUID
		if err := tx.MayChange(ctx, by, c.UserUID); err != nil {
			return err
		}
		if c.AuthorUID != by.UID {
			err := tx.MayChange(ctx, by, c.AuthorUID)
			if err != nil && !errors.Is(err, account.ErrNoUser) {
				return err
			}
		}
		if err := edit(tx, c); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.commentActivity(by, action, c))
	})
	return uid, err
}

// commentActivity records a deed, not the text.
func (s *Service) commentActivity(by account.Actor, action string, c Comment) audit.Activity {
	a := by.Activity(s.now(), "comments", action, audit.Succeed, "")
	a.Category, a.TargetUID = audit.CategoryAdmin, c.UserUID
	data, _ := json.Marshal(struct { // a number and a text always marshal
		ID     int64  `json:"id"`
		Author string `json:"author_uid"`
	}{c.ID, c.AuthorUID})
	a.Data = string(data)
	return a
}
