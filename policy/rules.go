package policy

import (
	"errors"
	"strings"
)

// RouteRules say which paths are refused and which are allowed before any credential is looked
// at. Entries are canonical patterns (see CanonicalPattern). The zero value has none (AZ-70).
type RouteRules struct {
	Pass, Block []string
}

// ParseRules reads an authz_rules file: a mapping `rules` with the lists `pass` and `block`,
// each of which may be missing. Templates, unknown keys, empty and impossible paths are
// errors; all of them are told at once, each with its line (AZ-70, FX-38, FX-55).
func ParseRules(data []byte) (RouteRules, error) {
	var d document
	var rules RouteRules
	top := d.parse(data)
	if top == nil {
		return rules, d.err()
	}
	for _, f := range d.fields(top, "the file") {
		if !strings.EqualFold(f.key, "rules") {
			d.unknown(f, "the file", []string{"rules"})
			continue
		}
		for _, list := range d.fields(f.value, "rules") {
			switch key := strings.ToLower(list.key); key {
			case "pass":
				rules.Pass = d.patterns(list, "rules.pass")
			case "block":
				rules.Block = d.patterns(list, "rules.block")
			default:
				d.unknown(list, "rules", []string{"pass", "block"})
			}
		}
	}
	if err := d.err(); err != nil {
		return RouteRules{}, err
	}
	return rules, nil
}

func (d *document) patterns(f field, what string) []string {
	var list []string
	for _, item := range d.items(f.value, what) {
		p, err := CanonicalPattern(d.text(item, what))
		switch {
		case errors.Is(err, ErrEmptyPattern):
			d.problem(item.Line, "%s: path is empty; a single * covers everything", what)
		case err != nil:
			d.problem(item.Line, "%s: %w", what, err)
		default:
			list = append(list, p)
		}
	}
	return list
}
