package account

import "strings"

// A Problem is one field that breaks one rule.
type Problem struct{ Field, Reason string }

// String is the wire token: "email.taken".
func (p Problem) String() string { return p.Field + "." + p.Reason }

// Invalid says which fields of a row break which rules, all at once, in the order in which
// they are shown.
//
//nolint:errname // reads as a sentence where it is made and matched
type Invalid struct{ Problems []Problem }

func (e Invalid) Error() string { return "account: invalid: " + strings.Join(e.Tokens(), ", ") }

// Tokens are the problems as the wire names them.
func (e Invalid) Tokens() []string {
	tokens := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		tokens[i] = p.String()
	}
	return tokens
}

// Add notes that the field breaks rules, by their reasons.
func (e *Invalid) Add(field string, reasons ...string) {
	for _, reason := range reasons {
		e.Problems = append(e.Problems, Problem{field, reason})
	}
}

// Err is e, or nil when nothing is wrong.
func (e Invalid) Err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// invalid makes an error of one problem.
func invalid(field, reason string) error { return Invalid{[]Problem{{field, reason}}} }
