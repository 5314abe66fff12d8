package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"barong/internal/secret"
)

// ErrSuperadmin says that only the command line and the seeds make superadmins (D14).
var ErrSuperadmin = errors.New("account: superadmins are not made this way")

// ErrLevels says that the ladder is shorter than the level asked for.
var ErrLevels = errors.New("account: no enough levels")

// A NewUser is the input of CreateUser.
type NewUser struct {
	Email    string
	Password string // clear; "" is refused as blank
	Username *string
	Data     *string // JSON object
	Referral *string // uid of the referring user
	Role     string  // "" is member
	// State, when not "", is given by an operator: it stands even where the labels would
	// give another (W-I17).
	State string
	// Level gives the private labels of the rungs up to it, from which level and state
	// follow.
	Level int
	// Operator marks the command line and the seeds, which alone may make superadmins, and of
	// whose users no mails are made.
	Operator bool

	// stranger marks a sign-up: nothing but an address was typed, anybody's.
	stranger bool
	// discreet reveals nothing of other users to a caller that makes mistakes of its own:
	// whether the address is taken is looked up only when all else is right.
	discreet bool
}

// String keeps the password out of logs and errors.
func (NewUser) String() string { return "new user" }

// GoString keeps it out of %#v.
func (n NewUser) GoString() string { return n.String() }

// CreateUser makes a user under a new uid. Errors: Invalid with every broken rule (data,
// role, referral_id, email, username, password; a blank or too long password first),
// ErrSuperadmin, ErrLevels, the hasher's.
func (s *Service) CreateUser(ctx context.Context, in NewUser) (User, error) {
	return s.createUser(ctx, in, func(Tx, *User) error { return nil })
}

// createUser is CreateUser; then belongs to the same transaction and may change the user,
// which it gets as written.
func (s *Service) createUser(
	ctx context.Context, in NewUser, then func(tx Tx, u *User) error,
) (User, error) {
	if in.Role == "" {
		in.Role = RoleMember
	}
	if in.Role == RoleSuperadmin && !in.Operator {
		return User{}, ErrSuperadmin
	}
	u := User{
		Email: FoldEmail(in.Email), Username: fold(in.Username), Role: in.Role, Data: in.Data,
		State: StatePending, AdminState: in.State, Unproved: in.stranger,
	}
	if in.State != "" {
		u.State = in.State
	}
	if err := s.checkNewUser(ctx, &u, in); err != nil {
		return User{}, err
	}
	digest, err := s.hasher.Hash(ctx, in.Password)
	if err != nil {
		return User{}, fmt.Errorf("hash password: %w", err)
	}
	u.PasswordDigest = digest

	made, update := u, s.update
	if in.Operator {
		update = s.updateQuietly
	}
	for try := 0; ; try++ {
		err = update(ctx, func(tx Tx) error {
			made = u
			made.UID = secret.UID(s.cfg.UIDPrefix)
			if err := s.insertUser(ctx, tx, &made, in); err != nil {
				return err
			}
			return then(tx, &made)
		})
		if !errors.Is(err, ErrTaken) {
			break
		}
		// A random uid is taken once in a lifetime; else somebody was faster.
		if _, mailed := s.store.UserByEmail(ctx, u.Email); mailed == nil {
			return User{}, invalid("email", "taken")
		}
		if try > 0 {
			return User{}, invalid("username", "taken")
		}
	}
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return made, nil
}

// insertUser writes u with the labels of its level, and recomputes its level and state from
// them.
func (s *Service) insertUser(ctx context.Context, tx Tx, u *User, in NewUser) error {
	if err := tx.AddUser(ctx, u); err != nil {
		return err
	}
	levels, err := tx.Levels(ctx)
	if err != nil {
		return err
	}
	if len(levels) < in.Level {
		return fmt.Errorf("%w found in database to grant the user to level %d", ErrLevels, in.Level)
	}
	for _, l := range levels[:max(in.Level, 0)] {
		label := Label{UserUID: u.UID, Key: l.Key, Value: l.Value, Scope: ScopePrivate}
		if err := tx.PutLabel(ctx, &label); err != nil {
			return err
		}
	}
	if u.AdminState != "" {
		labels, err := tx.Labels(ctx, u.UID)
		if err != nil {
			return err
		}
		if u.AdminState == s.labelState(labels) { // the labels say the same: let them go on
			u.AdminState = ""
			if err := tx.PutUser(ctx, u); err != nil {
				return err
			}
		}
	}
	*u, err = s.recompute(ctx, tx, u.UID)
	return err
}

// checkNewUser reports every broken rule, in the order of identity §6.1, and resolves the
// referral.
func (s *Service) checkNewUser(ctx context.Context, u *User, in NewUser) error {
	var first, rest problems
	if u.Data != nil {
		rest.add("data", dataProblems(*u.Data)...)
	}
	known, err := s.store.RoleExists(ctx, u.Role)
	if err != nil {
		return fmt.Errorf("look up role: %w", err)
	}
	if !known {
		rest.add("role", "doesnt_exist")
	}
	if !slices.Contains(States(), u.State) {
		rest.add("state", "inclusion")
	}
	if in.Referral != nil {
		referrer, err := s.store.User(ctx, *in.Referral)
		switch {
		case err == nil:
			u.ReferralID = &referrer.ID
		case errors.Is(err, ErrNotFound):
			rest.add("referral_id", "doesnt_exist")
		default:
			return fmt.Errorf("look up referral: %w", err)
		}
	}
	var after problems
	if u.Username != nil {
		after.add("username", usernameProblems(*u.Username)...)
	}
	for _, reason := range s.cfg.Passwords.Check(in.Password) {
		if reason == "blank" || reason == "too_long" {
			first.add("password", reason)
		} else {
			after.add("password", reason)
		}
	}
	wrong := emailProblems(u.Email)
	if wrong == nil && !(in.discreet && len(first)+len(rest)+len(after) > 0) {
		switch _, err := s.store.UserByEmail(ctx, u.Email); {
		case err == nil:
			wrong = []string{"taken"}
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("look up e-mail: %w", err)
		}
	}
	rest.add("email", wrong...)
	return slices.Concat(first, rest, after).err()
}

func fold(text *string) *string {
	if text == nil {
		return nil
	}
	lower := strings.ToLower(*text)
	return &lower
}

// usernameProblems checks a lower-cased one: 4 to 12 letters and digits.
func usernameProblems(name string) (reasons []string) {
	if n := utf8.RuneCountInString(name); n < 4 {
		reasons = append(reasons, "too_short")
	} else if n > 12 {
		reasons = append(reasons, "too_long")
	}
	foreign := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }
	if name == "" || strings.ContainsFunc(name, foreign) {
		reasons = append(reasons, "invalid")
	}
	return reasons
}

// dataProblems checks a user's own data: a JSON object of at most 1024 characters (W-I23).
func dataProblems(data string) (reasons []string) {
	if utf8.RuneCountInString(data) > 1024 {
		reasons = append(reasons, "too_long")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(data), &object) != nil || object == nil {
		reasons = append(reasons, "invalid_format")
	}
	return reasons
}
