package main

import (
	"errors"
	"fmt"
	"os"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/exchange"
	"barong/internal/notify"
	"barong/internal/peer"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/defaults"
	"barong/policy/seed"
)

// files holds the content of the settings' YAML files, or of the built-in ones.
type files struct {
	seeds     seed.File
	rules     policy.RouteRules
	accounts  exchange.Rules
	abilities ability.Set
	mails     notify.Rules
	peers     peer.File
}

// builtInFile is one of the embedded YAML files.
func builtInFile(name string) ([]byte, bool) {
	if name == "mailer" {
		return notify.DefaultRules(), true
	}
	return defaults.File(name)
}

// builtInFiles are their names.
func builtInFiles() []string { return append(defaults.Names(), "mailer") }

// builtInScopes are those of API keys, for a file that knows none: the reference's has no such mapping.
func builtInScopes() map[string][]policy.Endpoint {
	text, _ := builtInFile("authz_rules")
	rules, _ := policy.ParseRules(text) // a test parses it
	return rules.Scopes
}

// policyFiles reads and checks all of them; the error names every problem of every file.
func policyFiles(s config.Settings) (files, error) {
	var f files
	var errs []error
	read := func(key, path, builtIn string, parse func([]byte) error) {
		text, _ := builtInFile(builtIn)
		name := "the built-in " + builtIn
		if path != "" {
			var err error
			if text, err = os.ReadFile(path); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
				return
			}
			name = path
		}
		if err := parse(text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s:\n%w", key, name, err))
		}
	}
	read("BARONG_SEEDS", s.Policy.Seeds, "seeds", func(b []byte) (err error) {
		f.seeds, err = seed.Parse(b)
		return err
	})
	read("BARONG_AUTHZ_RULES", s.Policy.AuthzRules, "authz_rules", func(b []byte) (err error) {
		if f.rules, err = policy.ParseRules(b); err == nil && f.rules.Scopes == nil {
			f.rules.Scopes = builtInScopes()
		}
		return err
	})
	read("BARONG_CONFIG", s.Policy.Config, "barong", func(b []byte) (err error) {
		f.accounts, err = exchange.Parse(b)
		return err
	})
	read("BARONG_ABILITIES", s.Policy.Abilities, "abilities", func(b []byte) (err error) {
		f.abilities, err = ability.Parse(b)
		return err
	})
	read("BARONG_MAILER", s.Mail.Rules, "mailer", func(b []byte) (err error) {
		f.mails, err = notify.ParseRules(b)
		return err
	})
	read("BARONG_MANAGEMENT_API", s.Peers.File, "management_api", func(b []byte) (err error) {
		if f.peers, err = peer.Parse(b); err != nil {
			return err
		}
		return configured.Peers(s).Check(f.peers)
	})
	return f, errors.Join(errs...)
}
