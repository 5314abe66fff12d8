package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"barong/internal/audit"
	"barong/internal/invalid"
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

// A LabelQuery selects users by a label of theirs, by row id.
type LabelQuery struct {
	Key          string
	Value, Scope string // "" is any
	// From, included, and To, not included, bound the time of the label's creation, or of its last change
	// if Updated; the zero time is no bound.
	From, To      time.Time
	Updated       bool
	Limit, Offset int
}

// A Level is one rung: a user of level n has the private labels of rungs 1 to n.
type Level struct {
	ID          int64 // the level's number
	Key         string
	Value       string
	Description *string
}

// A LabelCount is how many users have a label.
type LabelCount struct {
	Key, Value string
	Users      int
}

// labelReader is the part of Reader about labels and levels.
type labelReader interface {
	// Labels lists a user's labels of both scopes, by row id.
	Labels(ctx context.Context, uid string) ([]Label, error)
	// Label loads one by (uid, key, scope); ErrNoLabel.
	Label(ctx context.Context, uid, key, scope string) (Label, error)
	// LabelHolders returns a page of users that have a label, each once, and how many there are in all.
	LabelHolders(ctx context.Context, q LabelQuery) ([]User, int, error)
	// LabelCounts counts the users of each private label, by key and value.
	LabelCounts(ctx context.Context) ([]LabelCount, error)
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

// ErrPrivateLabel says that a private label is not its user's to change; it is an ErrSelf.
var ErrPrivateLabel = fmt.Errorf("account: private label: %w", ErrSelf)

// A LabelInput is the input of SetLabel.
type LabelInput struct {
	UserUID, Key, Value string
	Scope               string // "" is public
	Description         *string
	// KeepDescription leaves the description as it was when Description is nil.
	KeepDescription bool
	// OnlyNew refuses a label that there is (Invalid, key.taken), OnlyOld one that there is not
	// (ErrNoLabel).
	OnlyNew, OnlyOld bool
}

// SetLabel creates or changes the label (UserUID, Key, Scope) and, when it is private, recomputes
// the user's level and state. Key and value are folded first.
//
// Users set public labels of their own, except under keys that this service gives a meaning to
// (W-R7). Staff set any of users of a lower rank, and of themselves no private one (design D24);
// services set any. Errors, in order: ErrActorChanged, ErrNoUser, ErrSuperadminOnly, ErrRank,
// ErrPrivateLabel, ErrNoLabel, Invalid, which also says that a user has maxOwnLabels already
// (label.limit_reached), ErrLastSuperadmin.
func (s *Service) SetLabel(ctx context.Context, by Actor, in LabelInput) (Label, error) {
	l := Label{UserUID: in.UserUID, Key: squish(in.Key), Value: squish(in.Value), Scope: in.Scope, Description: in.Description}
	if l.Scope == "" {
		l.Scope = ScopePublic
	}
	err := s.update(ctx, func(tx Writer) error {
		if err := tx.mayLabel(ctx, by, in.UserUID, l.Scope); err != nil {
			return err
		}
		before, err := tx.labelOf(ctx, by, l.UserUID, l.Key, l.Scope)
		fresh := errors.Is(err, ErrNoLabel) || errors.Is(err, ErrPrivateLabel)
		if err != nil && (!fresh || in.OnlyOld) {
			return err
		}
		wrong := labelProblems(l)
		if fresh {
			if err := tx.mayAdd(ctx, by, l, &wrong); err != nil {
				return err
			}
		} else if in.OnlyNew {
			wrong.Add("key", "taken")
		}
		if err := wrong.Err(); err != nil {
			return err
		}
		if in.KeepDescription && in.Description == nil {
			l.Description = before.Description
		}
		if err := tx.PutLabel(ctx, &l); err != nil {
			return err
		}
		if err := tx.labelChanged(ctx, l.UserUID, l.Scope); err != nil {
			return err
		}
		action := "update"
		if fresh {
			action = "create"
		}
		return tx.AddActivity(ctx, s.labelActivity(by, action, before, l))
	})
	if err != nil {
		return Label{}, fmt.Errorf("set label: %w", err)
	}
	return l, nil
}

// RemoveLabel deletes a label and, when it was private, recomputes the user's level and state. The key
// is folded first; the rules are those of SetLabel. Errors, in order: ErrActorChanged, ErrNoUser,
// ErrSuperadminOnly, ErrRank, ErrPrivateLabel, ErrNoLabel, ErrLastSuperadmin.
func (s *Service) RemoveLabel(ctx context.Context, by Actor, uid, key, scope string) error {
	_, err := s.TakeLabel(ctx, by, uid, key, scope)
	return err
}

// TakeLabel is RemoveLabel that returns the label as it was.
func (s *Service) TakeLabel(ctx context.Context, by Actor, uid, key, scope string) (before Label, err error) {
	key = squish(key)
	err = s.update(ctx, func(tx Writer) error {
		if err := tx.mayLabel(ctx, by, uid, scope); err != nil {
			return err
		}
		if before, err = tx.labelOf(ctx, by, uid, key, scope); err != nil {
			return err
		}
		if err := tx.DeleteLabel(ctx, uid, key, scope); err != nil {
			return err
		}
		if err := tx.labelChanged(ctx, uid, scope); err != nil {
			return err
		}
		return tx.AddActivity(ctx, s.labelActivity(by, "delete", before, Label{UserUID: uid}))
	})
	if err != nil {
		return Label{}, fmt.Errorf("remove label: %w", err)
	}
	return before, nil
}

// LabelHolders returns a page of users that have a label, each once, and how many there are in all. Key
// and value are folded first.
func (s *Service) LabelHolders(ctx context.Context, q LabelQuery) ([]User, int, error) {
	q.Key, q.Value = squish(q.Key), squish(q.Value)
	list, total, err := s.rows.LabelHolders(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list users with a label: %w", err)
	}
	return list, total, nil
}

// LabelsOf lists the labels of a user, of both scopes, by row id; ErrNoUser.
func (s *Service) LabelsOf(ctx context.Context, uid string) ([]Label, error) {
	all, err := s.rows.Labels(ctx, uid)
	if err == nil && len(all) == 0 {
		_, err = s.rows.User(ctx, uid)
	}
	if err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	return all, nil
}

// LabelCounts counts the users of each private label, by key and value.
func (s *Service) LabelCounts(ctx context.Context) ([]LabelCount, error) {
	list, err := s.rows.LabelCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count labels: %w", err)
	}
	return list, nil
}

