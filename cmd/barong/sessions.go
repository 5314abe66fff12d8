package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"barong/internal/account"
)

type sessionsCmd struct {
	Revoke sessionsRevokeCmd `cmd:"" help:"Sign a user, or everybody, out everywhere. API keys stay."`
}

type sessionsRevokeCmd struct {
	All    bool   `xor:"whose" required:"" help:"Everybody's sessions."`
	UID    string `name:"uid" aliases:"user" xor:"whose" required:"" placeholder:"UID" help:"The sessions of the user with this uid."`
	Email  string `name:"email" xor:"whose" required:"" placeholder:"ADDRESS" help:"The sessions of the user with this e-mail address."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// revoked names the ended sessions: a user's of older generations, or everybody's of older
// epochs.
type revoked struct {
	All        bool   `json:"all"`
	UID        string `json:"uid,omitempty"`
	Generation int64  `json:"generation,omitempty"`
	Epoch      int64  `json:"epoch,omitempty"`
}

func (c sessionsRevokeCmd) Run(ctx context.Context, term *terminal) error {
	if !c.All && c.UID == "" && c.Email == "" { // --uid "" or --all=false
		return usageError{errors.New("whose sessions? give --uid, --email or --all")}
	}
	return operate(ctx, term, c)
}

func (c sessionsRevokeCmd) operate(ctx context.Context, term *terminal, on opened) error {
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	by := account.Operator("sessions revoke")
	done := revoked{All: c.All}
	if c.All {
		done.Epoch, err = accounts.RevokeAllSessions(ctx, by)
	} else {
		var u account.User
		if u, err = (whom{c.UID, c.Email}).find(ctx, on.db); err != nil {
			return err
		}
		done.UID = u.UID
		done.Generation, err = accounts.RevokeSessions(ctx, by, u.UID)
	}
	if asked, waits := errors.AsType[account.Asked](err); waits {
		return fmt.Errorf("not done: request %d waits until %s for a superadmin, who confirms it by POST /admin/requests/%[1]d/confirm (four_eyes has revoke_all)",
			asked.ID, asked.ExpiresAt.Format(time.RFC3339))
	}
	if err != nil {
		return err
	}
	switch {
	case c.Format == "json":
		return json.NewEncoder(term.out).Encode(done)
	case c.All:
		fmt.Fprintln(term.out, "Every session has ended.")
	default:
		fmt.Fprintf(term.out, "Every session of %s has ended.\n", done.UID)
	}
	return nil
}
