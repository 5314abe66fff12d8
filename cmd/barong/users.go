package main

import (
	"bufio"
	"context"
	"encoding/json"
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
	Create usersCreateCmd `cmd:"" help:"Create a user; the password is asked for, or read from standard input."`
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
	if known, err := db.RoleExists(ctx, c.Role); err != nil || !known {
		if err == nil {
			err = unknownRole(ctx, db, c.Role)
		}
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
	if c.Format == "json" {
		shown := map[string]any{"uid": u.UID, "email": u.Email, "role": u.Role, "state": u.State, "level": u.Level}
		if c.Generate {
			shown["password"] = c.Password
		}
		return json.NewEncoder(term.out).Encode(shown)
	}
	fmt.Fprintf(term.out, "%s %s role %s state %s level %d\n", u.UID, u.Email, u.Role, u.State, u.Level)
	if c.Generate {
		fmt.Fprintf(term.out, "password %s\n", c.Password)
	}
	return nil
}

// unknownRole says that no permission is for a role, and which roles there are.
func unknownRole(ctx context.Context, db *store.DB, role string) error {
	rows, err := db.Permissions(ctx)
	if err != nil {
		return err
	}
	var roles []string
	for _, p := range rows {
		roles = append(roles, p.Role)
	}
	slices.Sort(roles)
	return fmt.Errorf("create user: no role %q; there are %s", role, strings.Join(slices.Compact(roles), ", "))
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
