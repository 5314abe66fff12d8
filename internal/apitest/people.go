package apitest

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/account"
	"barong/internal/expect"
	"barong/internal/session"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/defaults"
	"barong/policy/seed"
)

// Password is everybody's.
const Password = "Tecohvi0"

// Allow gives a role the permission to do everything.
func (w *World) Allow(roles ...string) {
	w.T.Helper()
	for _, role := range roles {
		expect.OK(w.T, w.DB.AddPermission(w.T.Context(), &policy.Permission{
			Action: policy.Accept, Role: role, Verb: "ALL", Path: "api/v2",
		}))
	}
}

// Levels seeds three levels: by e-mail, phone and document.
func (w *World) Levels() {
	w.T.Helper()
	_, err := w.Accounts.SeedLevels(w.T.Context(), []account.SeedLevel{
		{Key: "email", Value: "verified", Description: "e-mail"},
		{Key: "phone", Value: "verified", Description: "phone"},
		{Key: "document", Value: "verified", Description: "document"},
	})
	expect.OK(w.T, err)
}

// Builtin is a file of defaults.File.
func (w *World) Builtin(name string) []byte {
	w.T.Helper()
	text, ok := defaults.File(name)
	if !ok {
		w.T.Fatalf("no built-in file %s", name)
	}
	return text
}

// Shipped applies the built-in seeds, route rules and abilities, and adds a user of every role
// that they name, whose uid is the role in capitals. It returns the roles.
func (w *World) Shipped() (roles []string) {
	w.T.Helper()
	seeds := expect.Must(seed.Parse(w.Builtin("seeds")))(w.T)
	expect.Must(seed.Apply(w.T.Context(), w.DB, seeds))(w.T)
	w.Admin.Abilities = expect.Must(ability.Parse(w.Builtin("abilities")))(w.T)
	w.Account.StaffRoles = w.Admin.Abilities.Staff()
	roles = w.Admin.Abilities.Roles()
	for _, p := range seeds.Permissions {
		if !slices.Contains(roles, p.Role) {
			roles = append(roles, p.Role)
		}
	}
	for _, role := range roles {
		w.AddUser(account.User{UID: strings.ToUpper(role), Email: role + "@barong.io", Role: role, State: account.StateActive})
	}
	w.Route(expect.Must(policy.ParseRules(w.Builtin("authz_rules")))(w.T))
	w.Restart()
	w.Refresh()
	return roles
}

// AddUser writes a user as it is, past every rule.
func (w *World) AddUser(u account.User) account.User {
	w.T.Helper()
	expect.OK(w.T, w.DB.AddUser(w.T.Context(), &u))
	return u
}

// User is a row as it is now.
func (w *World) User(uid string) account.User {
	w.T.Helper()
	return expect.Must(w.DB.User(w.T.Context(), uid))(w.T)
}

// PutUser writes a user after change, past every rule.
func (w *World) PutUser(uid string, change func(*account.User)) {
	w.T.Helper()
	u := w.User(uid)
	change(&u)
	expect.OK(w.T, w.DB.PutUser(w.T.Context(), &u))
}

// SignUp makes a user by the account service; those of level 1 and above are active.
func (w *World) SignUp(email string, level int) account.User {
	w.T.Helper()
	w.Secret(Password)
	return expect.Must(w.Accounts.CreateUser(w.T.Context(),
		account.UserInput{Email: email, Password: Password, Level: level}))(w.T)
}

// OpenSession gives a user a session of the world's browser and returns its cookie's value.
func (w *World) OpenSession(uid string) (cookie string, s session.Session) {
	w.T.Helper()
	cookie, s, err := w.Sessions.Open(w.T.Context(), session.Opening{
		UID: uid, Generation: w.User(uid).SessionGeneration, IP: w.IP, UserAgent: Agent,
	}, w.Clock())
	expect.OK(w.T, err)
	w.Secret(cookie, s.CSRFToken)
	return cookie, s
}

// SecondFactor switches a user's second factor on. Each call of code gives the next code, half a
// minute later, as each works once.
func (w *World) SecondFactor(uid string) (code func() string) {
	w.T.Helper()
	by := account.Actor{UID: uid, Client: account.Client{IP: netip.MustParseAddr("10.0.0.1"), UserAgent: Agent}}
	setup := expect.Must(w.Accounts.OTPSecret(w.T.Context(), by))(w.T)
	w.Secret(setup.Secret)
	code = func() string {
		w.T.Helper()
		w.Now = w.Now.Add(30 * time.Second)
		return expect.Must(totp.GenerateCode(setup.Secret, w.Now))(w.T)
	}
	expect.Must(w.Accounts.EnableOTP(w.T.Context(), by, code()))(w.T)
	return code
}
