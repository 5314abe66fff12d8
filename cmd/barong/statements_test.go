package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"barong/authz/authztest"
)

// An evidence is a table of claims, each with the tests that hold it.
type evidence struct {
	page, first string         // the document, and the head of its first column
	claim       *regexp.Regexp // the family of a claim, then its name, or its number and the last one of a range
	instead     []string       // words that may stand instead of a test, beside rules, decisions and documents
}

var (
	// statements are those that the reference's own tests make, and the wishes in public reports.
	statements = evidence{page: "docs/statements.tsv", first: "statement",
		claim: regexp.MustCompile(`^(R-9\.\d+\.|A-|M-|DM-|P-)(?:([a-z_]+)|(\d+)(?:…(\d+))?)$`)}
	// attacks are the weaknesses of docs/rules.md, and the attacks of e2e that no rule stands for.
	attacks = evidence{page: "docs/attacks.tsv", first: "weakness",
		claim:   regexp.MustCompile(`^(FX-|W-I|W-R|attack: )(?:([a-z][a-z ]+)|(\d+)(?:…(\d+))?)$`),
		instead: []string{"open"}}
	// requirements are those of OWASP ASVS 5.0.0, levels 1 and 2, in five of its chapters.
	requirements = evidence{page: "docs/asvs.tsv", first: "requirement",
		claim:   regexp.MustCompile(`^(V\d+\.\d+\.)(?:()|(\d+)(?:…(\d+))?)$`),
		instead: []string{"in part", "not met", "not applicable"}}

	testName = regexp.MustCompile(`^(\S+) ((?:Test|Fuzz)[A-Z]\w*)(?:/(.+))?$`)
)

// Each statement is held by a test, or a rule of docs/rules.md or a decision of docs/adr stands instead.
func TestEveryStatementIsHeld(t *testing.T) {
	statements.check(t)
}

// Each weakness of docs/rules.md, and each test of e2e that attacks, is a row of the table of attacks.
func TestEveryWeaknessHasItsTest(t *testing.T) {
	rows := attacks.check(t)
	for _, m := range entry.FindAllStringSubmatch(document(t, rulesPage), -1) {
		if id := m[1]; (strings.HasPrefix(id, "FX-") || strings.HasPrefix(id, "W-")) && !rows.claims[id] {
			t.Errorf("%s has no row for %s", attacks.page, id)
		}
	}
	for _, pattern := range []string{"attack*", "hostile*", "forbidden*", "header_lines*", "grpc_tls*"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "e2e", pattern+"_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no file of e2e is %s: %v", pattern, err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				if !rows.tests["e2e "+m[1]] {
					t.Errorf("%s does not name %s of %s", attacks.page, m[1], filepath.Base(path))
				}
			}
		}
	}
}

// Each requirement of levels 1 and 2 in the chapters on authentication, sessions, authorization, tokens and
// cryptography is a row of its table. In all sections these requirements come before those of level 3.
func TestEveryRequirementIsAnswered(t *testing.T) {
	rows := requirements.check(t)
	want := 0
	for section, last := range map[string]int{
		"6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
		"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
		"8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
		"9.1": 3, "9.2": 4,
		"11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
	} {
		want += last
		for n := 1; n <= last; n++ {
			if id := fmt.Sprintf("V%s.%d", section, n); !rows.claims[id] {
				t.Errorf("%s has no row for %s", requirements.page, id)
			}
		}
	}
	if len(rows.claims) != want {
		t.Errorf("%s answers %d requirements, want the %d of levels 1 and 2", requirements.page, len(rows.claims), want)
	}
}

// check reports the problems of the table, and returns its rows.
func (e evidence) check(t *testing.T) rows {
	t.Helper()
	found, problems := e.read(document(t, e.page), testsOfTheTree(t), insteads(t))
	for _, problem := range problems {
		t.Error(problem)
	}
	return found
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
		"another's word":    {"A-1\t\topen\tIt is so.\n", 1},
	} {
		if _, got := statements.read(head+test.rows, tests, rules); len(got) != test.want {
			t.Errorf("%s: %d problems, want %d: %q", name, len(got), test.want, got)
		}
	}
}

