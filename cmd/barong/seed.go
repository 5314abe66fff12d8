package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/policy/seed"
)

type migrateCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c migrateCmd) Run(ctx context.Context, term *terminal) error {
	s, f, err := load(term)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, s, f, newLog(s, term))
	if err != nil {
		return err
	}
	defer db.Close()
	n, err := migrate(ctx, s, db)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(map[string]int{"applied": n})
	}
	fmt.Fprintf(term.out, "%d migrations applied\n", n)
	return nil
}

type seedCmd struct {
	DryRun bool   `help:"Say what would be added, and add nothing."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c seedCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

// seedCounts is the outcome of seeding as JSON.
type seedCounts struct {
	seed.Report
	UsersAdded   []string `json:"users_added"`
	APIKeysAdded []string `json:"api_keys_added"`
	DryRun       bool     `json:"dry_run,omitempty"`
}

func (c seedCmd) operate(ctx context.Context, term *terminal, on opened) error {
	if c.DryRun {
		plan, err := c.plan(ctx, on)
		if err != nil {
			return err
		}
		return c.print(term, plan)
	}
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	done, err := seedAll(ctx, on.settings, on.files, on.db, accounts)
	secrets := *term
	if c.Format == "json" {
		secrets.out = term.err // standard output is one JSON object
	}
	printSeeded(&secrets, done)
	if err != nil {
		return err
	}
	counts := seedCounts{Report: done.policy, UsersAdded: []string{}, APIKeysAdded: []string{}}
	for _, u := range done.users {
		if u.Err == nil && !u.Skipped {
			counts.UsersAdded = append(counts.UsersAdded, u.Email)
		}
	}
	for _, k := range done.keys {
		if k.Err == nil && !k.Skipped {
			counts.APIKeysAdded = append(counts.APIKeysAdded, k.Kid)
		}
	}
	return c.print(term, counts)
}

// plan is the outcome that seeding would have.
func (c seedCmd) plan(ctx context.Context, on opened) (plan seedCounts, err error) {
	plan = seedCounts{UsersAdded: []string{}, APIKeysAdded: []string{}, DryRun: true}
	if plan.Report, err = seed.Plan(ctx, on.db, on.files.seeds); err != nil {
		return plan, err
	}
	for _, u := range on.files.seeds.Users {
		switch _, err := on.db.UserByEmail(ctx, account.FoldEmail(u.Email)); {
		case errors.Is(err, account.ErrNoUser):
			plan.UsersAdded = append(plan.UsersAdded, u.Email)
		case err != nil:
			return plan, err
		}
	}
	for _, k := range on.files.seeds.APIKeys {
		switch _, err := on.db.KeyRecord(ctx, k.Kid); {
		case errors.Is(err, apikey.ErrNoKey):
			plan.APIKeysAdded = append(plan.APIKeysAdded, k.Kid)
		case err != nil:
			return plan, err
		}
	}
	return plan, nil
}

func (c seedCmd) print(term *terminal, counts seedCounts) error {
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(counts)
	}
	if c.DryRun {
		for _, email := range counts.UsersAdded {
			fmt.Fprintf(term.out, "user %s would be created\n", email)
		}
		for _, kid := range counts.APIKeysAdded {
			fmt.Fprintf(term.out, "api key %s would be created\n", kid)
		}
		fmt.Fprint(term.out, "dry run, nothing is changed: ")
	}
	_, err := fmt.Fprintln(term.out, counts.Report)
	return err
}
