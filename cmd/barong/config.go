package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"barong/internal/config"
	"barong/internal/store"
)

type configCmd struct {
	Check    configCheckCmd    `cmd:"" help:"Say everything that is wrong with the settings of this environment."`
	Docs     configDocsCmd     `cmd:"" help:"Print the reference of all settings, in Markdown."`
	Commands configCommandsCmd `cmd:"" help:"Print the reference of all commands, in Markdown."`
	Limits   configLimitsCmd   `cmd:"" help:"Print what every endpoint costs and how much of it callers may cause, in Markdown."`
	Defaults configDefaultsCmd `cmd:"" help:"Print a settings file with every default, or one of the built-in YAML files."`
}

type configCheckCmd struct {
	Connect bool   `help:"Connect to the database and Redis, too. Nothing is made or changed."`
	Format  string `enum:"text,json" default:"text" help:"text or json."`
}

func (c configCheckCmd) Run(ctx context.Context, term *terminal) error {
	p, err := prepare(term)
	if err == nil && c.Connect {
		err = connect(ctx, p, newLog(p.settings, term))
	}
	if c.Format == "json" {
		return errors.Join(err, c.print(term, p.odd, err))
	}
	for _, text := range p.odd {
		fmt.Fprintln(term.err, "warning:", text)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(term.out, "The configuration is good.")
	return nil
}

func (configCheckCmd) print(term *terminal, warnings []string, wrong error) error {
	shown := struct {
		Good     bool     `json:"good"`
		Warnings []string `json:"warnings"`
		Problems []string `json:"problems"`
	}{wrong == nil, append([]string{}, warnings...), []string{}}
	var problems config.Problems
	if errors.As(wrong, &problems) {
		for _, p := range problems {
			shown.Problems = append(shown.Problems, p.Text)
		}
	} else if wrong != nil {
		shown.Problems = append(shown.Problems, wrong.Error())
	}
	return json.NewEncoder(term.out).Encode(shown)
}

// connect opens the stores of the settings and closes them. An SQLite file that is not there is left so;
// one that a service has open is good.
func connect(ctx context.Context, p prepared, log *slog.Logger) error {
	s := p.settings
	if s.SQLite() {
		if _, err := os.Stat(s.DatabasePath()); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	db, err := openDatabase(ctx, s, p.files, log)
	if errors.Is(err, store.ErrInUse) {
		return nil
	}
	if err != nil {
		return err
	}
	defer db.Close()
	stores, err := openShared(ctx, s, db, log)
	if err != nil {
		return err
	}
	defer stores.close()
	if stores.redis == nil {
		return nil
	}
	return named("BARONG_REDIS_URL and the settings beside it", stores.redis.Ping(ctx))
}

type configDocsCmd struct{}

func (configDocsCmd) Run(term *terminal) error {
	_, err := fmt.Fprint(term.out, config.Markdown())
	return err
}

type configDefaultsCmd struct {
	Name string `arg:"" optional:"" help:"settings (default), or a built-in file: seeds, authz_rules, config, abilities, management_api, mailer."`
}

func (c configDefaultsCmd) Run(term *terminal) error {
	if c.Name == "" || c.Name == "settings" {
		_, err := fmt.Fprint(term.out, config.YAML())
		return err
	}
	name := c.Name
	if name == "config" { // as its variable is called
		name = "barong"
	}
	text, ok := builtInFile(name)
	if !ok {
		return usageError{fmt.Errorf("config defaults: no built-in file %q; there are settings, %s",
			c.Name, strings.Join(builtInFiles(), ", "))}
	}
	_, err := term.out.Write(text)
	return err
}
