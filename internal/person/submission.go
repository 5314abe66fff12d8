package person

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"barong/internal/account"
)

// SubmitProfile makes the person of a submitted profile known to the provider. The profile is verified
// then and has the provider's id, or is rejected when the provider refuses it (ErrKYCRefused); its
// label follows. Any other error changes nothing and is worth another try.
//
// It may be repeated: a profile that is not submitted any more, or whose account is deleted, stays as
// it is, and the provider learns nothing of it.
func (s *Service) SubmitProfile(ctx context.Context, provider KYCService, key, uid string, profileID int64) error {
	u, err := s.rows.User(ctx, uid)
	if errors.Is(err, account.ErrNoUser) || err == nil && u.State == account.StateDeleted {
		return nil
	}
	if err != nil {
		return fmt.Errorf("submit profile: %w", err)
	}
	all, err := s.rows.Profiles(ctx, uid)
	if err != nil {
		return fmt.Errorf("submit profile: %w", err)
	}
	p, ok := submitted(all, profileID)
	if !ok {
		return nil
	}
	phones, err := s.rows.Phones(ctx, uid)
	if err != nil {
		return fmt.Errorf("submit profile: %w", err)
	}
	applicant, refusal := provider.CreateApplicant(ctx, key, p.kycPerson(u, phones))
	if refusal != nil && !errors.Is(refusal, ErrKYCRefused) {
		return fmt.Errorf("submit profile: %w", refusal)
	}
	err = s.update(ctx, func(tx work) error {
		all, err := tx.Profiles(ctx, uid)
		if err != nil {
			return err
		}
		before, ok := submitted(all, profileID)
		if !ok {
			return nil // staff were faster
		}
		p := before
		if p.State = ProfileRejected; refusal == nil {
			p.State, p.ApplicantID = ProfileVerified, &applicant
		}
		if err := tx.PutProfile(ctx, &p); err != nil {
			return err
		}
		if err := tx.SetPrivate(ctx, uid, "profile", p.State); err != nil {
			return err
		}
		return s.announceProfile(ctx, tx, &before, p)
	})
	if err == nil {
		err = refusal // only once its outcome is written
	}
	if err != nil {
		return fmt.Errorf("submit profile: %w", err)
	}
	return nil
}

// submitted finds the profile of an id, if it waits for its review.
func submitted(all []Profile, id int64) (Profile, bool) {
	i := slices.IndexFunc(all, func(p Profile) bool { return p.ID == id && p.State == ProfileSubmitted })
	if i < 0 {
		return Profile{}, false
	}
	return all[i], true
}

func (p Profile) kycPerson(u account.User, phones []Phone) KYCPerson {
	a := KYCPerson{
		FirstName: text(p.FirstName), LastName: text(p.LastName), DOB: text(p.DOB), Country: alpha2(text(p.Country)), Email: u.Email,
	}
	for _, phone := range phones {
		if !phone.ProvedAt.IsZero() {
			a.Phone = "+" + phone.Number
		}
	}
	return a
}

// text is s, "" for none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// alpha2 is the code of two letters of a country whose code isCountry has passed; "" for none.
func alpha2(code string) string {
	r, err := language.ParseRegion(strings.ToUpper(code))
	if err != nil {
		return ""
	}
	return r.String()
}
