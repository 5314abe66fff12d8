package main

import (
	"fmt"
	"strings"

	"barong/internal/config"
)

type configCmd struct {
	Check    configCheckCmd    `cmd:"" help:"Say everything that is wrong with the settings of this environment."`
	Docs     configDocsCmd     `cmd:"" help:"Print the reference of all settings, in Markdown."`
	Limits   configLimitsCmd   `cmd:"" help:"Print what every endpoint costs and how much of it callers may cause, in Markdown."`
	Defaults configDefaultsCmd `cmd:"" help:"Print a settings file with every default, or one of the built-in YAML files."`
}

type configCheckCmd struct{}

func (configCheckCmd) Run(term *terminal) error {
	p, err := prepare(term)
	for _, text := range p.odd {
		fmt.Fprintln(term.err, "warning:", text)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(term.out, "The configuration is good.")
	return nil
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
