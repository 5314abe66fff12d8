package person

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"

	"barong/internal/account"
	"barong/internal/audit"
	"barong/internal/event"
	"barong/internal/invalid"
)

// States of profiles. Drafts are the owner's to edit; submitted ones wait for a review, whose outcome
// is one of the others.
const (
	ProfileDrafted   = "drafted"
	ProfileSubmitted = "submitted"
	ProfileVerified  = "verified"
	ProfileRejected  = "rejected"
)

// Refusals about profiles.
var (
	// ErrProfileOpen says that the user has a profile that is drafted or submitted already.
	ErrProfileOpen = errors.New("person: another profile is drafted or submitted")
	// ErrNoDraft says that the user has no profile that may be edited.
	ErrNoDraft = fmt.Errorf("person: draft of a profile: %w", account.ErrNotFound)
)

// A Profile is a person's own statement of who and where the person is. Absent fields are nil.
type Profile struct {
	ID      int64
	UserUID string
	// FirstName, LastName, DOB and Address are sealed in the row.
	FirstName, LastName *string
	DOB                 *string // date of birth, YYYY-MM-DD
	Address             *string
	Postcode, City      *string
	Country             *string // as sent: alpha-2 or alpha-3 code of ISO 3166-1
	Metadata            *string // JSON text of the client's own
	State               string
	ApplicantID         *string // the KYC provider's name for the person, when it has one
	AuthorUID           string  // of the member of staff that stated it last, "" when the person did
	CreatedAt           time.Time
	UpdatedAt           time.Time
}

// String keeps the person out of logs and errors.
func (p Profile) String() string { return fmt.Sprintf("profile %d of %s", p.ID, p.UserUID) }

// GoString keeps the person out of %#v.
func (p Profile) GoString() string { return p.String() }

// profileReader is the part of Reader about profiles.
type profileReader interface {
	// Profiles lists a user's, by row id; in a transaction others wait that write rows of the user.
	Profiles(ctx context.Context, uid string) ([]Profile, error)
	// ProfilePage lists those of everybody, by row id, without the first offset and at most limit, and
	// counts all.
	ProfilePage(ctx context.Context, limit, offset int) ([]Profile, int, error)
}

// profileWriter is the part of Tx about profiles.
type profileWriter interface {
	// AddProfile seals and inserts p and fills ID and times; account.ErrNoUser, ErrProfileOpen,
	// account.ErrSeal.
	AddProfile(ctx context.Context, p *Profile) error
	// PutProfile seals and writes every field but UserUID and the time of creation, by ID;
	// account.ErrNotFound, ErrProfileOpen, account.ErrSeal.
	PutProfile(ctx context.Context, p *Profile) error
}

// A ProfileInput holds the fields that are sent; nil ones stay as they are.
type ProfileInput struct {
	FirstName, LastName, Address, Postcode, City, Country, Metadata *string
	DOB                                                             *time.Time // the day alone counts
	// Submit ends the editing: the profile waits for its review.
	Submit bool
}

// CreateProfile makes a profile of the actor's. Errors: account.ErrNoUser, Invalid, ErrProfileOpen.
func (s *Service) CreateProfile(ctx context.Context, by account.Actor, in ProfileInput) (Profile, error) {
	p := Profile{UserUID: by.UID, State: ProfileDrafted}
	err := s.update(ctx, func(tx work) error {
		p.ID = 0
		all, err := tx.Profiles(ctx, by.UID)
		if err != nil {
			return err
		}
		if err := p.set(in, s.now()); err != nil {
			return err
		}
		if slices.ContainsFunc(all, Profile.open) {
			return ErrProfileOpen
		}
		if err := tx.AddProfile(ctx, &p); err != nil {
			return err
		}
		return s.profileSaved(ctx, tx, by, nil, p)
	})
	if err != nil {
		return Profile{}, fmt.Errorf("create profile: %w", err)
	}
	return p, nil
}

// UpdateProfile changes the draft of the actor's. Errors: ErrNoDraft, Invalid.
func (s *Service) UpdateProfile(ctx context.Context, by account.Actor, in ProfileInput) (Profile, error) {
	var p Profile
	err := s.update(ctx, func(tx work) error {
		all, err := tx.Profiles(ctx, by.UID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p Profile) bool { return p.State == ProfileDrafted })
		if i < 0 {
			return ErrNoDraft
		}
		before := all[i]
		p = before
		p.AuthorUID = ""
		if err := p.set(in, s.now()); err != nil {
			return err
		}
		if err := tx.PutProfile(ctx, &p); err != nil {
			return err
		}
		return s.profileSaved(ctx, tx, by, &before, p)
	})
	if err != nil {
		return Profile{}, fmt.Errorf("update profile: %w", err)
	}
	return p, nil
}

// Profiles lists the actor's, by row id.
func (s *Service) Profiles(ctx context.Context, by account.Actor) ([]Profile, error) {
	all, err := s.rows.Profiles(ctx, by.UID)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	return all, nil
}

// open reports whether p stands in the way of another one.
func (p Profile) open() bool { return p.State == ProfileDrafted || p.State == ProfileSubmitted }

