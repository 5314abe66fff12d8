// Package invalid owns the error of an input whose fields break rules: every problem at once,
// each with the token that the wire has for it. Domain packages collect the problems; the edge
// answers with Tokens.
package invalid

import "strings"

// Rules that many fields can break.
const (
	Blank     = "blank"
	Malformed = "invalid"
	TooLong   = "too_long"
	Unknown   = "doesnt_exist" // names something that does not exist
)

// A Problem is one field that breaks one rule.
type Problem struct {
	Field  string // the column's or parameter's name
	Rule   string
	Detail string // for people, "" for none; never on the wire
}

// Token is the problem as the wire names it: "email.taken".
func (p Problem) Token() string {
	return p.Field + "." + p.Rule
}

// Fields is every problem of one input, in the order in which they are shown. Find it with
// errors.AsType.
//
//nolint:errname // reads as a sentence where it is made and matched
type Fields []Problem

// Field is the error of one problem.
func Field(field, rule string) error { return Fields{{Field: field, Rule: rule}} }

// Error lists the problems for people.
func (f Fields) Error() string {
	texts := make([]string, len(f))
	for i, p := range f {
		texts[i] = p.Field + "." + p.Rule
		if p.Detail != "" {
			texts[i] += " (" + p.Detail + ")"
		}
	}
	return strings.Join(texts, ", ")
}

// Tokens are the problems as the wire names them.
func (f Fields) Tokens() []string {
	tokens := make([]string, len(f))
	for i, p := range f {
		tokens[i] = p.Token()
	}
	return tokens
}

// Has reports whether a field is among the problems.
func (f Fields) Has(field string) bool {
	for _, p := range f {
		if p.Field == field {
			return true
		}
	}
	return false
}

// Breaks reports whether a rule is among those that are broken.
func (f Fields) Breaks(rule string) bool {
	for _, p := range f {
		if p.Rule == rule {
			return true
		}
	}
	return false
}

// Add adds a problem for each of the rules that a field breaks.
func (f *Fields) Add(field string, rules ...string) {
	for _, rule := range rules {
		*f = append(*f, Problem{Field: field, Rule: rule})
	}
}

// Explain adds a problem with words for people.
func (f *Fields) Explain(field, rule, detail string) {
	*f = append(*f, Problem{Field: field, Rule: rule, Detail: detail})
}

// Err is nil when there is no problem.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
