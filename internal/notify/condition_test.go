package notify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"barong/internal/event"
	"barong/internal/strictyaml"
)

// parse reads an expression as it stands in a file: text, or YAML.
func parse(t testing.TB, in string) (Expression, error) {
	t.Helper()
	var d strictyaml.Document
	top := d.Parse([]byte("expression: " + in + "\n"))
	if top == nil {
		return Expression{}, d.Err()
	}
	e := readExpression(&d, d.Fields(top, "the file")[0])
	return e, d.Err()
}

func TestConditionsAsText(t *testing.T) {
	object := json.RawMessage(`{"record":{"key":"phone","value":"it's","state":"accepted","n":-1.50,"user":{"level":2,"otp":true}},` +
		`"changes":{"state":"submitted"},"name":"model.label.updated"}`)
	tests := map[string]bool{
		`record.key == "phone"`:                             true,
		`record.key == 'email'`:                             false,
		`record.key != "email"`:                             true,
		`record.none == ""`:                                 false,
		`record.none != "x"`:                                true,
		`record.user.level == 2 && record.user.otp == true`: true,
		`record.user.level in [1, 2, 3]`:                    true,
		`record.user.level in ["1"]`:                        false,
		`record.n == -1.50`:                                 true,
		`record.n == -1.5`:                                  false, // texts
		`name == "model.label.updated"`:                     true,
		`record.value == 'it\'s'`:                           true,
		`record.value == "it's"`:                            true,
		`changes.state in ["submitted"] && record.state in ["accepted"]`: true,
		// && binds closer than ||.
		`record.key == "phone" || record.key == "x" && record.key == "y"`:   true,
		`(record.key == "phone" || record.key == "x") && record.key == "y"`: false,
		`record.key == "x" && record.key == "y" || record.key == "phone"`:   true,
		"record.key\t==\n'phone'": true,
		`((((record.key=="phone"))))&&record.key!="x"||record.user.otp==false`:              true,
		`record.state == 'accepted' && (record.key == 'document' || record.key == 'phone')`: true,
	}
	for text, want := range tests {
		quoted, _ := json.Marshal(text) // which YAML reads as well
		e, err := parse(t, string(quoted))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := e.Matches(object); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestWhatIsNoConditionIsRefusedByPlace: nothing is run and nothing is guessed.
func TestWhatIsNoConditionIsRefusedByPlace(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"a call":                    {`record.key.start_with("a")`, `line 1: column 34: expression: want ==, != or in, not "("`},
		"code":                      {"`id` == 'x'", "read YAML"},
		"code in quotes":            {"'`id` == 1'", "line 1: column 14: expression: \"`\" is nothing"},
		"an index":                  {`record["key"] == "a"`, `line 1: column 13: expression: path "record" leads nowhere`},
		"one sign of equality":      {`record.key = "a"`, `column 24: expression: "=" is nothing`},
		"a comparison":              {`record.amount > 5`, `column 27: expression: ">" is nothing`},
		"a word without quotes":     {`record.key == phone`, `column 27: expression: want a text in quotes, a number, true or false, not "phone"`},
		"two paths":                 {`record.key == record.value`, `not "record.value"`},
		"a value first":             {`'"a" == record.key'`, `column 14: expression: want a path`},
		"the words of other tools":  {`record.key == "a" and record.value == "b"`, `column 31: expression: want && or || or the end, not "and"`},
		"a bracket too few":         {`(record.key == "a"`, `column 31: expression: want && or || or ), not the end`},
		"a bracket too many":        {`record.key == "a")`, `column 30: expression: want && or || or the end, not ")"`},
		"a text without its end":    {`record.key == 'a`, `column 27: expression: the text has no end`},
		"a backslash before an n":   {`record.key == "a\n"`, `column 29: expression: a backslash`},
		"no list":                   {`record.key in "a"`, `column 27: expression: want [ after in`},
		"an empty list":             {`record.key in []`, `column 28: expression: want a text in quotes`},
		"a list that ends in none":  {`record.key in ["a" "b"]`, `column 32: expression: want , or ] in the list`},
		"a number with two points":  {`record.n == 1.2.3`, `column 25: expression: "1.2.3" is no number`},
		"a number with an exponent": {`record.n == 1e9`, `"1e9" is no number`},
		"a path of one name":        {`key == "a"`, `column 13: expression: path "key" leads nowhere`},
		"a path with an empty part": {`record..key == "a"`, `has an empty part`},
		"nothing":                   {`" "`, `want a path`},
		"a sign alone":              {`record.key == "a" &&`, `column 33: expression: want a path such as record.key, or (, not the end`},
		"a single pipe":             {`record.key == "a" | record.key == "b"`, `"|" is nothing`},
		"another alphabet":          {`record.ключ == "a"`, `path "record." has an empty part`},
		"brackets without end":      {strings.Repeat("(", 10_000), "more than 32 brackets in one another"},
		"a line of a block":         {"|\n  record.key == \"a\" &&\n    record.value = 'b'", "line 3: column 18: expression: \"=\" is nothing"},
		"a folded block":            {">-\n  record.key == 'a'\n  && !record.key", "line 3: column 6: expression: \"!\" is nothing"},
		"quoted, with escapes":      {`"record.key == \"a\" ^ 1"`, `line 1: column 34: expression: "^" is nothing`},
		"quoted, with two quotes":   {`'record.key == ''a'' ^ 1'`, `line 1: column 34: expression: "^" is nothing`},
	}
	for name, tt := range tests {
		if _, err := parse(t, tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want in it %q", name, err, tt.want)
		}
	}
}

// term is an expression of the test's own, and its value beside it.
type term struct {
	text, yaml string
	holds      bool
}

var facts = map[string]string{"record.a": "1", "record.b.c": "true", "changes.d": `x"'\`, "name": "n"}

const factsObject = `{"record":{"a":1,"b":{"c":true}},"changes":{"d":"x\"'\\"},"name":"n"}`

// draw makes an expression of some depth in both forms, and judges it as it goes.
func draw(t *rapid.T, depth int) term {
	kind := rapid.SampledFrom([]string{"==", "!=", "in", "&&", "||"}).Draw(t, "kind")
	if depth == 0 && (kind == "&&" || kind == "||") {
		kind = "=="
	}
	if kind == "&&" || kind == "||" {
		op := map[string]string{"&&": "and", "||": "or"}[kind]
		out := term{holds: kind == "&&"}
		var texts, nodes []string
		for range rapid.IntRange(2, 3).Draw(t, "parts") {
			part := draw(t, depth-1)
			if kind == "&&" {
				out.holds = out.holds && part.holds
			} else {
				out.holds = out.holds || part.holds
			}
			texts, nodes = append(texts, "("+part.text+")"), append(nodes, part.yaml)
		}
		out.text = strings.Join(texts, rapid.SampledFrom([]string{kind, " " + kind + " ", "\n" + kind + "\t"}).Draw(t, "blanks"))
		out.yaml = "{ " + op + ": [ " + strings.Join(nodes, ", ") + " ] }"
		return out
	}
	path := rapid.SampledFrom([]string{"record.a", "record.b.c", "record.b", "record.none", "changes.d", "name"}).Draw(t, "path")
	most := 1
	if kind == "in" {
		most = 3
	}
	var values, literals, quoted []string
	for range rapid.IntRange(1, most).Draw(t, "values") {
		v := rapid.SampledFrom([]string{"1", "2", "true", "false", `x"'\`, "n", ""}).Draw(t, "value")
		literal := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		if (v == "1" || v == "true") && rapid.Bool().Draw(t, "bare") {
			literal = v
		}
		q, _ := json.Marshal(v)
		values, literals, quoted = append(values, v), append(literals, literal), append(quoted, string(q))
	}
	got, ok := facts[path]
	holds := ok && slices.Contains(values, got)
	switch kind {
	case "in":
		return term{path + " in [" + strings.Join(literals, ",") + "]", "{ " + path + ": [ " + strings.Join(quoted, ", ") + " ] }", holds}
	case "!=":
		return term{path + "!=" + literals[0], "{ not: { " + path + ": " + quoted[0] + " } }", !holds}
	}
	return term{path + " == " + literals[0], "{ " + path + ": " + quoted[0] + " }", holds}
}

