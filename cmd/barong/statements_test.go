package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statementsPage is the table of the statements that the reference's own tests make, and of the wishes in
// public reports, with the tests of ours that hold them.
const statementsPage = "docs/statements.tsv"

var (
	statementID = regexp.MustCompile(`^(R-9\.\d+\.|A-|M-|DM-|P-)(?:([a-z_]+)|(\d+)(?:…(\d+))?)$`)
	testName    = regexp.MustCompile(`^(\S+) ((?:Test|Fuzz)[A-Z]\w*)(?:/(.+))?$`)
)

// Each statement is held by a test, or a rule of docs/rules.md or a decision of docs/adr stands instead.
func TestEveryStatementIsHeld(t *testing.T) {
	tests, rules := testsOfTheTree(t), rulesAndDecisions(t)
	for _, problem := range checkStatements(document(t, statementsPage), tests, rules) {
		t.Error(problem)
	}
}

// A table that names a test, a case or a rule which is gone is refused, and so is one without order.
func TestStatementsAreChecked(t *testing.T) {
	tests := map[string]map[string]bool{"resource TestLabels": {"taken": true}}
	rules := map[string]bool{"D1": true}
	const head = "statement\theld by\tinstead\tsays\n"
	for name, test := range map[string]struct {
		rows string
		want int
	}{
		"a test":            {"A-1\tresource TestLabels\t\tIt is so.\n", 0},
		"a case of it":      {"A-1\tresource TestLabels/taken; resource TestLabels\t\tIt is so.\n", 0},
		"a rule alone":      {"A-1…3\t\tD1\tIt is so.\n", 0},
		"both, in families": {"R-9.1.1\tresource TestLabels\tD1\tIt is so.\nR-9.1.label\tresource TestLabels\t\tIt is so.\n", 0},
		"nothing":           {"A-1\t\t\tIt is so.\n", 1},
		"no such test":      {"A-1\tresource TestLabel\t\tIt is so.\n", 1},
		"another package":   {"A-1\tadmin TestLabels\t\tIt is so.\n", 1},
		"no such case":      {"A-1\tresource TestLabels/free\t\tIt is so.\n", 1},
		"no such rule":      {"A-1\t\tD2\tIt is so.\n", 1},
		"no name of a test": {"A-1\tTestLabels\t\tIt is so.\n", 1},
		"no sentence":       {"A-1\tresource TestLabels\t\tso\n", 1},
		"no statement":      {"A1\tresource TestLabels\t\tIt is so.\n", 1},
		"twice":             {"A-1…3\tresource TestLabels\t\tIt is so.\nA-3\tresource TestLabels\t\tIt is so.\n", 1},
		"three columns":     {"A-1\tresource TestLabels\tIt is so.\n", 1},
	} {
		if got := checkStatements(head+test.rows, tests, rules); len(got) != test.want {
			t.Errorf("%s: %d problems, want %d: %q", name, len(got), test.want, got)
		}
	}
}

// checkStatements returns the problems of a table, given every test with its texts, and every rule.
func checkStatements(table string, tests map[string]map[string]bool, rules map[string]bool) (problems []string) {
	seen := map[string]bool{}
	for n, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("%s:%d: ", statementsPage, n+1)+fmt.Sprintf(format, args...))
		}
		row := strings.Split(line, "\t")
		switch {
		case n == 0:
			if line != "statement\theld by\tinstead\tsays" {
				problem("the head is %q", line)
			}
			continue
		case len(row) != 4:
			problem("%d columns, want four", len(row))
			continue
		}
		ids := statementsOf(row[0])
		if len(ids) == 0 {
			problem("%q is no statement", row[0])
		}
		for _, id := range ids {
			if seen[id] {
				problem("%s is there twice", id)
			}
			seen[id] = true
		}
		if row[1] == "" && row[2] == "" {
			problem("%s is held by nothing", row[0])
		}
		if row[2] != "" && !rules[row[2]] {
			problem("%s: there is no rule %s", row[0], row[2])
		}
		if len(row[3]) < 9 || !strings.HasSuffix(row[3], ".") {
			problem("%s is no sentence: %q", row[0], row[3])
		}
		for _, name := range strings.Split(row[1], "; ") {
			m := testName.FindStringSubmatch(name)
			switch {
			case name == "":
			case m == nil:
				problem("%s: %q is no package with a test", row[0], name)
			case tests[m[1]+" "+m[2]] == nil:
				problem("%s: there is no %s in %s", row[0], m[2], m[1])
			case m[3] != "" && !tests[m[1]+" "+m[2]][m[3]]:
				problem("%s: %s has no case %q", row[0], m[2], m[3])
			}
		}
	}
	return problems
}

// statementsOf are the statements that the first column of a row names: one, or a range.
func statementsOf(text string) (ids []string) {
	m := statementID.FindStringSubmatch(text)
	switch {
	case m == nil:
		return nil
	case m[2] != "":
		return []string{text}
	}
	first, _ := strconv.Atoi(m[3])
	last := first
	if m[4] != "" {
		last, _ = strconv.Atoi(m[4])
	}
	for n := first; n <= last; n++ {
		ids = append(ids, m[1]+strconv.Itoa(n))
	}
	return ids
}

// testsOfTheTree are all tests, as "package Name", each with the texts that stand in it; a suite of a
// contract is one, too.
func testsOfTheTree(t *testing.T) map[string]map[string]bool {
	t.Helper()
	root, tests := filepath.Join("..", ".."), map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "testing.T") && !strings.Contains(string(text), "testing.F") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			texts := map[string]bool{}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					if text, err := strconv.Unquote(s.Value); err == nil {
						texts[text] = true
					}
				}
				return true
			})
			tests[filepath.ToSlash(dir)+" "+f.Name.Name] = texts
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// rulesAndDecisions are the ids of docs/rules.md, and adr/NAME for each record of docs/adr.
func rulesAndDecisions(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, m := range entry.FindAllStringSubmatch(document(t, rulesPage), -1) {
		all[m[1]] = true
	}
	records, err := filepath.Glob(filepath.Join("..", "..", "docs", "adr", "*.md"))
	if err != nil || len(records) == 0 {
		t.Fatalf("no records: %v", err)
	}
	for _, path := range records {
		all["adr/"+strings.TrimSuffix(filepath.Base(path), ".md")] = true
	}
	return all
}
