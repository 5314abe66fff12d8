package person

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"barong/internal/account"
	"barong/internal/invalid"
)

// EnterPhone gives a user a number that a peer service has proved; the label phone stays as it is.
// Errors, in order: account.ErrServiceOnly, account.ErrNoUser, ErrNoNumber, ErrPhoneProved when anybody
// has proved it, ErrPhoneHeld when the user has it.
func (s *Service) EnterPhone(ctx context.Context, by account.Actor, uid, text string) (p Phone, err error) {
	if by.Service == "" {
		return Phone{}, account.ErrServiceOnly
	}
	err = s.update(ctx, func(tx work) error {
		if _, err := tx.User(ctx, uid); err != nil {
			return err
		}
		number, err := parsePhone(text)
		if err != nil {
			return err
		}
		if p, err = s.enterPhone(ctx, tx, uid, number); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.PeerActivity(s.now(), "phone create", uid))
	})
	if err != nil {
		return Phone{}, fmt.Errorf("enter phone: %w", err)
	}
	return p, nil
}

// enterPhone writes a proved number of a user. ErrPhoneProved, ErrPhoneHeld.
func (s *Service) enterPhone(ctx context.Context, tx work, uid string, number phoneNumber) (Phone, error) {
	if proved, err := tx.PhoneProved(ctx, number.digits); err != nil {
		return Phone{}, err
	} else if proved {
		return Phone{}, ErrPhoneProved
	}
	p := Phone{UserUID: uid, Country: number.country, Number: number.digits}
	if err := tx.AddPhone(ctx, &p); errors.Is(err, account.ErrTaken) {
		return Phone{}, ErrPhoneHeld
	} else if err != nil {
		return Phone{}, err
	}
	if err := tx.ProvePhone(ctx, uid, number.digits, s.now()); errors.Is(err, account.ErrTaken) {
		return Phone{}, ErrPhoneProved // meanwhile
	} else if err != nil {
		return Phone{}, err
	}
	p.ProvedAt = s.now()
	return p, nil
}

// RemovePhone takes a number of a user away and returns it as it was; the label phone stays as it is.
// Errors, in order: account.ErrServiceOnly, account.ErrNoUser, ErrNoPhone, also for a text that is no
// number.
func (s *Service) RemovePhone(ctx context.Context, by account.Actor, uid, text string) (p Phone, err error) {
	if by.Service == "" {
		return Phone{}, account.ErrServiceOnly
	}
	err = s.update(ctx, func(tx work) error {
		if _, err := tx.User(ctx, uid); err != nil {
			return err
		}
		number, err := parsePhone(text)
		if err != nil {
			return ErrNoPhone
		}
		held, err := tx.Phones(ctx, uid)
		if err != nil {
			return err
		}
		at := indexOf(held, number)
		if at < 0 {
			return ErrNoPhone
		}
		p = held[at]
		if err := tx.DeletePhone(ctx, uid, p.Number); err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.PeerActivity(s.now(), "phone delete", uid))
	})
	if err != nil {
		return Phone{}, fmt.Errorf("remove phone: %w", err)
	}
	return p, nil
}

// PhonesOf lists the phones of a user, by row id; account.ErrNoUser.
func (s *Service) PhonesOf(ctx context.Context, uid string) ([]Phone, error) {
	if _, err := s.rows.User(ctx, uid); err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	all, err := s.rows.Phones(ctx, uid)
	if err != nil {
		return nil, fmt.Errorf("list phones: %w", err)
	}
	return all, nil
}

// PhoneHolder returns the uid of the account that has proved a number, else that of the first of those
// that have it and have not. ErrNoPhone, also for a text that is no number.
func (s *Service) PhoneHolder(ctx context.Context, text string) (uid string, err error) {
	number, err := parsePhone(text)
	if err != nil {
		return "", ErrNoPhone
	}
	if uid, err = s.rows.PhoneHolder(ctx, number.digits); err != nil {
		return "", fmt.Errorf("find the holder of a phone: %w", err)
	}
	return uid, nil
}

// A ProfileEntry is a profile as a peer service states it.
type ProfileEntry struct {
	ProfileInput
	State string // one of the four; "" is drafted
}

// EnterProfile adds a profile of a user, in any state, for a peer service. Errors, in order:
// account.ErrServiceOnly, account.ErrNoUser, Invalid, which also says that the state is unknown or that
// there is an open profile already (state.exists).
func (s *Service) EnterProfile(ctx context.Context, by account.Actor, uid string, in ProfileEntry) (u account.User, err error) {
	if by.Service == "" {
		return account.User{}, account.ErrServiceOnly
	}
	err = s.update(ctx, func(tx work) error {
		if u, err = tx.User(ctx, uid); err != nil {
			return err
		}
		if err := s.enterProfile(ctx, tx, uid, in); err != nil {
			return err
		}
		if err := tx.AddActivity(ctx, by.PeerActivity(s.now(), "profile create", uid)); err != nil {
			return err
		}
		u, err = tx.User(ctx, uid)
		return err
	})
	if err != nil {
		return account.User{}, fmt.Errorf("enter profile: %w", err)
	}
	return u, nil
}

