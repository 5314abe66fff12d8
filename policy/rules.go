package policy

import (
	"errors"
	"strings"

	"barong/internal/strictyaml"
)

// RouteRules say which paths are refused and which are allowed before any credential is looked
// at, and what a scope of an API key covers. Entries are canonical patterns (see CanonicalPattern).
// The zero value has none (AZ-70).
type RouteRules struct {
	Pass, Block []string
	// Scopes are the endpoints that API keys with a scope may use, by its name. nil is a file without
	// the mapping, for which the built-in one may stand in.
	Scopes map[string][]Endpoint
}

// management is the API of other services, which no gate lets anybody reach, whatever the rules say.
const management = "api/v2/barong/management"

// ParseRules reads an authz_rules file: a mapping `rules` with the lists `pass` and `block` and
// the mapping `scopes`, each of which may be missing. Templates, unknown keys, empty and impossible paths are
// errors; all of them come at once, each with its line (AZ-70, FX-38, FX-55).
func ParseRules(data []byte) (RouteRules, error) {
	var d strictyaml.Document
	var rules RouteRules
	top := d.Parse(data)
	if top == nil {
		return rules, d.Err()
	}
	for _, f := range d.Fields(top, "the file") {
		if !strings.EqualFold(f.Key, "rules") {
			d.Unknown(f, "the file", []string{"rules"})
			continue
		}
		for _, list := range d.Fields(f.Value, "rules") {
			switch key := strings.ToLower(list.Key); key {
			case "pass":
				rules.Pass = patterns(&d, list, "rules.pass")
			case "block":
				rules.Block = patterns(&d, list, "rules.block")
			case "scopes":
				rules.Scopes = parseScopes(&d, list)
			default:
				d.Unknown(list, "rules", []string{"pass", "block", "scopes"})
			}
		}
	}
	if err := d.Err(); err != nil {
		return RouteRules{}, err
	}
	return rules, nil
}

func patterns(d *strictyaml.Document, f strictyaml.Field, what string) []string {
	var list []string
	for _, item := range d.Items(f.Value, what) {
		if p, ok := pattern(d, item.Line, d.Text(item, what), what); ok {
			list = append(list, p)
		}
	}
	return list
}

// pattern is a path of the file in its canonical form.
func pattern(d *strictyaml.Document, line int, path, what string) (p string, ok bool) {
	p, err := CanonicalPattern(path)
	switch {
	case errors.Is(err, ErrEmptyPattern):
		d.Problem(line, "%s: path is empty; a single * covers everything", what)
	case err != nil:
		d.Problem(line, "%s: %w", what, err)
	}
	return p, err == nil
}