// profileSaved gives the private label profile the state of p, writes the activity, notes a submitted
// profile for an outside provider, and announces p; before is nil for a new one.
func (s *Service) profileSaved(ctx context.Context, tx work, by account.Actor, before *Profile, p Profile) error {
	action := "profile create"
	if before != nil {
		action = "profile update"
	}
	if err := tx.AddActivity(ctx, by.Activity(s.now(), "account", action, audit.Succeed, "")); err != nil {
		return err
	}
	return s.profileFollows(ctx, tx, before, p)
}

// profileFollows is profileSaved without the activity.
func (s *Service) profileFollows(ctx context.Context, tx work, before *Profile, p Profile) error {
	if err := tx.SetPrivate(ctx, p.UserUID, "profile", p.State); err != nil {
		return err
	}
	if s.cfg.Outside && p.State == ProfileSubmitted {
		if err := tx.Emit(ctx, event.KYCSubmitted(p.UserUID, p.ID)); err != nil {
			return err
		}
	}
	return s.announceProfile(ctx, tx, before, p)
}

// announceProfile emits the event of a profile that was saved; before is nil for a new one.
func (s *Service) announceProfile(ctx context.Context, tx work, before *Profile, p Profile) error {
	u, err := tx.User(ctx, p.UserUID)
	if err != nil {
		return err
	}
	e := event.ProfileCreated(p.event(u))
	if before != nil {
		e = event.ProfileUpdated(p.event(u), before.event(u))
	}
	e.Language = s.accounts.Language(u, "", "")
	return tx.Emit(ctx, e)
}

// event is the profile p of u as events show it.
func (p Profile) event(u account.User) event.Profile {
	return event.Profile{
		User: u.Event(), FirstName: p.FirstName, LastName: p.LastName, DOB: p.DOB, Address: p.Address, Postcode: p.Postcode,
		City: p.City, Country: p.Country, Metadata: p.Metadata, CreatedAt: event.Time(p.CreatedAt), UpdatedAt: event.Time(p.UpdatedAt),
	}
}

// longest are the characters of a field, and metadataMax those of metadata.
const longest, metadataMax = 255, 65535

// Shapes of the fields: letters, marks, digits and connectors of every script, white space, and the
// punctuation of each.
var (
	nameShape     = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}\p{Pc}\s\p{Zs}'-]+$`)
	cityShape     = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}\p{Pc}\s\p{Zs}'.~–-]+$`)
	postcodeShape = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}\p{Pc}\s\p{Zs}-]+$`)
	addressShape  = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}\p{Pc}\s\p{Zs}–,.~;/:#"\\&')(-]+$`)
)

// set takes over the fields that are sent, or returns every broken rule in the reference's order.
func (p *Profile) set(in ProfileInput, now time.Time) error {
	var wrong invalid.Fields
	text := func(field string, dst **string, sent *string, shape *regexp.Regexp, least int) {
		if sent == nil {
			return
		}
		value := *sent
		if field != "address" {
			value = strings.Join(strings.Fields(value), " ")
		}
		n := utf8.RuneCountInString(value)
		if !shape.MatchString(value) {
			wrong.Add(field, "invalid")
		} else if n < least {
			wrong.Add(field, "too_short")
		}
		if n > longest {
			wrong.Add(field, "too_long")
		}
		*dst = &value
	}
	text("first_name", &p.FirstName, in.FirstName, nameShape, 1)
	text("last_name", &p.LastName, in.LastName, nameShape, 1)
	text("city", &p.City, in.City, cityShape, 1)
	if in.Country != nil {
		if !isCountry(*in.Country) {
			wrong.Add("country", "must have alpha2 or alpha3 format")
		}
		p.Country = in.Country
	}
	text("postcode", &p.Postcode, in.Postcode, postcodeShape, 2)
	text("address", &p.Address, in.Address, addressShape, 1)
	if in.Metadata != nil {
		wrong.Add("metadata", metadataProblems(*in.Metadata)...)
		p.Metadata = in.Metadata
	}
	if in.DOB != nil {
		if in.DOB.After(now) {
			wrong.Add("dob", "invalid")
		}
		day := in.DOB.Format(time.DateOnly)
		p.DOB = &day
	}
	if in.Submit {
		p.State = ProfileSubmitted
	}
	return wrong.Err()
}

// metadataProblems checks a client's own JSON text.
func metadataProblems(text string) (reasons []string) {
	if utf8.RuneCountInString(text) > metadataMax {
		reasons = append(reasons, "too_long")
	}
	if !json.Valid([]byte(text)) {
		reasons = append(reasons, "invalid_format")
	}
	return reasons
}

// isCountry reports whether code is an alpha-2 or alpha-3 code of ISO 3166-1, in any case; former and
// reserved codes are taken, aliases such as UK are not.
func isCountry(code string) bool {
	upper := strings.ToUpper(code)
	if len(code) != 2 && len(code) != 3 || upper[0] <= '9' {
		return false
	}
	r, err := language.ParseRegion(upper)
	return err == nil && r.IsCountry() && r.Canonicalize() == r && (r.String() == upper || r.ISO3() == upper)
}
