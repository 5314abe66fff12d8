package account

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Scopes of labels.
const (
	ScopePublic  = "public"
	ScopePrivate = "private"
)

// A Label marks a user; private ones decide level and state (AZ-401, AZ-402).
type Label struct {
	ID          int64
	UserUID     string
	Key         string
	Value       string
	Scope       string
	Description *string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A Level is one rung: a user of level n has the private labels of rungs 1 to n.
type Level struct {
	ID          int64 // the level's number
	Key         string
	Value       string
	Description *string
}

// labelReader is the part of Reader about labels and levels.
type labelReader interface {
	// Labels lists a user's labels of both scopes, by row id.
	Labels(ctx context.Context, uid string) ([]Label, error)
	// Label loads one by (uid, key, scope); ErrNoLabel.
	Label(ctx context.Context, uid, key, scope string) (Label, error)
	// Levels lists the ladder by id.
	Levels(ctx context.Context) ([]Level, error)
}

// labelWriter is the part of Tx about labels and levels.
type labelWriter interface {
	// PutLabel inserts or updates by (UserUID, Key, Scope) and fills ID and times;
	// ErrNoUser.
	PutLabel(ctx context.Context, l *Label) error
	// DeleteLabel removes one by (uid, key, scope); ErrNoLabel.
	DeleteLabel(ctx context.Context, uid, key, scope string) error
	// PutLevel inserts or replaces the rung l.ID; ErrTaken when another has its key and value.
	PutLevel(ctx context.Context, l Level) error
}

// SetLabel creates or changes the label (UserUID, Key, Scope) and, when it is private,
// recomputes the user's level and state. Key and value are folded first. Errors: Invalid,
// ErrNoUser. The edge judges whether the caller may set the label.
func (s *Service) SetLabel(ctx context.Context, l Label) (Label, error) {
	l.Key, l.Value = squish(l.Key), squish(l.Value)
	if l.Scope == "" {
		l.Scope = ScopePublic
	}
	if err := labelProblems(l).Err(); err != nil {
		return Label{}, err
	}
	err := s.update(ctx, func(tx Writer) error {
		if err := tx.PutLabel(ctx, &l); err != nil {
			return err
		}
		return tx.LabelChanged(ctx, l.UserUID, l.Scope)
	})
	if err != nil {
		return Label{}, fmt.Errorf("set label: %w", err)
	}
	return l, nil
}

// RemoveLabel deletes a label and, when it was private, recomputes the user's level and
// state. ErrNoLabel.
func (s *Service) RemoveLabel(ctx context.Context, uid, key, scope string) error {
	err := s.update(ctx, func(tx Writer) error {
		if err := tx.DeleteLabel(ctx, uid, key, scope); err != nil {
			return err
		}
		return tx.LabelChanged(ctx, uid, scope)
	})
	if err != nil {
		return fmt.Errorf("remove label: %w", err)
	}
	return nil
}

// LabelChanged recomputes when the scope is one that counts (W-I16).
func (w Writer) LabelChanged(ctx context.Context, uid, scope string) error {
	if scope != ScopePrivate {
		return nil
	}
	_, err := w.Recompute(ctx, uid)
	return err
}

// squish lower-cases, trims, and makes one space of each run of white space.
func squish(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// labelProblems checks a folded label; blanks come first, then scope, key, value.
func labelProblems(l Label) (p Invalid) {
	if l.Key == "" {
		p.Add("key", "blank")
	}
	if l.Value == "" {
		p.Add("value", "blank")
	}
	if l.Scope != ScopePublic && l.Scope != ScopePrivate {
		p.Add("scope", "inclusion")
	}
	p.Add("key", labelTextProblems(l.Key)...)
	p.Add("value", labelTextProblems(l.Value)...)
	if l.Description != nil && utf8.RuneCountInString(*l.Description) > 255 {
		p.Add("description", "too_long")
	}
	return p
}

// labelTextProblems checks a key or value that is not blank: 3 to 255 of [a-z0-9_-].
func labelTextProblems(text string) (reasons []string) {
	if text == "" {
		return nil
	}
	switch n := utf8.RuneCountInString(text); {
	case n < 3:
		reasons = append(reasons, "too_short")
	case n > 255:
		reasons = append(reasons, "too_long")
	}
	if strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-'
	}) {
		reasons = append(reasons, "invalid")
	}
	return reasons
}
