package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"barong/internal/account"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/editor"
)

// restrictionsCmd undoes a lock-out: REST may be the thing that is out of reach.
type restrictionsCmd struct {
	List    restrictionsListCmd    `cmd:"" help:"List restrictions."`
	Disable restrictionsDisableCmd `cmd:"" help:"Switch a restriction off, whatever it shuts out: the way back in after a lock-out."`
}

type restrictionsListCmd struct {
	State  string `enum:"enabled,disabled,all" default:"all" help:"Only those that are ${enum}."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c restrictionsListCmd) Run(ctx context.Context, term *terminal) error {
	return operate(ctx, term, c)
}

func (c restrictionsListCmd) operate(ctx context.Context, term *terminal, on opened) error {
	rows, err := on.db.Restrictions(ctx)
	if err != nil {
		return err
	}
	shown := []view.Restriction{}
	for _, r := range rows {
		if c.State == "all" || strings.EqualFold(r.State, c.State) {
			shown = append(shown, view.RestrictionOf(r))
		}
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(shown)
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tCATEGORY\tSCOPE\tVALUE\tCODE\tCHANGED")
	for _, r := range shown {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.State, r.Category, r.Scope, r.Value, r.Code, time.Time(r.UpdatedAt).Format(time.RFC3339))
	}
	return w.Flush()
}

type restrictionsDisableCmd struct {
	ID     int64  `arg:"" help:"Id of the restriction; see restrictions list."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c restrictionsDisableCmd) Run(ctx context.Context, term *terminal) error {
	return operate(ctx, term, c)
}

func (c restrictionsDisableCmd) operate(ctx context.Context, term *terminal, on opened) error {
	rules, err := on.rules(ctx)
	if err != nil {
		return err
	}
	off := policy.Disabled
	by := account.Operator(term.command)
	_, err = rules.ChangeRestriction(ctx, editor.Edit{By: by, Force: true}, editor.RestrictionChange{ID: &c.ID, State: &off})
	if errors.Is(err, policy.ErrNotFound) {
		return fmt.Errorf("no restriction has the id %d", c.ID)
	}
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(map[string]any{"id": c.ID, "state": off})
	}
	fmt.Fprintf(term.out, "Restriction %d is disabled.\n", c.ID)
	return nil
}

// rules is the editor of the policy.
func (on opened) rules(ctx context.Context) (*editor.Service, error) {
	sv := on.service
	if sv == nil {
		sv = &service{settings: on.settings, log: slog.New(slog.DiscardHandler), db: on.db, truth: on.db}
		if err := sv.openPolicy(ctx, on.files); err != nil {
			return nil, err
		}
	}
	return editor.NewService(on.db, sv.holder, on.settings.Policy.WhitelinkUses, on.db.Time), nil
}
