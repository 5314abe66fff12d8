package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"barong/internal/account"
	passwords "barong/internal/password"
	"barong/internal/store"
)

type usersCmd struct {
	List     usersListCmd     `cmd:"" help:"List users."`
	Show     usersShowCmd     `cmd:"" help:"Show a user, with labels, API keys and newest activities."`
	Lock     usersLockCmd     `cmd:"" help:"Lock or ban a user: sessions end, API keys stop."`
	Unlock   usersUnlockCmd   `cmd:"" help:"Take the state away that staff or lock gave a user."`
	Role     usersRoleCmd     `cmd:"" help:"Give a user a role; sessions end."`
	ResetOTP usersResetOTPCmd `cmd:"" name:"reset-otp" help:"Take a lost second factor away: one-time codes, recovery codes and passkeys."`
	Create   usersCreateCmd   `cmd:"" help:"Create a user; the password is asked for, or read from standard input."`
}

type usersCreateCmd struct {
	Email    string `required:"" help:"E-mail address."`
	Role     string `default:"member" help:"A role that has permissions: member, admin, superadmin and so on."`
	State    string `help:"State: pending, active, banned, locked, disabled or deleted. By default active for a superadmin, and else what the labels of the level give."`
	Username string `help:"User name."`
	Level    int    `default:"0" help:"Level: gives the private labels of all levels up to it."`
	Generate bool   `help:"Make up a password and print it."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`

	Password string `kong:"-"`
}

func (c usersCreateCmd) Run(ctx context.Context, term *terminal) error {
	if c.State != "" && !slices.Contains(account.States(), c.State) {
		return usageError{fmt.Errorf("--state: no state %q; there are %s", c.State, strings.Join(account.States(), ", "))}
	}
	if c.State == "" && c.Role == account.RoleSuperadmin {
		c.State = account.StateActive
	}
	if c.Generate {
		c.Password = passwords.Generate()
	} else {
		password, err := readPassword(term)
		if err != nil {
			return err
		}
		c.Password = password
	}
	return operate(ctx, term, c)
}

func (c usersCreateCmd) operate(ctx context.Context, term *terminal, on opened) error {
	db := on.db
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	seeds := *term
	if c.Format == "json" {
		seeds.out = term.err // standard output is one JSON object
	}
	if err := seedIfEmpty(ctx, on.settings, on.files, db, accounts, &seeds); err != nil {
		return err
	}
	if err := knownRole(ctx, db, c.Role); err != nil {
		return err
	}
	in := account.UserInput{
		Email: c.Email, Password: c.Password, Role: c.Role, State: c.State, Level: c.Level, Operator: true,
	}
	if c.Username != "" {
		in.Username = &c.Username
	}
	u, err := accounts.CreateUser(ctx, in)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	if !c.Generate {
		c.Password = "" // they know it
	}
	return printUser(term, c.Format, u, c.Password)
}

// knownRole is an error, which lists the roles that there are, unless a permission is for the role.
func knownRole(ctx context.Context, db *store.DB, role string) error {
	if known, err := db.RoleExists(ctx, role); err != nil || known {
		return err
	}
	rows, err := db.Permissions(ctx)
	if err != nil {
		return err
	}
	var roles []string
	for _, p := range rows {
		roles = append(roles, p.Role)
	}
	slices.Sort(roles)
	return fmt.Errorf("no role %q; there are %s", role, strings.Join(slices.Compact(roles), ", "))
}

// readPassword asks on a terminal without showing the input, and twice; from anything else it
// reads one line.
func readPassword(t *terminal) (string, error) {
	if f, ok := t.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		ask := func(prompt string) (string, error) {
			fmt.Fprint(t.err, prompt)
			b, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(t.err)
			return string(b), err
		}
		first, err := ask("Password: ")
		if err != nil {
			return "", err
		}
		second, err := ask("Again: ")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", usageError{errors.New("the passwords differ")}
		}
		return first, nil
	}
	line, err := bufio.NewReader(io.LimitReader(t.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usageError{errors.New("no password on standard input; give one, or --generate")}
	}
	return line, nil
}
