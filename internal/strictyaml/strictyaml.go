// Package strictyaml reads YAML files of operators strictly: unknown things are problems,
// templates are not expanded, and all problems come at once, each with its line.
//
// It does not know the meaning of the files: package policy and package notify do.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A Document is one file being read. Its zero value is ready; it is for one goroutine.
type Document struct {
	source   []byte
	problems []error
}

// Problem notes a fault of a line; the text is made as by fmt.Errorf.
func (d *Document) Problem(line int, format string, args ...any) {
	d.problems = append(d.problems,
		fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...)))
}

// Len is how many problems there are so far.
func (d *Document) Len() int { return len(d.problems) }

// Problems are those so far, in the order in which they were found.
func (d *Document) Problems() []error { return slices.Clone(d.problems) }

// Err joins the problems so far, nil for none.
func (d *Document) Err() error { return errors.Join(d.problems...) }

// Parse returns the top-level mapping, nil for an empty file.
func (d *Document) Parse(data []byte) *yaml.Node {
	if line := template(data); line > 0 {
		d.Problem(line, "this is a template (<%%= … %%>), which is not expanded here: "+
			"write the value itself, or render the file first")
		return nil
	}
	if line := tooDeep(data); line > 0 {
		d.Problem(line, "more than %d lists or mappings in one another", deepest)
		return nil
	}
	d.source = data
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var n yaml.Node
	if err := dec.Decode(&n); err != nil {
		if !errors.Is(err, io.EOF) {
			d.problems = append(d.problems, syntax(data, err))
		}
		return nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.problems = append(d.problems,
			errors.New("read YAML: more than one document in the file"))
		return nil
	}
	root := resolve(n.Content[0])
	switch {
	case empty(root):
		return nil
	case root.Kind != yaml.MappingNode:
		d.Problem(root.Line, "the file must be a mapping")
		return nil
	}
	return root
}

// deepest is how many lists and mappings may be in one another, where it costs few bytes to nest
// them: the library's time grows with the square of that.
const deepest = 100

// tooDeep is the line of a text where it nests deeper, 0 for none. It counts list and mapping
// indicators at the beginning of one line, and brackets of all lines that are not closed; nesting
// by indentation alone takes more bytes the deeper it is.
func tooDeep(data []byte) int {
	line, open := 0, 0
	for l := range bytes.Lines(data) {
		line++
		block := 0
		for rest := bytes.TrimLeft(l, " \t"); len(rest) > 1 && bytes.IndexByte([]byte("-?:"), rest[0]) >= 0 &&
			(rest[1] == ' ' || rest[1] == '\t'); rest = bytes.TrimLeft(rest[1:], " \t") {
			block++
		}
		for _, c := range l {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			if open > deepest {
				return line
			}
		}
		if block > deepest {
			return line
		}
	}
	return 0
}

// syntax is the library's error about a text, with the line at which the text went wrong: the
// library names the line where the faulty part began, or the one before it.
func syntax(data []byte, err error) error {
	what := err.Error()
	if _, rest, ok := strings.Cut(strings.TrimPrefix(what, "yaml: "), ": "); ok && strings.HasPrefix(what, "yaml: line ") {
		what = rest
	}
	what = strings.TrimPrefix(what, "yaml: ")
	return fmt.Errorf("line %d: read YAML: %s", wrongLine(data), what)
}

// wrongLine is the first line with which a text that does not parse stops parsing for good:
// all lines before it are YAML, and a few more do not mend it. Lists in brackets and quoted
// texts that go over several lines do not parse until they end, so that the search goes on
// from where one does.
func wrongLine(data []byte) int {
	const span = 64 // longest such thing that is seen through
	lines := slices.Collect(bytes.Lines(data))
	ends := make([]int, len(lines)+1)
	for i, l := range lines {
		ends[i+1] = ends[i] + len(l)
	}
	parses := func(n int) bool { return yaml.Unmarshal(data[:ends[n]], new(yaml.Node)) == nil }
	good, bad := 0, len(lines)
	for range 64 {
		for bad-good > 1 {
			if middle := (good + bad) / 2; parses(middle) {
				good = middle
			} else {
				bad = middle
			}
		}
		further := 0
		for n := min(len(lines)-1, good+span); n > good; n-- {
			if parses(n) {
				further = n
				break
			}
		}
		if further == 0 {
			break
		}
		good, bad = further, len(lines)
	}
	return min(good+1, max(len(lines), 1))
}

// template finds the line of the first ERB tag that is not in a comment; 0 when there is none.
func template(data []byte) int {
	if !bytes.Contains(data, []byte("%>")) {
		return 0
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		i := bytes.Index(line, []byte("<%"))
		if i < 0 {
			continue
		}
		// A comment begins at a # that begins the line or follows a space.
		c := bytes.IndexByte(line[:i], '#')
		if c == 0 || c > 0 && (line[c-1] == ' ' || line[c-1] == '\t') {
			continue
		}
		return n
	}
	return 0
}

