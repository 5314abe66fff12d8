package policy

import "strings"

// Problems of fields. The wire codes are "<field>.<problem>" where the edge has no own name.
const (
	Blank     = "blank"
	Malformed = "invalid"
	TooLong   = "too_long"
)

// A FieldError is the fault of one field of a row.
type FieldError struct {
	Field   string // the column's name
	Problem string // Blank, Malformed or TooLong
	Detail  string // for people
}

func (e FieldError) Error() string {
	if e.Detail == "" {
		return e.Field + "." + e.Problem
	}
	return e.Field + "." + e.Problem + " (" + e.Detail + ")"
}

// Invalid is every problem of one row, in column order. Find it with errors.AsType.
type Invalid []FieldError

func (e Invalid) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Error()
	}
	return strings.Join(texts, ", ")
}

// Has says whether a field is among the problems.
func (e Invalid) Has(field string) bool {
	for _, f := range e {
		if f.Field == field {
			return true
		}
	}
	return false
}

func (e *Invalid) add(field, problem, detail string) {
	*e = append(*e, FieldError{field, problem, detail})
}

// err is nil when there is no problem.
func (e Invalid) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
