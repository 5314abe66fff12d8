package strictyaml

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"barong/internal/hostile"
)

// read takes a file {name: text, list: [text], map: {a: text, b: text}}.
func read(data string) (name string, list []string, a, b string, err error) {
	var d Document
	top := d.Parse([]byte(data))
	if top == nil {
		return "", nil, "", "", d.Err()
	}
	for _, f := range d.Fields(top, "the file") {
		switch f.Key {
		case "name":
			name = d.Text(f.Value, "name")
		case "list":
			list = d.Texts(f.Value, "list")
		case "map":
			d.Record(f.Value, "map", map[string]*string{"a": &a, "b": &b})
		default:
			d.Unknown(f, "the file", []string{"name", "list", "map"})
		}
	}
	return name, list, a, b, d.Err()
}

func TestAGoodFile(t *testing.T) {
	name, list, a, b, err := read("name: ' n '\nlist: [one, ~, two]\nmap: { a: 1, B: true }\n")
	if err != nil {
		t.Fatal(err)
	}
	if name != "n" || strings.Join(list, "|") != "one||two" || a != "1" || b != "true" {
		t.Errorf("got %q, %q, %q, %q", name, list, a, b)
	}
}

func TestEveryProblemIsToldWithItsLine(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want []string
	}{
		"an unknown key names the nearest": {"naem: x", []string{`line 1: the file: unknown key "naem"; did you mean`}},
		"two problems are both told":       {"name: [x]\nlist: y", []string{"line 1: name must be a single value", "line 2: list must be a list"}},
		"a key twice, in another case":     {"name: x\nNAME: y", []string{`line 2: the file: key "NAME" is there twice`}},
		"a template":                       {"# <%= fine %>\nname: <%= ENV['X'] %>", []string{"line 2: this is a template"}},
		"a list at the top":                {"- a", []string{"the file must be a mapping"}},
		"two documents":                    {"name: x\n---\nname: y", []string{"more than one document"}},
		"no YAML":                          {"name: [", []string{"read YAML"}},
		"a record that is none":            {"map: x", []string{"map: every item must be a mapping"}},
		"an unknown key of a record":       {"map: { c: x }", []string{`map: unknown key "c"`}},
		"a merge key":                      {"x: &x { a: 1 }\nmap: { <<: *x }", []string{"keys must be plain words"}},
	} {
		_, _, _, _, err := read(tt.in)
		for _, w := range tt.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q in it", name, err, w)
			}
		}
	}
}

func TestEmptyFilesAreFine(t *testing.T) {
	for _, in := range []string{"", "# nothing\n", "~", "---\n"} {
		if _, _, _, _, err := read(in); err != nil {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name: x\nlist: [a]\nmap: { a: b }")
	f.Add("a: &a [*a]")
	f.Add("name: &n [*n]\nmap: *n")
	for s := range (hostile.Grammar{Words: []string{"name: x\n", "- a\n"}}).Samples(60) {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, data string) { _, _, _, _, _ = read(data) })
}

// The line of a syntax error is the one that is wrong, not where the list or mapping around it
// has begun.
func TestASyntaxErrorIsToldWithItsLine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	good := []string{
		"key%d: value\n", "key%d:\n  - a\n  - { b: c }\n", "key%d: [a,\n  b,\n  c]\n", "key%d: {a: 1,\n  b: 2}\n",
		"key%d: |\n  text: of: many\n  lines\n", "# comment: of: one\nkey%d: \"quoted\n  over lines\"\n", "key%d:\n  a:\n    b: c\n",
	}
	bad := []string{"wrong: a: b\n", "  indented: x\n", "\ttab: x\n", "- item\n", "wrong: [a, b\n", "wrong: \"open\n", "wrong: {a: b\n", "just words\n", "a: b]: c: d\n", "%% x\n"}
	for range 100 {
		var b strings.Builder
		at := r.IntN(40)
		wrong, wrongText := 0, ""
		for i := range 40 {
			if i == at {
				wrong, wrongText = strings.Count(b.String(), "\n")+1, bad[r.IntN(len(bad))]
				b.WriteString(strings.ReplaceAll(wrongText, "%%", "%"))
			}
			text := good[r.IntN(len(good))]
			if i == at-1 {
				text = "key%d: value\n" // lines indented after others may be right
			}
			b.WriteString(fmt.Sprintf(text, i))
		}
		var d Document
		d.Parse([]byte(b.String()))
		err := d.Err()
		if err == nil {
			continue // as a continuation of the line before
		}
		var line int
		if _, scan := fmt.Sscanf(err.Error(), "line %d: read YAML: ", &line); scan != nil {
			t.Fatalf("got %v, want it to begin with the line", err)
		}
		// Words alone may be the beginning of the next line.
		if line != wrong && line != wrong+1 {
			t.Errorf("%q in line %d: got %v\n%s", wrongText, wrong, err, b.String())
		}
	}
}

func TestAnEmptyMappingIsAnEmptyList(t *testing.T) {
	for _, empty := range []string{"{}", "[]", "~", "", "{ }"} {
		if _, list, _, _, err := read("list: " + empty + "\n"); err != nil || list != nil {
			t.Errorf("list: %s: got %q, %v, want none", empty, list, err)
		}
	}
	if _, _, _, _, err := read("list: { a: b }\n"); err == nil {
		t.Error("a mapping with something in it is taken for a list")
	}
}

// A file costs as much as its length, however it is nested, quoted and aliased.
func TestParseTimeIsLinear(t *testing.T) {
	hostile.Linear(t, hostile.Grammar{
		Words: []string{"name: x\n", "- a\n"}, Longest: 4 << 10,
		Marks: []string{"\n", " ", "- ", ": ", "&a ", "*a ", "#", `"`, "|\n"},
	}, func(text string) { _, _, _, _, _ = read(text) })
}

func TestParseRefusesDeepNesting(t *testing.T) {
	for name, text := range map[string]string{
		"lists":            "name:\n" + strings.Repeat("- ", deepest+1) + "a",
		"brackets":         "name: " + strings.Repeat("[", deepest+1),
		"over lines":       "name:\n" + strings.Repeat("[\n", deepest+1),
		"mappings":         "name: " + strings.Repeat("{a: ", deepest+1),
		"explicit entries": strings.Repeat("? ", deepest+1) + "a",
	} {
		var d Document
		if root := d.Parse([]byte(text)); root != nil || d.Err() == nil || !strings.Contains(d.Err().Error(), "in one another") {
			t.Errorf("%s: got %v, want a refusal", name, d.Err())
		}
	}
	var d Document
	if d.Parse([]byte("name: [" + strings.Repeat("[a], ", 500) + "]\n" + strings.Repeat("# - - -\n", 500))); d.Err() != nil {
		t.Errorf("wide is not deep: %v", d.Err())
	}
}
