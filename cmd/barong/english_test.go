package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Plain English is subject, active verb, object. A high share of lines with these words shows
// sentences that turn on them instead.
var turns = regexp.MustCompile(`(?i)\b(what|who|whoever|told|tells)\b`)

// mostTurning is the share of lines with such a word, in percent, that no package and no document
// exceeds.
const mostTurning = 3.0

// lines counts lines of text, and those with one of the words.
type lines struct{ all, turning int }

func (l *lines) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	l.all++
	if turns.MatchString(line) {
		l.turning++
	}
}

func (l *lines) share() float64 { return 100 * float64(l.turning) / float64(max(l.all, 1)) }

// Few comment lines of any package hold such a word. With -v the test prints their share.
func TestCommentsAreInPlainEnglish(t *testing.T) {
	var total lines
	packages := map[string]*lines{}
	for file, comments := range commentsOfTree(t) {
		in := packages[filepath.Dir(file)]
		if in == nil {
			in = &lines{}
			packages[filepath.Dir(file)] = in
		}
		for _, line := range comments {
			in.add(line)
			total.add(line)
		}
	}
	if total.all < 5000 {
		t.Fatalf("%d comment lines found, want those of the whole tree", total.all)
	}
	byShare := slices.SortedFunc(maps.Keys(packages), func(a, b string) int {
		return cmp.Or(cmp.Compare(packages[b].turning, packages[a].turning), cmp.Compare(a, b))
	})
	for _, p := range byShare {
		t.Logf("%5.1f %%  %4d of %4d  %s", packages[p].share(), packages[p].turning, packages[p].all, p)
	}
	t.Logf("%5.1f %%  of %d comment lines", total.share(), total.all)
	for p, in := range packages {
		if in.share() > mostTurning {
			t.Errorf("%s: %.1f %% of comment lines hold %v, want at most %.1f %%", p, in.share(), turns, mostTurning)
		}
	}
}

// So for the documents, and for all texts of the OpenAPI documents and the settings, which are
// generated into docs.
func TestDocumentsAreInPlainEnglish(t *testing.T) {
	files := []string{"README.md", "SECURITY.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*.json"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, f := range found {
			files = append(files, "docs/"+filepath.Base(f))
		}
	}
	text := regexp.MustCompile(`"(?:description|summary)": "(.*)"`)
	for _, name := range files {
		var in lines
		for line := range strings.Lines(document(t, name)) {
			if !strings.HasSuffix(name, ".json") {
				in.add(line)
			} else if m := text.FindStringSubmatch(line); m != nil {
				in.add(m[1])
			}
		}
		if in.all == 0 || in.share() > mostTurning {
			t.Errorf("%s: %.1f %% of %d lines hold %v, want at most %.1f %%", name, in.share(), in.all, turns, mostTurning)
		}
	}
}

// commentsOfTree are the comment lines of each Go file, without directives.
func commentsOfTree(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") && name != ".." || name == "testdata" || name == "data"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found[file] = commentLines(parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func commentLines(file *ast.File) []string {
	var found []string
	for _, group := range file.Comments {
		for _, c := range group.List {
			text := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(c.Text, "/*"), "*/"), "//")
			if strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "//nolint") {
				continue
			}
			found = append(found, strings.Split(text, "\n")...)
		}
	}
	return found
}
