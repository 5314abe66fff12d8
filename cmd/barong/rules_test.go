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
	"strconv"
	"strings"
	"testing"
)

// rulesPage is the document that explains every rule id.
const rulesPage = "docs/rules.md"

var (
	ruleID = `(AZ-|FX-|W-[A-Z]|T-[A-Z]+-|N-|D)(\d{1,3})([a-d]?)`
	// cited is a rule id with the end of its range or the rest of its list: AZ-30…32, "D21, 22".
	cited = regexp.MustCompile(`\b` + ruleID + `\b(?:(?:…| to )(?:AZ-|FX-|W-[A-Z]|T-[A-Z]+-|D)?(\d{1,3})\b)?`)
	// longID is an id of a family that no other word looks like.
	longID = regexp.MustCompile(`\b(?:AZ|FX|W|T)-[A-Z]*-?\d`)
	// entry is the line of a rule in its document.
	entry = regexp.MustCompile(`(?m)^- (` + ruleID + `): (.*)$`)

	// unexplained are references to texts that are not in this repository.
	unexplained = []*regexp.Regexp{
		regexp.MustCompile(`(?i)\b(identity|resource|admin|authz|management|data[ -]model|design|frontend)(\.md)?,? (§ ?)?\d+(\.\d+)?\b`),
		regexp.MustCompile(`(^|[\s(])§ ?\d`),
		regexp.MustCompile(`\b\d+\.\d+ #\d|#\d+[–…]|^ ?\d{1,2}\.\d+[,;:] `),
		regexp.MustCompile(`(^|[\s(])(A|R|DM|W)\d{1,3}([\s,;:.)…–]|$)`),
	}
	// standards are references to published texts, whose sections anybody can read.
	standards = regexp.MustCompile(`(RFC \d+|800-38D|Core( 1\.0)?|Fetch|FIPS [\d-]+|ISO \d+)[^;]*?§ ?[\d.]+( R\d)?(, (§ ?)?[\d.]+)*`)
)