// Levels lists the ladder by id.
func (s *Service) Levels(ctx context.Context) ([]Level, error) {
	list, err := s.rows.Levels(ctx)
	if err != nil {
		return nil, fmt.Errorf("list levels: %w", err)
	}
	return list, nil
}

// mayLabel returns why the actor may not change labels of the scope of the user uid, nil when it
// may.
func (w Writer) mayLabel(ctx context.Context, by Actor, uid, scope string) error {
	if by.Service != "" {
		_, err := w.User(ctx, uid)
		return err
	}
	me, u, err := w.pair(ctx, by, uid)
	switch {
	case err != nil:
		return err
	case by.UID == uid && scope == ScopePrivate:
		return ErrPrivateLabel
	case by.UID == uid:
		return nil
	}
	return w.service.mayChange(me, u)
}

// labelOf loads a label that the actor is about to change; ErrNoLabel, and ErrPrivateLabel for a
// key of which the user has a private one alone.
func (w Writer) labelOf(ctx context.Context, by Actor, uid, key, scope string) (Label, error) {
	l, err := w.Label(ctx, uid, key, scope)
	if !errors.Is(err, ErrNoLabel) || by.UID != uid {
		return l, err
	}
	if _, private := w.Label(ctx, uid, key, ScopePrivate); private == nil {
		return Label{}, ErrPrivateLabel
	} else if !errors.Is(private, ErrNoLabel) {
		return Label{}, private
	}
	return Label{}, err
}

