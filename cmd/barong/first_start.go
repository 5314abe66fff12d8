package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"barong/internal/account"
	"barong/internal/config"
	passwords "barong/internal/password"
	"barong/internal/store"
)

// firstAdmin is the superadmin of the embedded run (design D14).
const firstAdmin = "admin@barong.local"

// seedIfEmpty applies the seeds to a database that nobody has set up, which is one without
// a single permission (docs/adr/0003).
func seedIfEmpty(ctx context.Context, s config.Settings, f files, db *store.DB, accounts *account.Service, term *terminal) error {
	permissions, err := db.Permissions(ctx)
	if err != nil || len(permissions) > 0 {
		return err
	}
	done, err := seedAll(ctx, s, f, db, accounts)
	printSeeded(term, done)
	return err
}

// printSeeded prints the new users of the seeds file, with made-up passwords, and the errors of
// others. It also prints users made before an error ended the run: nobody can print their
// passwords later.
func printSeeded(term *terminal, done seeded) {
	for _, u := range done.users {
		switch {
		case u.Err != nil:
			fmt.Fprintln(term.err, u.Err)
		case u.Skipped:
		case u.Password != "":
			fmt.Fprintf(term.out, "user %s created, password %s\n", u.Email, u.Password)
		default:
			fmt.Fprintf(term.out, "user %s created\n", u.Email)
		}
	}
	for _, k := range done.keys {
		switch {
		case k.Err != nil:
			fmt.Fprintln(term.err, k.Err)
		case k.Skipped:
		case k.Secret != "":
			fmt.Fprintf(term.out, "api key %s of %s created, secret %s\n", k.Kid, k.ServiceAccount, k.Secret)
		default:
			fmt.Fprintf(term.out, "api key %s of %s created\n", k.Kid, k.ServiceAccount)
		}
	}
}

// firstStart seeds an empty database and, in the embedded run, makes the first superadmin.
func (sv *service) firstStart(ctx context.Context, f files) error {
	if err := seedIfEmpty(ctx, sv.settings, f, sv.db, sv.accounts, sv.term); err != nil {
		return err
	}
	n, err := sv.db.CountUsers(ctx, account.RoleSuperadmin, "")
	if err != nil || n > 0 {
		return err
	}
	if !sv.settings.EmbeddedGate() {
		sv.log.Warn("there is no superadmin; make one", "command", "barong users create --role superadmin --email YOU@example.com")
		return nil
	}
	if known, err := sv.db.RoleExists(ctx, account.RoleSuperadmin); err != nil || !known {
		if err == nil {
			err = errors.New("make the first superadmin: the seeds give no role superadmin (BARONG_SEEDS), and neither does the database")
		}
		return err
	}
	password := passwords.Generate()
	u, err := sv.accounts.CreateUser(ctx, account.UserInput{
		Email: firstAdmin, Password: password, Role: account.RoleSuperadmin, State: account.StateActive, Operator: true,
	})
	if err != nil {
		return fmt.Errorf("make the first superadmin: %w", err)
	}
	// At once: nobody could tell it after a failure between here and the greeting.
	fmt.Fprintf(sv.term.out, "superadmin   %s\npassword     %s   (shown this once)\n", firstAdmin, password)
	sv.password = password
	sv.log.Info("first superadmin made", "uid", u.UID, "email", u.Email)
	return nil
}

// greet shows a person at the terminal where everything is, and in the embedded run three
// lines that work.
func (sv *service) greet(at bound) {
	http, grpc, forward, ops := shown(at.http), shown(at.grpc), shown(at.forward), shown(at.ops)
	if sv.settings.EmbeddedGate() {
		password := sv.password
		if password == "" {
			password = "PASSWORD"
		}
		fmt.Fprintf(sv.term.out, `
REST         %[1]s/api/v2
gRPC         %[2]s   (Envoy ext_authz)
forward-auth %[3]s
health       http://%[4]s/readyz

Try:
  curl -s %[1]s/api/v2/public/time
  curl -s -c cookies.txt -d 'email=%[5]s' --data-urlencode 'password=%[6]s' %[1]s/api/v2/identity/sessions
  curl -s -b cookies.txt %[1]s/api/v2/resource/users/me

`, web(http, sv.settings.TLS.HTTPCert), grpc, web(forward, sv.settings.TLS.ForwardCert), ops, firstAdmin, password)
		sv.password = ""
	}
	management := "beside REST"
	if at.management != nil {
		management = shown(at.management)
	}
	sv.log.Info("serving", "http", http, "grpc", grpc, "forward", forward, "ops", ops, "management", management,
		"gate", gateName(sv.settings), "policy", sv.holder.Load().Version())
}

// web is the URL of a listener, by the certificate that it shows, "" for none.
func web(address, certificate string) string {
	if certificate == "" {
		return "http://" + address
	}
	return "https://" + address
}

// shown is a listener's address as it is written in settings.
func shown(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix://" + l.Addr().String()
	}
	return l.Addr().String()
}

func gateName(s config.Settings) string {
	if s.EmbeddedGate() {
		return "embedded"
	}
	return "off"
}
