package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"barong/internal/account"
)

type sessionsCmd struct {
	Revoke sessionsRevokeCmd `cmd:"" help:"Sign a user, or everybody, out everywhere. API keys stay."`
}

type sessionsRevokeCmd struct {
	All    bool   `xor:"whose" required:"" help:"Everybody's sessions."`
	User   string `xor:"whose" required:"" placeholder:"UID" help:"The sessions of this user."`
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
	if !c.All && c.User == "" { // --user "" or --all=false
		return usageError{errors.New("whose sessions? give --user UID or --all")}
	}
	return operate(ctx, term, c)
}

func (c sessionsRevokeCmd) operate(ctx context.Context, term *terminal, on opened) error {
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	by := account.Operator("sessions revoke")
	done := revoked{All: c.All, UID: c.User}
	if c.All {
		done.Epoch, err = accounts.RevokeAllSessions(ctx, by)
	} else {
		done.Generation, err = accounts.RevokeSessions(ctx, by, c.User)
	}
	if errors.Is(err, account.ErrNoUser) {
		return fmt.Errorf("no user has the uid %q", c.User)
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
		fmt.Fprintf(term.out, "Every session of %s has ended.\n", c.User)
	}
	return nil
}
