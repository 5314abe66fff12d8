package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"barong/internal/account"
	"barong/internal/config"
	"barong/internal/store"
)

// firstAdmin is the superadmin of the embedded run (design D14).
const firstAdmin = "admin@barong.local"

// seedIfEmpty applies the seeds to a database that nobody has set up, which is one without
// a single permission (docs/adr/0003).
func seedIfEmpty(ctx context.Context, f files, db *store.DB, accounts *account.Service, term *terminal) error {
	permissions, err := db.Permissions(ctx)
	if err != nil || len(permissions) > 0 {
		return err
	}
	_, users, err := seedAll(ctx, f, db, accounts)
	if err != nil {
		return err
	}
	for _, u := range users {
		printSeeded(term, u)
	}
	return nil
}

// printSeeded tells what became of a user of the seeds file, and a made-up password once.
func printSeeded(term *terminal, u account.Seeded) {
	switch {
	case u.Err != nil:
		fmt.Fprintf(term.err, "Can't create user '%s': %v\n", u.Email, u.Err)
	case u.Skipped:
	case u.Password != "":
		fmt.Fprintf(term.out, "user %s created, password %s\n", u.Email, u.Password)
	default:
		fmt.Fprintf(term.out, "user %s created\n", u.Email)
	}
}

// firstStart seeds an empty database and, in the embedded run, makes the first superadmin.
func (sv *service) firstStart(ctx context.Context, f files) error {
	if err := seedIfEmpty(ctx, f, sv.db, sv.accounts, sv.term); err != nil {
		return err
	}
	if !sv.settings.EmbeddedGate() {
		return nil
	}
	n, err := sv.db.CountUsers(ctx, account.RoleSuperadmin, "")
	if err != nil || n > 0 {
		return err
	}
	password := account.GeneratePassword()
	u, err := sv.accounts.CreateUser(ctx, account.NewUser{
		Email: firstAdmin, Password: password, Role: account.RoleSuperadmin, State: account.StateActive, Operator: true,
	})
	if err != nil {
		return fmt.Errorf("make the first superadmin: %w", err)
	}
	sv.password = password
	sv.log.Info("first superadmin made", "uid", u.UID, "email", u.Email)
	return nil
}

// greet tells a person at the terminal where everything is, and in the embedded run three
// lines that work.
func (sv *service) greet() {
	l := sv.settings.Listen
	sv.log.Info("serving", "http", l.HTTP, "grpc", l.GRPC, "forward", l.Forward, "ops", l.Ops,
		"gate", gateName(sv.settings), "policy", sv.holder.Load().Version())
	if !sv.settings.EmbeddedGate() {
		return
	}
	out := sv.term.out
	base := "http://" + dialable(l.HTTP)
	fmt.Fprintf(out, "\nREST         %s/api/v2\ngRPC         %s   (Envoy ext_authz)\nforward-auth http://%s\nhealth       http://%s/readyz\n",
		base, l.GRPC, dialable(l.Forward), dialable(l.Ops))
	password := sv.password
	if password != "" {
		fmt.Fprintf(out, "\nsuperadmin   %s\npassword     %s   (shown this once)\n", firstAdmin, password)
	} else {
		password = "PASSWORD"
	}
	fmt.Fprintf(out, `
Try:
  curl -s %[1]s/api/v2/public/time
  curl -s -c cookies.txt -d 'email=%[2]s' --data-urlencode 'password=%[3]s' %[1]s/api/v2/identity/sessions
  curl -s -b cookies.txt %[1]s/api/v2/resource/users/me

`, base, firstAdmin, password)
	sv.password = ""
}

func gateName(s config.Settings) string {
	if s.EmbeddedGate() {
		return "embedded"
	}
	return "off"
}

// dialable is an address that a client on this machine can use.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "" && !strings.HasPrefix(host, "0.0.0.0") && host != "::" {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
