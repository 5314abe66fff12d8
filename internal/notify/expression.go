package notify

import (
	"encoding/json"
	"strings"

	"barong/internal/strictyaml"
)

// An Expression is a condition on an event's content (AZ-397): one operator over values at
// dotted paths such as record.user.level. The zero value matches everything.
type Expression struct {
	// Operator is and (all are equal), or (any is), not (not all are); "" for none.
	Operator string
	Fields   []Condition
}

// A Condition is a dotted path and the text form of the value that it must have. A path that
// leads nowhere, or to an object or list, has none.
type Condition struct {
	Path, Value string
}

func readExpression(d *strictyaml.Document, f strictyaml.Field) (e Expression) {
	operators := d.Fields(f.Value, "expression")
	if len(operators) != 1 {
		d.Problem(f.Line, "expression: give one of and, or, not")
		return e
	}
	switch op := operators[0]; strings.ToLower(op.Key) {
	case "and", "or", "not":
		e.Operator = strings.ToLower(op.Key)
		for _, c := range d.Fields(op.Value, "expression: "+op.Key) {
			e.Fields = append(e.Fields, Condition{c.Key, d.Text(c.Value, "expression: "+c.Key)})
		}
		if len(e.Fields) == 0 {
			d.Problem(op.Line, "expression: %s has no conditions", op.Key)
		}
	default:
		d.Unknown(op, "expression", []string{"and", "or", "not"})
	}
	return e
}

// Matches reports whether the event's object ({"record": …, "changes": …, "name": …}) meets e.
// What cannot be read meets nothing but the zero Expression.
func (e Expression) Matches(object json.RawMessage) bool {
	if e.Operator == "" {
		return true
	}
	dec := json.NewDecoder(strings.NewReader(string(object)))
	dec.UseNumber()
	var top map[string]any
	if dec.Decode(&top) != nil {
		return false
	}
	equal := 0
	for _, c := range e.Fields {
		if got, ok := lookUp(top, c.Path); ok && got == c.Value {
			equal++
		}
	}
	switch e.Operator {
	case "and":
		return equal == len(e.Fields)
	case "or":
		return equal > 0
	}
	return equal < len(e.Fields)
}

// lookUp is the text form of the scalar at a dotted path.
func lookUp(v any, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return "", false
		}
		if v, ok = object[name]; !ok {
			return "", false
		}
	}
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}
