package person

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"barong/internal/account"
	"barong/internal/invalid"
)

// Refusals about reviews.
var (
	// ErrNoSubmission says that a user is not there, or has no profile that waits for its review.
	ErrNoSubmission = fmt.Errorf("person: submitted profile: %w", account.ErrNotFound)
	// ErrSecondReviewer says that another member of staff must decide about a profile.
	ErrSecondReviewer = errors.New("person: nobody decides about a profile of the own statement")
)

// A Review changes a submitted profile: its fields as sent, and its state unless that is nil. Submit is
// not used.
type Review struct {
	ProfileInput
	State *string
}

// ProfilePage lists the profiles of everybody, by row id, without the first offset and at most limit,
// and counts all.
func (s *Service) ProfilePage(ctx context.Context, limit, offset int) ([]Profile, int, error) {
	list, total, err := s.rows.ProfilePage(ctx, limit, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("list profiles: %w", err)
	}
	return list, total, nil
}

// StateProfile makes a submitted profile of the user uid, for staff. Errors, in order: those of
// account.Writer.MayChange, Invalid, ErrProfileOpen.
func (s *Service) StateProfile(ctx context.Context, by account.Actor, uid string, in ProfileInput) (Profile, error) {
	in.Submit = true
	p := Profile{UserUID: uid, AuthorUID: by.UID}
	err := s.update(ctx, func(tx work) error {
		p.ID = 0
		if err := tx.MayChange(ctx, by, uid); err != nil {
			return err
		}
		if err := p.set(in, s.now()); err != nil {
			return err
		}
		all, err := tx.Profiles(ctx, uid)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, Profile.open) {
			return ErrProfileOpen
		}
		if err := tx.AddProfile(ctx, &p); err != nil {
			return err
		}
		return s.profileReviewed(ctx, tx, by, nil, p, in)
	})
	if err != nil {
		return Profile{}, fmt.Errorf("state profile: %w", err)
	}
	return p, nil
}

// ReviewProfile changes the submitted profile of the user uid, for staff: the sender of fields becomes its
// author. Errors, in order: account.ErrActorChanged, ErrNoSubmission, account.ErrSuperadminOnly,
// account.ErrSelf, account.ErrRank, ErrSecondReviewer, Invalid, which also says that there is no such
// state (state.inclusion).
func (s *Service) ReviewProfile(ctx context.Context, by account.Actor, uid string, in Review) (Profile, error) {
	in.Submit = false
	var p Profile
	err := s.update(ctx, func(tx work) error {
		refusal := tx.MayChange(ctx, by, uid)
		if errors.Is(refusal, account.ErrActorChanged) {
			return refusal
		}
		all, err := tx.Profiles(ctx, uid)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p Profile) bool { return p.State == ProfileSubmitted })
		if i < 0 {
			return ErrNoSubmission
		}
		if refusal != nil {
			return refusal
		}
		before := all[i]
		p = before
		if len(in.fields()) > 0 {
			p.AuthorUID = by.UID
		}
		if in.State != nil && s.cfg.SecondReviewer && (p.AuthorUID == by.UID || before.AuthorUID == by.UID) &&
			!slices.Contains(s.cfg.SoleReviewers, by.Role) {
			return ErrSecondReviewer
		}
		if err := p.review(in, s); err != nil {
			return err
		}
		if err := tx.PutProfile(ctx, &p); err != nil {
			return err
		}
		return s.profileReviewed(ctx, tx, by, &before, p, in.ProfileInput)
	})
	if err != nil {
		return Profile{}, fmt.Errorf("review profile: %w", err)
	}
	return p, nil
}

// review takes over the fields and the state that are sent, or returns every broken rule.
func (p *Profile) review(in Review, s *Service) error {
	err := p.set(in.ProfileInput, s.now())
	if in.State == nil {
		return err
	}
	states := []string{ProfileDrafted, ProfileSubmitted, ProfileVerified, ProfileRejected}
	if !slices.Contains(states, *in.State) {
		wrong, ok := errors.AsType[invalid.Fields](err)
		if err != nil && !ok {
			return err
		}
		wrong.Add("state", "inclusion")
		return wrong.Err()
	}
	p.State = *in.State
	return err
}

// fields are the names of those that are sent, for activities: the values are the person's own.
func (in ProfileInput) fields() (names []string) {
	for _, f := range []struct {
		name string
		sent bool
	}{
		{"first_name", in.FirstName != nil}, {"last_name", in.LastName != nil}, {"dob", in.DOB != nil}, {"address", in.Address != nil},
		{"postcode", in.Postcode != nil}, {"city", in.City != nil}, {"country", in.Country != nil}, {"metadata", in.Metadata != nil},
	} {
		if f.sent {
			names = append(names, f.name)
		}
	}
	return names
}

// profileReviewed is profileSaved for a change by staff.
func (s *Service) profileReviewed(
	ctx context.Context, tx work, by account.Actor, before *Profile, p Profile, in ProfileInput,
) error {
	note := struct {
		Before string   `json:"before,omitempty"`
		After  string   `json:"after"`
		Fields []string `json:"fields,omitempty"`
	}{After: p.State, Fields: in.fields()}
	action := "create"
	if before != nil {
		action, note.Before = "update", before.State
	}
	if err := tx.AddActivity(ctx, by.AboutUser(s.now(), "profiles", action, p.UserUID, note)); err != nil {
		return err
	}
	return s.profileFollows(ctx, tx, before, p)
}