// TestExpressionsAgreeWithTheirMeaning compares both forms with an evaluation that was done
// while the expression was made.
func TestExpressionsAgreeWithTheirMeaning(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := draw(r, 4)
		quoted, _ := json.Marshal(want.text)
		for form, in := range map[string]string{"text": string(quoted), "YAML": want.yaml} {
			e, err := parse(t, in)
			if err != nil {
				r.Fatalf("%s %s: %v", form, in, err)
			}
			if got := e.Matches(json.RawMessage(factsObject)); got != want.holds {
				r.Fatalf("%s %s: got %v, want %v", form, in, got, want.holds)
			}
		}
	})
}

// TestSeveralOperatorsInOneExpression: all of them must hold.
func TestSeveralOperatorsInOneExpression(t *testing.T) {
	e, err := parse(t, "{ or: { record.key: [phone, document] }, not: { record.value: pending } }")
	if err != nil {
		t.Fatal(err)
	}
	for object, want := range map[string]bool{
		`{"record":{"key":"phone","value":"verified"}}`:   true,
		`{"record":{"key":"document","value":"pending"}}`: false,
		`{"record":{"key":"email","value":"verified"}}`:   false,
	} {
		if got := e.Matches(json.RawMessage(object)); got != want {
			t.Errorf("%s: got %v, want %v", object, got, want)
		}
	}
}