// maxOwnLabels bounds the public labels of a user who makes another.
const maxOwnLabels = 100

// mayAdd adds a problem when a user has too many labels, or is about to take a key that this service
// gives a meaning to: one that it sets itself, or that decides about state and level (W-R7).
func (w Writer) mayAdd(ctx context.Context, by Actor, l Label, wrong *invalid.Fields) error {
	if by.UID != l.UserUID {
		return nil
	}
	held, err := w.Labels(ctx, l.UserUID)
	if err != nil {
		return fmt.Errorf("list labels: %w", err)
	}
	own := 0
	for _, l := range held {
		if l.Scope == ScopePublic {
			own++
		}
	}
	if own >= maxOwnLabels {
		wrong.Add("label", "limit_reached")
	}
	levels, err := w.Levels(ctx)
	if err != nil {
		return fmt.Errorf("list levels: %w", err)
	}
	cfg := w.service.cfg
	_, activates := cfg.Activation[l.Key]
	if activates || slices.Contains(systemLabels, l.Key) || slices.Contains(cfg.ReservedLabels, l.Key) ||
		slices.ContainsFunc(cfg.Triggers, func(t Trigger) bool { return slices.Contains(t.Keys, l.Key) }) ||
		slices.ContainsFunc(levels, func(rung Level) bool { return rung.Key == l.Key }) {
		wrong.Add("key", "exclusion")
	}
	return nil
}

// systemLabels are the keys of the private labels that this service sets.
var systemLabels = []string{emailLabel, phoneLabel, otpLabel, "profile", "document", "address", deleteLabel}

// labelNote is the record of a label in activities.
type labelNote struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	Scope string `json:"scope,omitempty"`
}

// labelActivity records a change of a label of after's user: one of the user's own under the topic
// account (W-R24), one by staff under labels, one by a service under management.
func (s *Service) labelActivity(by Actor, action string, before, after Label) audit.Activity {
	topic := "labels"
	switch by.UID {
	case after.UserUID:
		topic, action = "account", "label "+action
	case "":
		topic, action = topicManagement, "label "+action
	}
	a := by.Activity(s.now(), topic, action, audit.Succeed, "")
	if by.UID != after.UserUID {
		a.Category, a.TargetUID = audit.CategoryAdmin, after.UserUID
	}
	note := func(l Label) *labelNote {
		if l.Key == "" {
			return nil
		}
		return &labelNote{l.Key, l.Value, l.Scope}
	}
	data, _ := json.Marshal(struct { // text always marshals
		Before *labelNote `json:"before,omitempty"`
		After  *labelNote `json:"after,omitempty"`
	}{note(before), note(after)})
	a.Data = string(data)
	return a
}

// LabelChanged recomputes when the scope is one that counts (W-I16).
func (w Writer) LabelChanged(ctx context.Context, uid, scope string) error {
	if scope != ScopePrivate {
		return nil
	}
	_, err := w.Recompute(ctx, uid)
	return err
}

// labelChanged is LabelChanged for a change by somebody, which must leave an active superadmin
// (design D24). Superadmins are counted under a lock, so that of two changes one is refused.
func (w Writer) labelChanged(ctx context.Context, uid, scope string) error {
	before, err := w.User(ctx, uid)
	if err != nil {
		return err
	}
	if err := w.LabelChanged(ctx, uid, scope); err != nil || !activeSuperadmin(before) {
		return err
	}
	left, err := w.CountUsers(ctx, RoleSuperadmin, StateActive)
	switch {
	case err != nil:
		return err
	case left == 0:
		return ErrLastSuperadmin
	}
	return nil
}

// squish lower-cases, trims, and makes one space of each run of white space.
func squish(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// labelProblems checks a folded label; blanks come first, then scope, key, value.
func labelProblems(l Label) (p invalid.Fields) {
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
