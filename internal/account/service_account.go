package account

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"barong/internal/invalid"
	"barong/internal/secret"
)

// A ServiceAccount is a program's account: no password, no session, only API keys (AZ-297).
type ServiceAccount struct {
	ID          int64
	UID         string
	OwnerUID    string // "" for none
	Email       string
	Role        string
	Level       int
	State       string
	Version     int64
	LockVersion int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Principal returns a as decisions see it.
func (a ServiceAccount) Principal() Principal {
	return Principal{
		Kind: KindServiceAccount, UID: a.UID, Email: a.Email, Role: a.Role, Level: a.Level,
		State: a.State, OwnerUID: a.OwnerUID, Version: a.Version,
	}
}

// serviceAccountReader is the part of Reader about service accounts.
type serviceAccountReader interface {
	// ServiceAccount loads by uid; ErrNoServiceAccount.
	ServiceAccount(ctx context.Context, uid string) (ServiceAccount, error)
	// ServiceAccountsOf lists those that a user owns, by row id.
	ServiceAccountsOf(ctx context.Context, ownerUID string) ([]ServiceAccount, error)
	// ServiceAccountByEmail loads by the folded address; ErrNoServiceAccount.
	ServiceAccountByEmail(ctx context.Context, email string) (ServiceAccount, error)
	// ServiceAccountPage returns a page, and how many there are in all.
	ServiceAccountPage(ctx context.Context, q ServiceAccountQuery) ([]ServiceAccount, int, error)
}

// serviceAccountWriter is the part of Tx about service accounts; writes leave feed rows as those of
// users do.
type serviceAccountWriter interface {
	// AddServiceAccount inserts a and fills ID, counters and times; ErrTaken also when a
	// user has the uid or e-mail (AZ-295); ErrNoUser when there is no such owner.
	AddServiceAccount(ctx context.Context, a *ServiceAccount) error
	// PutServiceAccount writes role, level, state, e-mail and owner; ErrNoServiceAccount, ErrTaken.
	PutServiceAccount(ctx context.Context, a *ServiceAccount) error
}

// ServiceAccountsOf returns a user and the service accounts that it owns, by row id; ErrNoUser.
func (s *Service) ServiceAccountsOf(ctx context.Context, ownerUID string) (owner User, list []ServiceAccount, err error) {
	if owner, err = s.rows.User(ctx, ownerUID); err != nil {
		return owner, nil, fmt.Errorf("list service accounts of %s: %w", ownerUID, err)
	}
	list, err = s.rows.ServiceAccountsOf(ctx, ownerUID)
	if err != nil {
		return owner, nil, fmt.Errorf("list service accounts of %s: %w", ownerUID, err)
	}
	return owner, list, nil
}

// ServiceAccounts lists those that the actor owns, by row id.
func (s *Service) ServiceAccounts(ctx context.Context, by Actor) ([]ServiceAccount, error) {
	list, err := s.rows.ServiceAccountsOf(ctx, by.UID)
	if err != nil {
		return nil, fmt.Errorf("list service accounts: %w", err)
	}
	return list, nil
}

// An OwnedServiceAccount is a service account with its owner, nil for none.
type OwnedServiceAccount struct {
	ServiceAccount
	Owner *User
}

// A ServiceAccountQuery selects a page of service accounts, by row id.
type ServiceAccountQuery struct {
	OwnerUID      string // "" is anybody's
	Limit, Offset int
}

// A ServiceAccountInput is the input of EnterServiceAccount.
type ServiceAccountInput struct {
	Role     string
	OwnerUID *string
	UID      string // "" makes one
	Email    string // "" makes one of the owner's
	State    string // "" is pending; an owner's state comes before it
	Level    *int   // nil is the owner's, or 0
	// Staff says that the service may give roles above member.
	Staff bool
}

// AboveMember reports whether a role is not of the lowest rank: its holders may do things that other
// people may not.
func (s *Service) AboveMember(role string) bool { return s.rank(role) > rankMember }

// peerMayGive returns the refusal that a peer service gets for a service account of the role: ErrRank
// for one above member without staff, ErrFourEyes for one that needs a second member of the staff.
func (s *Service) peerMayGive(role string, staff bool) error {
	switch {
	case !staff && s.AboveMember(role):
		return ErrRank
	case s.grantAction(role) != "":
		return ErrFourEyes
	}
	return nil
}

// serviceUIDShape is the form of a uid that a peer service chooses.
var serviceUIDShape = regexp.MustCompile(`^[A-Za-z0-9_-]{3,64}$`)

// servicePrefix begins the uids of service accounts that are made here (AZ-295).
const servicePrefix = "SI"

// EnterServiceAccount makes a service account for a peer service. Errors, in order: ErrServiceOnly,
// ErrNoUser for the owner, Invalid, ErrRank for a role above member without ServiceAccountInput.Staff, ErrFourEyes
// for one that needs a second member of the staff.
func (s *Service) EnterServiceAccount(ctx context.Context, by Actor, in ServiceAccountInput) (made OwnedServiceAccount, err error) {
	if by.Service == "" {
		return made, ErrServiceOnly
	}
	err = s.update(ctx, func(tx Writer) error {
		made = OwnedServiceAccount{ServiceAccount: ServiceAccount{
			UID: in.UID, Email: FoldEmail(in.Email), Role: in.Role, State: in.State,
		}}
		if err := tx.own(ctx, &made, in.OwnerUID); err != nil {
			return err
		}
		if made.UID == "" {
			made.UID = secret.UID(servicePrefix)
		}
		if made.Owner != nil && made.Email == "" {
			local, domain, _ := strings.Cut(made.Owner.Email, "@")
			made.Email = FoldEmail(local + "+" + made.UID + "@" + domain)
		}
		if made.State == "" {
			made.State = StatePending
		}
		if in.Level != nil {
			made.Level = *in.Level
		}
		if err := tx.checkServiceAccount(ctx, made.ServiceAccount); err != nil {
			return err
		}
		if err := s.peerMayGive(made.Role, in.Staff); err != nil {
			return err
		}
		if err := tx.AddServiceAccount(ctx, &made.ServiceAccount); errors.Is(err, ErrTaken) {
			return invalid.Field("uid", "taken") // meanwhile
		} else if err != nil {
			return err
		}
		return tx.AddActivity(ctx, by.PeerActivity(s.now(), "service account create", made.OwnerUID,
			"uid", made.UID, "role", made.Role))
	})
	if err != nil {
		return OwnedServiceAccount{}, fmt.Errorf("enter service account: %w", err)
	}
	return made, nil
}

// own makes the user of a uid the owner of a, which takes the owner's state and level over; nil leaves
// it without one. ErrNoUser.
func (w Writer) own(ctx context.Context, a *OwnedServiceAccount, uid *string) error {
	if uid == nil {
		return nil
	}
	owner, err := w.User(ctx, *uid)
	if err != nil {
		return err
	}
	a.Owner, a.OwnerUID, a.State, a.Level = &owner, owner.UID, owner.State, owner.Level
	return nil
}

// checkServiceAccount returns Invalid with every rule that a new service account breaks.
func (w Writer) checkServiceAccount(ctx context.Context, a ServiceAccount) error {
	var wrong invalid.Fields
	known, err := w.RoleExists(ctx, a.Role)
	if err != nil {
		return err
	}
	if !known {
		wrong.Add("role", invalid.Unknown)
	}
	if !slices.Contains(States(), a.State) {
		wrong.Add("state", "inclusion")
	}
	if !serviceUIDShape.MatchString(a.UID) {
		wrong.Add("uid", invalid.Malformed)
	}
	if a.Email == "" {
		wrong.Add("email", invalid.Blank)
	} else {
		wrong.Add("email", emailProblems(a.Email)...)
	}
	if len(wrong) > 0 {
		return wrong.Err()
	}
	_, byUID := w.User(ctx, a.UID) // that of a deleted user stays taken
	holder, byEmail := w.UserByEmail(ctx, a.Email)
	if byEmail == nil && holder.State == StateDeleted {
		byEmail = ErrNoUser
	}
	_, ofEmail := w.ServiceAccountByEmail(ctx, a.Email)
	_, ofUID := w.ServiceAccount(ctx, a.UID)
	for _, err := range []error{byUID, byEmail, ofEmail, ofUID} {
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if byUID == nil || byEmail == nil {
		wrong.Add("email_or_uid", "not_uniq")
	}
	if ofEmail == nil {
		wrong.Add("email", "taken")
	}
	if ofUID == nil {
		wrong.Add("uid", "taken")
	}
	return wrong.Err()
}

// AssignServiceAccount gives a service account another owner, nil for the one that it has, for a peer
// service. It takes the owner's state and level over, but for one that is disabled. An owner makes API keys
// that act by the account's role, so that one above member needs staff, as when it is made. Errors, in
// order: ErrServiceOnly, ErrNoServiceAccount, ErrRank, ErrFourEyes, ErrNoUser for the owner.
func (s *Service) AssignServiceAccount(
	ctx context.Context, by Actor, uid string, ownerUID *string, staff bool,
) (OwnedServiceAccount, error) {
	return s.changeServiceAccount(ctx, by, uid, "update", func(tx Writer, a *OwnedServiceAccount) error {
		if err := s.peerMayGive(a.Role, staff); err != nil {
			return err
		}
		owner := ownerUID
		if owner == nil && a.OwnerUID != "" {
			owner = new(a.OwnerUID)
		}
		disabled := a.State == StateDisabled
		if err := tx.own(ctx, a, owner); err != nil {
			return err
		}
		if disabled {
			a.State = StateDisabled
		}
		return nil
	})
}

// StopServiceAccount disables a service account, and its API keys, for a peer service. Errors, in
// order: ErrServiceOnly, ErrNoServiceAccount.
func (s *Service) StopServiceAccount(ctx context.Context, by Actor, uid string) (OwnedServiceAccount, error) {
	return s.changeServiceAccount(ctx, by, uid, "delete", func(_ Writer, a *OwnedServiceAccount) error {
		a.State = StateDisabled
		return nil
	})
}

// changeServiceAccount writes a changed service account with its activity; keys of one that is
// disabled stop.
func (s *Service) changeServiceAccount(
	ctx context.Context, by Actor, uid, action string, change func(Writer, *OwnedServiceAccount) error,
) (a OwnedServiceAccount, err error) {
	if by.Service == "" {
		return a, ErrServiceOnly
	}
	err = s.update(ctx, func(tx Writer) error {
		a = OwnedServiceAccount{}
		if a.ServiceAccount, err = tx.ServiceAccount(ctx, uid); err != nil {
			return err
		}
		before := a.ServiceAccount
		if err := change(tx, &a); err != nil {
			return err
		}
		if a.ServiceAccount != before {
			if err := tx.PutServiceAccount(ctx, &a.ServiceAccount); err != nil {
				return err
			}
		}
		if a.State == StateDisabled {
			if _, err := tx.DeactivateAPIKeys(ctx, uid); err != nil {
				return err
			}
		}
		if a.OwnerUID != "" && a.Owner == nil {
			owner, err := tx.User(ctx, a.OwnerUID)
			if err != nil {
				return err
			}
			a.Owner = &owner
		}
		return tx.AddActivity(ctx, by.PeerActivity(s.now(), "service account "+action, a.OwnerUID, "uid", uid))
	})
	if err != nil {
		return OwnedServiceAccount{}, fmt.Errorf("%s service account: %w", action, err)
	}
	return a, nil
}

// FindServiceAccount loads a service account by its uid or, if that is "", by its address;
// ErrNoServiceAccount.
func (s *Service) FindServiceAccount(ctx context.Context, uid, email string) (OwnedServiceAccount, error) {
	load := func() (ServiceAccount, error) { return s.rows.ServiceAccount(ctx, uid) }
	if uid == "" {
		load = func() (ServiceAccount, error) { return s.rows.ServiceAccountByEmail(ctx, email) }
	}
	a, err := load()
	if err == nil {
		var all []OwnedServiceAccount
		if all, err = s.withOwners(ctx, []ServiceAccount{a}); err == nil {
			return all[0], nil
		}
	}
	return OwnedServiceAccount{}, fmt.Errorf("find service account: %w", err)
}

// ListServiceAccounts returns a page of service accounts with their owners, and how many there are in
// all. An owner is named by its uid or its address, "" for none of both; of an unknown one there are
// none.
func (s *Service) ListServiceAccounts(
	ctx context.Context, ownerUID, ownerEmail string, limit, offset int,
) (page []OwnedServiceAccount, total int, err error) {
	q := ServiceAccountQuery{OwnerUID: ownerUID, Limit: limit, Offset: offset}
	if ownerUID == "" && ownerEmail != "" {
		owner, err := s.rows.UserByEmail(ctx, ownerEmail)
		if errors.Is(err, ErrNoUser) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("list service accounts: %w", err)
		}
		q.OwnerUID = owner.UID
	}
	list, total, err := s.rows.ServiceAccountPage(ctx, q)
	if err == nil {
		page, err = s.withOwners(ctx, list)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list service accounts: %w", err)
	}
	return page, total, nil
}

func (s *Service) withOwners(ctx context.Context, list []ServiceAccount) ([]OwnedServiceAccount, error) {
	var uids []string
	for _, a := range list {
		if a.OwnerUID != "" {
			uids = append(uids, a.OwnerUID)
		}
	}
	owners, err := s.rows.UsersByUID(ctx, uids)
	if err != nil {
		return nil, err
	}
	all := make([]OwnedServiceAccount, len(list))
	for i, a := range list {
		all[i].ServiceAccount = a
		if owner, ok := owners[a.OwnerUID]; ok {
			all[i].Owner = &owner
		}
	}
	return all, nil
}