const twoEntries = `
exchanges: { model: { name: barong.events.model } }
events:
  - { name: Phone accepted, key: label.updated, exchange: model, expression: { and: { record.key: phone, record.value: verified } },
      templates: { en: { subject: Phone accepted, template_path: label } } }
  - { name: Phone rejected, key: label.updated, exchange: model, expression: "record.key == 'phone' && record.value == 'rejected'",
      templates: { en: { subject: Phone rejected, template_path: label } } }
  - { name: Any other, key: label.updated, exchange: model,
      templates: { en: { subject: Label changed, template_path: label } } }
`

// TestTheFirstEntryThatHoldsWritesTheMail: an event may have several.
func TestTheFirstEntryThatHoldsWritesTheMail(t *testing.T) {
	m, out := newMailer(t, Config{}, []byte(twoEntries))
	for value, want := range map[string]string{"verified": "Phone accepted", "rejected": "Phone rejected", "pending": "Label changed"} {
		*out = nil
		e := event.LabelUpdated(event.Label{Key: "phone", Value: value, User: user()}, event.Label{Key: "phone", Value: "old"})
		if err := m.Send(t.Context(), event.Item{ID: 1, Event: e, CreatedAt: now}); err != nil {
			t.Fatal(err)
		}
		if len(*out) != 1 || (*out)[0].Subject != want {
			t.Errorf("%s: got %v, want one mail %q", value, *out, want)
		}
	}
	twice := twoEntries + "  - { key: label.updated, exchange: model, expression: { or: { record.key: x } }, templates: { en: { subject: S, template_path: label } } }\n"
	if _, err := ParseRules([]byte(twice)); err == nil || !strings.Contains(err.Error(), `line 10: events: model.label.updated is there twice: "Any other" above`) {
		t.Errorf("an entry that could never write: got %v, want it refused", err)
	}
}

