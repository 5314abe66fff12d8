package policy

import (
	"errors"
	"strings"

	"barong/internal/strictyaml"
)

// RouteRules say which paths are refused and which are allowed before any credential is looked
// at. Entries are canonical patterns (see CanonicalPattern). The zero value has none (AZ-70).
type RouteRules struct {
	Pass, Block []string
}

// ParseRules reads an authz_rules file: a mapping `rules` with the lists `pass` and `block`,
// each of which may be missing. Templates, unknown keys, empty and impossible paths are
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
			default:
				d.Unknown(list, "rules", []string{"pass", "block"})
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
		p, err := CanonicalPattern(d.Text(item, what))
		switch {
		case errors.Is(err, ErrEmptyPattern):
			d.Problem(item.Line, "%s: path is empty; a single * covers everything", what)
		case err != nil:
			d.Problem(item.Line, "%s: %w", what, err)
		default:
			list = append(list, p)
		}
	}
	return list
}