// Every rule id that a comment, a test or a document cites has an entry in docs/rules.md,
// something cites each entry, and no comment refers to a text that is not here.
func TestEveryCitedRuleIsExplained(t *testing.T) {
	entries := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(document(t, rulesPage), -1) {
		if entries[m[1]] != "" {
			t.Errorf("%s explains %s twice", rulesPage, m[1])
		}
		if len(m[5]) < 20 || !strings.HasSuffix(m[5], ".") {
			t.Errorf("%s: %s is no sentence: %q", rulesPage, m[1], m[5])
		}
		entries[m[1]] = m[5]
	}
	if len(entries) < 300 {
		t.Fatalf("%s has %d entries, want all rules", rulesPage, len(entries))
	}

	used := map[string]bool{}
	for _, text := range citingTexts(t) {
		for _, id := range ids(text.line) {
			switch {
			case entries[id] != "":
				used[id] = true
			case text.isComment || longID.MatchString(id):
				t.Errorf("%s cites %s, which %s does not explain: %s", text.file, id, rulesPage, strings.TrimSpace(text.line))
			}
		}
		for _, known := range between(text.line) {
			used[known] = used[known] || entries[known] != ""
		}
		if text.isComment {
			plain := standards.ReplaceAllString(text.line, "")
			for _, r := range unexplained {
				if m := r.FindString(plain); m != "" {
					t.Errorf("%s refers to %q, which is no text of this repository: %s",
						text.file, strings.TrimSpace(m), strings.TrimSpace(text.line))
				}
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(entries), compareIDs) {
		if !used[id] {
			t.Errorf("%s explains %s, which nothing cites", rulesPage, id)
		}
	}
}

// Within a heading the rules are in the order of their ids, so that a reader finds one.
func TestRulesAreInOrder(t *testing.T) {
	for section := range strings.SplitSeq(document(t, rulesPage), "\n## ") {
		last := ""
		for _, m := range entry.FindAllStringSubmatch(section, -1) {
			if last != "" && compareIDs(last, m[1]) >= 0 {
				t.Errorf("%s: %s stands after %s", rulesPage, m[1], last)
			}
			last = m[1]
		}
	}
}

// The test of rules finds ids, ranges and references in every form they have had.
func TestReferencesAreFound(t *testing.T) {
	for line, want := range map[string][]string{
		"ends it (AZ-30, D10b).":          {"AZ-30", "D10b"},
		"AZ-385 to AZ-388, T-ADMU-1 to 3": {"AZ-385", "AZ-388", "T-ADMU-1", "T-ADMU-3"},
		"AZ-140…151 and W-I7":             {"AZ-140", "AZ-151", "W-I7"},
		"RS256, SHA-256, ID1, MD5 B-D5":   {"D5"},
	} {
		if got := ids(line); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	if got := between("AZ-140…143"); !slices.Equal(got, []string{"AZ-141", "AZ-142"}) {
		t.Errorf("between AZ-140 and AZ-143: got %q", got)
	}
	for line, want := range map[string]bool{
		" Identity §6.7.": true, " as admin 7.4 has it": true, " (design §2)": true, " R8: one old": true,
		" 14.3 #11 under W-I15": true, " 9.6, the state": true, " (§6.4)": true, " A97 to A99": true,
		" good for 2³² values (NIST SP 800-38D §8.3)": false, " RFC 4226 §4 R6": false,
		" (RFC 7515 §4, RFC 7519 §4).": false, " OpenID Connect Core §3.1.3.7, 11": false, " Go 1.26 has it": false,
		" RFC 7517 §4.7, §5; RFC 7518 §3.3.": false,
	} {
		plain, got := standards.ReplaceAllString(line, ""), false
		for _, r := range unexplained {
			got = got || r.MatchString(plain)
		}
		if got != want {
			t.Errorf("%q refers to a text elsewhere: got %t, want %t (%q)", line, got, want, plain)
		}
	}
}

// ids are the rules that a line names.
func ids(line string) []string {
	var found []string
	for _, m := range cited.FindAllStringSubmatch(line, -1) {
		found = append(found, m[1]+m[2]+m[3])
		if m[4] != "" {
			found = append(found, m[1]+m[4])
		}
	}
	return found
}

// between are the rules inside the ranges of a line.
func between(line string) []string {
	var found []string
	for _, m := range cited.FindAllStringSubmatch(line, -1) {
		first, _ := strconv.Atoi(m[2])
		last, _ := strconv.Atoi(m[4])
		for n := first + 1; n < last; n++ {
			found = append(found, m[1]+strconv.Itoa(n))
		}
	}
	return found
}

func compareIDs(a, b string) int {
	x, y := cited.FindStringSubmatch(a), cited.FindStringSubmatch(b)
	n, _ := strconv.Atoi(x[2])
	m, _ := strconv.Atoi(y[2])
	return cmp.Or(cmp.Compare(x[1], y[1]), cmp.Compare(n, m), cmp.Compare(x[3], y[3]))
}

// citingText is a line that may cite rules.
type citingText struct {
	file, line string
	isComment  bool // or a line of a document
}

// citingTexts are all comments and strings of Go files, and all lines of other texts.
func citingTexts(t *testing.T) []citingText {
	t.Helper()
	root := filepath.Join("..", "..")
	var found []citingText
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if path != root && (strings.HasPrefix(name, ".") || name == "fuzz" || name == "data") {
				return filepath.SkipDir
			}
			return nil
		}
		file, err := filepath.Rel(root, path)
		if err != nil || file == filepath.FromSlash(rulesPage) || name == "rules_test.go" {
			return err
		}
		switch filepath.Ext(name) {
		case ".go":
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, line := range commentLines(parsed) {
				found = append(found, citingText{file, line, true})
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					found = append(found, citingText{file, s.Value, false})
				}
				return true
			})
		case ".md", ".tsv", ".yaml", ".yml", ".sql", ".sh", ".conf":
			isComment := filepath.Ext(name) == ".md" || filepath.Ext(name) == ".tsv" && strings.HasPrefix(file, "docs")
			for line := range strings.Lines(document(t, file)) {
				found = append(found, citingText{file, line, isComment})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
