package notify

import (
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"barong/internal/strictyaml"
)

// An Expression is a condition on an event's content (AZ-397). It compares texts: a number or a
// truth value of the event is the text that it is written as, so 1 is not 1.0. A path that leads
// nowhere, or to an object, list or null, has no text and equals nothing. The zero value
// matches everything.
type Expression struct {
	// Operator is and (all Parts hold), or (any does), not (not all do), in (the text at Path
	// is one of Values); "" for none.
	Operator string
	Parts    []Expression
	// Path is dotted: record.user.level.
	Path   string
	Values []string
}

const (
	// maxDepth is how far operators and brackets may be nested, maxParts how many operators and
	// conditions an expression may have: aliases of YAML would make it as large as they like.
	maxDepth = 32
	maxParts = 1000
)

// expressions reads an expression of a file, in either form.
type expressions struct {
	*strictyaml.Document
	parts int
}

func readExpression(d *strictyaml.Document, f strictyaml.Field) Expression {
	x := expressions{Document: d}
	return x.node(f.Line, f.Value, 0)
}

// more counts a part and reports whether there may be as many; the first that may not is a problem.
func (x *expressions) more(line int) bool {
	if x.parts++; x.parts == maxParts+1 {
		x.Problem(line, "expression: it has more than %d parts", maxParts)
	}
	return x.parts <= maxParts
}

// node reads a text, or a mapping all of whose entries must hold.
func (x *expressions) node(line int, n *yaml.Node, depth int) Expression {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		return x.text(n)
	}
	before := x.Len()
	all := x.entries(n, depth)
	switch {
	case x.Len() > before:
		return Expression{}
	case len(all) == 0:
		x.Problem(line, "expression: it has no conditions")
		return Expression{}
	case len(all) == 1:
		return all[0]
	}
	return Expression{Operator: "and", Parts: all}
}

// entries reads those of a mapping: an operator over others, or a path and its value or values.
func (x *expressions) entries(n *yaml.Node, depth int) []Expression {
	var all []Expression
	for _, f := range x.Fields(n, "expression") {
		if !x.more(f.Line) {
			return nil
		}
		switch op := strings.ToLower(f.Key); {
		case op == "and" || op == "or" || op == "not":
			all = append(all, x.operator(op, f, depth+1))
		case !strings.Contains(f.Key, ".") && f.Key != "name":
			x.Unknown(f, "expression", []string{"and", "or", "not"})
		default:
			if why := pathProblem(f.Key); why != "" {
				x.Problem(f.Line, "expression: %s", why)
			}
			all = append(all, Expression{Operator: "in", Path: f.Key, Values: x.values(f)})
		}
	}
	return all
}

// operator reads the operands of an operator: the entries of a mapping, or a list of expressions.
func (x *expressions) operator(op string, f strictyaml.Field, depth int) Expression {
	e := Expression{Operator: op}
	before := x.Len()
	switch {
	case depth > maxDepth:
		x.Problem(f.Line, "expression: more than %d operators in one another", maxDepth)
	case f.Value.Kind == yaml.SequenceNode:
		for _, item := range x.Items(f.Value, "expression: "+op) {
			if !x.more(item.Line) {
				break
			}
			e.Parts = append(e.Parts, x.node(item.Line, item, depth))
		}
	default:
		e.Parts = x.entries(f.Value, depth)
	}
	if len(e.Parts) == 0 && x.Len() == before {
		x.Problem(f.Line, "expression: %s has no conditions", op)
	}
	return e
}

// values are the possible values of a path: one scalar, or one of a list.
func (x *expressions) values(f strictyaml.Field) []string {
	what := "expression: " + f.Key
	if f.Value.Kind != yaml.SequenceNode {
		return []string{x.Text(f.Value, what)}
	}
	list := x.Texts(f.Value, what)
	if len(list) == 0 {
		x.Problem(f.Line, "%s has no values", what)
	}
	return list
}

// pathProblem is the fault of a path: an event's object has three members.
func pathProblem(path string) string {
	first, rest, dotted := strings.Cut(path, ".")
	switch {
	case path == "name":
	case first != "record" && first != "changes" || !dotted:
		return `path "` + path + `" leads nowhere: want record.…, changes.… or name`
	case slices.Contains(strings.Split(rest, "."), ""):
		return `path "` + path + `" has an empty part`
	}
	return ""
}

// Matches reports whether the event's object ({"record": …, "changes": …, "name": …}) meets e.
// An unreadable event meets nothing but the zero Expression.
func (e Expression) Matches(object json.RawMessage) bool {
	if e.Operator == "" {
		return true
	}
	dec := json.NewDecoder(strings.NewReader(string(object)))
	dec.UseNumber()
	var top map[string]any
	return dec.Decode(&top) == nil && e.holds(top)
}

func (e Expression) holds(top map[string]any) bool {
	holds := func(p Expression) bool { return p.holds(top) }
	fails := func(p Expression) bool { return !p.holds(top) }
	switch e.Operator {
	case "and":
		return !slices.ContainsFunc(e.Parts, fails)
	case "or":
		return slices.ContainsFunc(e.Parts, holds)
	case "not":
		return slices.ContainsFunc(e.Parts, fails)
	}
	got, ok := lookUp(top, e.Path)
	return ok && slices.Contains(e.Values, got)
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