// A word stands instead of a test in its own table only, and a range names each of its claims.
func TestEvidenceOfTheOtherTablesIsChecked(t *testing.T) {
	for name, test := range map[string]struct {
		table evidence
		row   string
		want  []string
		bad   int
	}{
		"a weakness that is open":  {attacks, "FX-9\t\topen\tIt is so.\n", []string{"FX-9"}, 0},
		"a weakness that is not":   {attacks, "FX-9\t\tclosed\tIt is so.\n", []string{"FX-9"}, 1},
		"an attack without a rule": {attacks, "attack: odd paths\t\topen\tIt is so.\n", []string{"attack: odd paths"}, 0},
		"no weakness":              {attacks, "AZ-9\t\topen\tIt is so.\n", nil, 1},
		"a range of requirements":  {requirements, "V6.2.6…7\t\tnot met\tIt is so.\n", []string{"V6.2.6", "V6.2.7"}, 0},
		"a requirement half met":   {requirements, "V6.2.6\tresource TestLabels\tin part\tIt is so.\n", []string{"V6.2.6"}, 0},
		"a number of another form": {requirements, "6.2.6\t\tnot met\tIt is so.\n", nil, 1},
		"a document":               {requirements, "V6.2.6\t\tsecurity.md\tIt is so.\n", []string{"V6.2.6"}, 0},
		"a document that is gone":  {requirements, "V6.2.6\t\tsafety.md\tIt is so.\n", []string{"V6.2.6"}, 1},
	} {
		tests := map[string]map[string]bool{"resource TestLabels": {}}
		got, problems := test.table.read(test.table.first+"\theld by\tinstead\tsays\n"+test.row, tests, map[string]bool{"security.md": true})
		if len(problems) != test.bad || !slices.Equal(slices.Sorted(maps.Keys(got.claims)), test.want) {
			t.Errorf("%s: got %v and %q, want %v and %d problems", name, got.claims, problems, test.want, test.bad)
		}
	}
}

// rows are the claims of a table, and the tests that it names, as "package Name".
type rows struct{ claims, tests map[string]bool }

// read returns a table and its problems, given every test with its texts, and all that may stand instead.
func (e evidence) read(table string, tests map[string]map[string]bool, instead map[string]bool) (found rows, problems []string) {
	found = rows{claims: map[string]bool{}, tests: map[string]bool{}}
	for n, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("%s:%d: ", e.page, n+1)+fmt.Sprintf(format, args...))
		}
		row := strings.Split(line, "\t")
		switch {
		case n == 0:
			if line != e.first+"\theld by\tinstead\tsays" {
				problem("the head is %q", line)
			}
			continue
		case len(row) != 4:
			problem("%d columns, want four", len(row))
			continue
		}
		ids := e.claimsOf(row[0])
		if len(ids) == 0 {
			problem("%q is no %s", row[0], e.first)
		}
		for _, id := range ids {
			if found.claims[id] {
				problem("%s is there twice", id)
			}
			found.claims[id] = true
		}
		if row[1] == "" && row[2] == "" {
			problem("%s is held by nothing", row[0])
		}
		if row[2] != "" && !instead[row[2]] && !slices.Contains(e.instead, row[2]) {
			problem("%s: there is no rule and no document %s", row[0], row[2])
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
			default:
				found.tests[m[1]+" "+m[2]] = true
			}
		}
	}
	return found, problems
}

// claimsOf are the claims that the first column of a row names: one, or a range.
func (e evidence) claimsOf(text string) (ids []string) {
	m := e.claim.FindStringSubmatch(text)
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
// contract is one, too. Those of the decision corpus are "file: case".
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
	files, err := authztest.Load(filepath.Join(root, "authz", "testdata", "check"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, c := range f.Cases {
			tests["authz TestCorpusOnDecide"][f.Name+": "+c.Name] = true
		}
	}
	return tests
}

// insteads are the ids of docs/rules.md, adr/NAME for each record of docs/adr, and NAME.md for each document.
func insteads(t *testing.T) map[string]bool {
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
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, path := range pages {
		all[filepath.Base(path)] = true
	}
	return all
}