// resolve follows an alias. YAML aliases point backwards or to the node around them; shapes here
// have a fixed depth, so there is no endless walk.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func empty(n *yaml.Node) bool {
	return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// Place is the line and column, from one and in characters, at which a byte of a scalar's value
// stands in the file. It is found by the letters before it, whatever the scalar's style: blanks
// may be folded, and quotes and backslashes be doubled.
func (d *Document) Place(n *yaml.Node, offset int) (line, column int) {
	at := 0
	for range n.Line - 1 {
		at += bytes.IndexByte(d.source[at:], '\n') + 1
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(d.source[at:])
		at += size
	}
	place := at
	for _, c := range []byte(n.Value[:min(offset+1, len(n.Value))]) {
		if c == ' ' || c == '\n' || c == '\t' {
			continue
		}
		i := bytes.IndexByte(d.source[at:], c)
		if i < 0 {
			break // an escape stands for it
		}
		place, at = at+i, at+i+1
	}
	if offset >= len(n.Value) {
		place = at
	}
	before := d.source[:place]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[begin:]) + 1
}

// A Field is one entry of a mapping. Key is as it stands in the file.
type Field struct {
	Key   string
	Line  int
	Value *yaml.Node
}

// Fields lists the entries of a mapping; any other node is a problem. An empty list,
// [], is an empty mapping too. Keys that differ
// in case only are the same key.
func (d *Document) Fields(n *yaml.Node, what string) []Field {
	n = resolve(n)
	if empty(n) {
		return nil
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.Problem(n.Line, "%s must be a mapping", what)
		return nil
	}
	var list []Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			d.Problem(k.Line, "%s: keys must be plain words", what)
			continue
		}
		same := func(f Field) bool { return strings.EqualFold(f.Key, k.Value) }
		if slices.ContainsFunc(list, same) {
			d.Problem(k.Line, "%s: key %q is there twice", what, k.Value)
			continue
		}
		list = append(list, Field{k.Value, k.Line, resolve(n.Content[i+1])})
	}
	return list
}

// Record reads a mapping of scalars with known keys; false when it is none.
func (d *Document) Record(n *yaml.Node, what string, to map[string]*string) bool {
	if empty(n) || n.Kind != yaml.MappingNode {
		d.Problem(n.Line, "%s: every item must be a mapping", what)
		return false
	}
	before := d.Len()
	for _, f := range d.Fields(n, what) {
		dst, ok := to[strings.ToLower(f.Key)]
		if !ok {
			known := make([]string, 0, len(to))
			for k := range to {
				known = append(known, k)
			}
			d.Unknown(f, what, known)
			continue
		}
		*dst = d.Text(f.Value, what+": "+f.Key)
	}
	return d.Len() == before
}

// Items lists the elements of a list; any other node is a problem. An empty mapping, {},
// is an empty list too, as for files with neither of both.
func (d *Document) Items(n *yaml.Node, what string) []*yaml.Node {
	n = resolve(n)
	if empty(n) {
		return nil
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.Problem(n.Line, "%s must be a list", what)
		return nil
	}
	list := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		list[i] = resolve(c)
	}
	return list
}

// Text is a scalar, trimmed; null is "".
func (d *Document) Text(n *yaml.Node, what string) string {
	n = resolve(n)
	if empty(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		d.Problem(n.Line, "%s must be a single value", what)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// Texts is a list of scalars.
func (d *Document) Texts(n *yaml.Node, what string) []string {
	var list []string
	for _, item := range d.Items(n, what) {
		list = append(list, d.Text(item, what))
	}
	return list
}

// Words is a list of scalars of 1 to most characters.
func (d *Document) Words(n *yaml.Node, what string, most int) (list []string) {
	for _, item := range d.Items(n, what) {
		text := d.Text(item, what)
		if l := utf8.RuneCountInString(text); (empty(item) || item.Kind == yaml.ScalarNode) && (l == 0 || l > most) {
			d.Problem(item.Line, "%s: an entry has %d characters, want 1 to %d", what, l, most)
		}
		list = append(list, text)
	}
	return list
}

// Unknown reports a key that is none of those known, naming the nearest.
func (d *Document) Unknown(f Field, what string, known []string) {
	hint := ""
	if near := Nearest(f.Key, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	d.Problem(f.Line, "%s: unknown key %q%s", what, f.Key, hint)
}

// Nearest is the known word with the fewest letters to change, add or drop, "" when none is
// close.
func Nearest(word string, known []string) string {
	best, fewest := "", 3
	for _, k := range slices.Sorted(slices.Values(known)) {
		if n := edits(strings.ToLower(word), k); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
