package main

import (
	"context"
	"fmt"
)

type migrateCmd struct{}

func (migrateCmd) Run(ctx context.Context, term *terminal) error {
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
	fmt.Fprintf(term.out, "%d migrations applied\n", n)
	return nil
}

type seedCmd struct{}

func (c seedCmd) Run(ctx context.Context, term *terminal) error { return operate(ctx, term, c) }

func (seedCmd) operate(ctx context.Context, term *terminal, on opened) error {
	accounts, err := on.accounts()
	if err != nil {
		return err
	}
	done, err := seedAll(ctx, on.settings, on.files, on.db, accounts)
	printSeeded(term, done)
	if err != nil {
		return err
	}
	fmt.Fprintln(term.out, done.policy)
	return nil
}