// TestExpressionsTakeLinearTime: twice the length costs less than three times the time, with
// a few tries on a busy machine.
func TestExpressionsTakeLinearTime(t *testing.T) {
	for name, shape := range map[string]func(n int) string{
		"one long text":      func(n int) string { return `record.a == "` + strings.Repeat("x", n) + `"` },
		"one long path":      func(n int) string { return "record" + strings.Repeat(".a", n/2) + " == 1" },
		"a long list":        func(n int) string { return "record.a in [1" + strings.Repeat(",1", n/2) + "]" },
		"a long chain":       func(n int) string { return "record.a==1" + strings.Repeat("&&record.a==1", n/13) },
		"brackets":           func(n int) string { return strings.Repeat("(", n) },
		"blanks":             func(n int) string { return strings.Repeat(" ", n) + "^" },
		"backslashes":        func(n int) string { return `record.a == "` + strings.Repeat(`\\`, n/2) },
		"quotes":             func(n int) string { return "record.a in [" + strings.Repeat(`"",`, n/3) },
		"a number":           func(n int) string { return "record.a == " + strings.Repeat("1.", n/2) },
		"a fault at the end": func(n int) string { return `record.a == "` + strings.Repeat("x\n", n/2) + `" ^` },
	} {
		cost := func(n int) time.Duration {
			node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: shape(n), Line: 1, Column: 1}
			best := time.Hour
			for range 3 {
				var d strictyaml.Document
				d.Parse([]byte(node.Value))
				x := expressions{Document: &d}
				began := time.Now()
				x.text(node)
				best = min(best, time.Since(began))
			}
			return best
		}
		var once, twice time.Duration
		for range 10 {
			if once, twice = cost(1<<14), cost(1<<15); twice < 3*once || twice < time.Millisecond {
				break
			}
		}
		if twice >= 3*once && twice >= time.Millisecond {
			t.Errorf("%s: %v for half the length, %v for all", name, once, twice)
		}
	}
}

// write is a text that reads as e.
func write(e Expression) string {
	quote := func(v string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"` }
	switch e.Operator {
	case "in":
		var list []string
		for _, v := range e.Values {
			list = append(list, quote(v))
		}
		return e.Path + " in [" + strings.Join(list, ",") + "]"
	case "not":
		return e.Parts[0].Path + " != " + quote(e.Parts[0].Values[0])
	}
	var parts []string
	for _, p := range e.Parts {
		parts = append(parts, "("+write(p)+")")
	}
	return strings.Join(parts, map[string]string{"and": "&&", "or": "||"}[e.Operator])
}

func FuzzCondition(f *testing.F) {
	f.Add(`record.key == "phone" && (changes.state in ['a', "b"] || record.n != -1.5)`, `{"record":{"key":"phone","n":1}}`)
	f.Add(`((name=='x'))||record.a==true`, `{"name":"x"}`)
	f.Add(`record.a in [1,`, `[]`)
	f.Add("record.a == \"\\\"'\\\\\"", `{"record":{"a":"\"'\\"}}`)
	f.Fuzz(func(t *testing.T, text, object string) {
		read := func(text string) (Expression, error) {
			var d strictyaml.Document
			d.Parse([]byte("x: |\n " + strings.ReplaceAll(text, "\n", "\n ")))
			before := d.Len() // problems of a text that is no YAML
			x := expressions{Document: &d}
			e := x.text(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 4})
			if d.Len() == before {
				return e, nil
			}
			return e, d.Err()
		}
		e, err := read(text)
		if err != nil && (e.Operator != "" || !strings.Contains(err.Error(), "line ")) {
			t.Fatalf("%q: got %+v and %v", text, e, err)
		}
		if e.Operator == "" {
			return
		}
		holds := e.Matches(json.RawMessage(object))
		again, err := read(write(e))
		if err != nil && !strings.Contains(err.Error(), "brackets in one another") {
			t.Fatalf("%q was read, as %s it is not: %v", text, write(e), err)
		}
		if err == nil && again.Matches(json.RawMessage(object)) != holds {
			t.Fatalf("%q and %s differ", text, write(e))
		}
	})
}
