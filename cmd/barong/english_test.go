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

// Shares of lines with such a word, in percent, that must not be exceeded. mostInComments is the
// share of now: lower it with each package that is rewritten, until it is 3.
const (
	mostInComments  = 11.2
	mostInDocuments = 3.0
)

// plainPackages are those below 3 % already; they stay there.
var plainPackages = strings.Fields(`
	admin identity policy policy/policytest resource
	internal/audit/audittest internal/caller internal/captcha internal/config internal/hostile
	internal/limit internal/limit/limittest internal/notify internal/param internal/provider/auth0
	internal/provider/captcha internal/provider/kycaid internal/provider/outbound internal/provider/smtp
	internal/secret internal/session internal/session/sessiontest internal/strictyaml
	internal/token internal/token/tokentest internal/view
`)

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

// The share of comment lines with such a word does not rise. With -v the test prints it by package.
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
	if total.share() > mostInComments {
		t.Errorf("%.1f %% of comment lines hold %v, want at most %.1f %%", total.share(), turns, mostInComments)
	}
	for _, p := range plainPackages {
		if in := packages[p]; in == nil || in.share() >= 3 {
			t.Errorf("%s: want less than 3 %% of comment lines with %v, got %+v", p, turns, in)
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
		if in.all == 0 || in.share() > mostInDocuments {
			t.Errorf("%s: %.1f %% of %d lines hold %v, want at most %.1f %%", name, in.share(), in.all, turns, mostInDocuments)
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
