package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"barong/internal/invalid"
	"barong/internal/secret"
)

// errLevels says that the ladder is shorter than the level asked for.
var errLevels = errors.New("account: no enough levels")

// A UserInput is the input of CreateUser.
type UserInput struct {
	Email    string
	Password string // clear; "" is refused as blank
	// Digest stands for a password that another service has hashed, by bcrypt: no rule for passwords is
	// asked.
	Digest   string
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

	// Stranger marks a sign-up: nothing but an address was typed, anybody's. It reveals nothing of
	// other users to a caller that makes mistakes of its own: whether the address is taken is
	// looked up only when all else is right.
	Stranger bool
}

// String keeps the password out of logs and errors.
func (UserInput) String() string { return "user input" }

// GoString keeps it out of %#v.
func (in UserInput) GoString() string { return in.String() }

// CreateUser makes a user under a new uid. Errors: Invalid with every broken rule (data,
// role, referral_id, email, username, password_digest, password; a blank or too long password first),
// ErrSuperadminOnly, errLevels, the hasher's.
func (s *Service) CreateUser(ctx context.Context, in UserInput) (User, error) {
	run := s.update
	if in.Operator {
		run = s.updateQuietly
	}
	var u User
	err := s.CreateUserIn(ctx, in, func(add func(context.Context, Writer) (User, error)) error {
		return run(ctx, func(tx Writer) (err error) {
			u, err = add(ctx, tx)
			return err
		})
	})
	return u, err
}

// CreateUserIn is CreateUser in a transaction of the caller's: run calls add once in it, again when
// it is called again. add returns the user as written.
func (s *Service) CreateUserIn(
	ctx context.Context, in UserInput, run func(add func(context.Context, Writer) (User, error)) error,
) error {
	if in.Role == "" {
		in.Role = RoleMember
	}
	if in.Role == RoleSuperadmin && !in.Operator {
		return ErrSuperadminOnly
	}
	u := User{
		Email: FoldEmail(in.Email), Username: fold(in.Username), Role: in.Role, Data: in.Data,
		State: StatePending, AdminState: in.State, Unproved: in.Stranger,
	}
	if in.State != "" {
		u.State = in.State
	}
	if err := s.checkInput(ctx, &u, in); err != nil {
		return err
	}
	u.PasswordDigest = in.Digest
	var err error
	if in.Digest == "" {
		if u.PasswordDigest, err = s.hasher.Hash(ctx, in.Password); err != nil {
			return fmt.Errorf("hash password: %w", err)
		}
	}

	add := func(ctx context.Context, tx Writer) (User, error) {
		made := u
		made.UID = secret.UID(s.cfg.UIDPrefix)
		err := tx.insertUser(ctx, &made, in)
		return made, err
	}
	for try := 0; ; try++ {
		if err = run(add); !errors.Is(err, ErrTaken) {
			break
		}
		// A random uid is taken once in a lifetime; else somebody was faster.
		if holder, mailed := s.rows.UserByEmail(ctx, u.Email); mailed == nil && holder.State != StateDeleted {
			return invalid.Field("email", "taken")
		}
		if try > 0 {
			return invalid.Field("username", "taken")
		}
	}
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// insertUser writes u with the labels of its level, and recomputes its level and state from
// them.
func (w Writer) insertUser(ctx context.Context, u *User, in UserInput) error {
	if err := w.AddUser(ctx, u); err != nil {
		return err
	}
	levels, err := w.Levels(ctx)
	if err != nil {
		return err
	}
	if len(levels) < in.Level {
		return fmt.Errorf("%w found in database to grant the user to level %d", errLevels, in.Level)
	}
	for _, l := range levels[:max(in.Level, 0)] {
		label := Label{UserUID: u.UID, Key: l.Key, Value: l.Value, Scope: ScopePrivate}
		if err := w.PutLabel(ctx, &label); err != nil {
			return err
		}
	}
	if u.AdminState != "" {
		labels, err := w.Labels(ctx, u.UID)
		if err != nil {
			return err
		}
		if u.AdminState == w.service.labelState(labels) { // the labels say the same: let them go on
			u.AdminState = ""
			if err := w.PutUser(ctx, u); err != nil {
				return err
			}
		}
	}
	*u, err = w.Recompute(ctx, u.UID)
	return err
}

// checkInput reports every broken rule, in the reference's order, and resolves the
// referral.
func (s *Service) checkInput(ctx context.Context, u *User, in UserInput) error {
	var first, rest invalid.Fields
	if u.Data != nil {
		rest.Add("data", dataProblems(*u.Data)...)
	}
	known, err := s.rows.RoleExists(ctx, u.Role)
	if err != nil {
		return fmt.Errorf("look up role: %w", err)
	}
	if !known {
		rest.Add("role", "doesnt_exist")
	}
	if !slices.Contains(States(), u.State) {
		rest.Add("state", "inclusion")
	}
	if in.Referral != nil {
		referrer, err := s.rows.User(ctx, *in.Referral)
		switch {
		case err == nil:
			u.ReferralID = &referrer.ID
		case errors.Is(err, ErrNoUser):
			rest.Add("referral_id", "doesnt_exist")
		default:
			return fmt.Errorf("look up referral: %w", err)
		}
	}
	var after invalid.Fields
	if u.Username != nil {
		after.Add("username", usernameProblems(*u.Username)...)
	}
	if in.Digest != "" && !secret.IsBcrypt(in.Digest) {
		after.Add("password_digest", "invalid")
	}
	for _, reason := range s.newPassword(in) {
		if reason == "blank" || reason == "too_long" {
			first.Add("password", reason)
		} else {
			after.Add("password", reason)
		}
	}
	wrong := emailProblems(u.Email)
	if wrong == nil && !(in.Stranger && len(first)+len(rest)+len(after) > 0) {
		holder, err := s.rows.UserByEmail(ctx, u.Email)
		if err != nil && !errors.Is(err, ErrNoUser) {
			return fmt.Errorf("look up e-mail: %w", err)
		}
		if err == nil && holder.State != StateDeleted {
			wrong = []string{"taken"}
		}
	}
	rest.Add("email", wrong...)
	return slices.Concat(first, rest, after).Err()
}

// newPassword are the rules for passwords that the one of in breaks.
func (s *Service) newPassword(in UserInput) []string {
	if in.Digest != "" {
		return nil
	}
	return s.cfg.Passwords.Check(in.Password)
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