// enterProfile writes a profile of a user with all that follows from it; Invalid.
func (s *Service) enterProfile(ctx context.Context, tx work, uid string, in ProfileEntry) error {
	p := Profile{UserUID: uid}
	wrong, err := problemsOf(p.set(in.ProfileInput, s.now()))
	if err != nil {
		return err
	}
	if p.State = in.State; p.State == "" {
		p.State = ProfileDrafted
	}
	if !slices.Contains([]string{ProfileDrafted, ProfileSubmitted, ProfileVerified, ProfileRejected}, p.State) {
		wrong.Add("state", "inclusion")
	}
	all, err := tx.Profiles(ctx, uid)
	if err != nil {
		return err
	}
	if p.open() && slices.ContainsFunc(all, Profile.open) {
		wrong.Add("state", "exists")
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	if err := tx.AddProfile(ctx, &p); errors.Is(err, ErrProfileOpen) {
		return invalid.Field("state", "exists") // meanwhile
	} else if err != nil {
		return err
	}
	return s.profileFollows(ctx, tx, nil, p)
}

// problemsOf takes Invalid apart, and returns any other error.
func problemsOf(err error) (invalid.Fields, error) {
	if wrong, ok := errors.AsType[invalid.Fields](err); ok {
		return wrong, nil
	}
	return nil, err
}

// An Import is a person whom another service hands over.
type Import struct {
	Email    string
	Digest   string  // of the password, by bcrypt
	Referral *string // uid of the referring user
	Phone    *string
	Profile  ProfileEntry
}

// String keeps the digest out of logs and errors.
func (Import) String() string { return "import of a person" }

// GoString keeps it out of %#v.
func (in Import) GoString() string { return in.String() }

// ErrUserExists says that an account has the address of an import.
var ErrUserExists = errors.New("person: the address has an account")

// ImportPerson makes a user with a profile and a proved phone, all or none, for a peer service. Errors,
// in order: account.ErrServiceOnly, ErrUserExists, Invalid.
func (s *Service) ImportPerson(ctx context.Context, by account.Actor, in Import) (u account.User, err error) {
	if by.Service == "" {
		return account.User{}, account.ErrServiceOnly
	}
	to := account.UserInput{Email: in.Email, Digest: in.Digest, Referral: in.Referral}
	err = s.accounts.CreateUserIn(ctx, to, func(add func(context.Context, account.Writer) (account.User, error)) error {
		return s.update(ctx, func(tx work) error {
			made, err := add(ctx, tx.Writer)
			if err != nil {
				return err
			}
			if err := s.enterBelongings(ctx, tx, made.UID, in); err != nil {
				return err
			}
			if err := tx.AddActivity(ctx, by.PeerActivity(s.now(), "user import", made.UID)); err != nil {
				return err
			}
			u, err = tx.User(ctx, made.UID)
			return err
		})
	})
	if wrong, ok := errors.AsType[invalid.Fields](err); ok && slices.Contains(wrong.Tokens(), "email.taken") {
		return account.User{}, ErrUserExists
	}
	if err != nil {
		return account.User{}, fmt.Errorf("import person: %w", err)
	}
	return u, nil
}

// enterBelongings writes the phone and the profile of an import; Invalid.
func (s *Service) enterBelongings(ctx context.Context, tx work, uid string, in Import) error {
	if in.Phone != nil {
		number, err := parsePhone(*in.Phone)
		if err != nil {
			return invalid.Field("number", invalid.Malformed)
		}
		if _, err := s.enterPhone(ctx, tx, uid, number); errors.Is(err, ErrPhoneProved) {
			return invalid.Field("number", "taken")
		} else if err != nil {
			return err
		}
	}
	return s.enterProfile(ctx, tx, uid, in.Profile)
}

// EnterDocument stores documents of a user for a peer service, however many there are, and opens their
// review unless silent leaves the labels as they are. Errors, in order: account.ErrServiceOnly,
// account.ErrNoUser, Invalid, ErrInfected, ErrScanner, ErrFiles.
func (s *Service) EnterDocument(ctx context.Context, by account.Actor, uid string, in DocumentInput, silent bool) error {
	if by.Service == "" {
		return account.ErrServiceOnly
	}
	if _, err := s.rows.User(ctx, uid); err != nil {
		return fmt.Errorf("enter document: %w", err)
	}
	d := in.document(uid)
	wrong := s.cfg.Documents.wrong(d)
	switch {
	case !s.cfg.Documents.NeedExpiry, d.Type == AddressType:
	case d.Expires == nil:
		wrong = append(invalid.Fields{{Field: "doc_expire", Rule: invalid.Blank}}, wrong...)
	case *d.Expires < s.today():
		wrong = append(invalid.Fields{{Field: "doc_expire", Rule: invalid.Malformed}}, wrong...)
	}
	f := filing{by: by, action: "document create", unbounded: true, silent: silent}
	if err := s.store(ctx, f, d, in.Files, wrong); err != nil {
		return fmt.Errorf("enter document: %w", err)
	}
	return nil
}
