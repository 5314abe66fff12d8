package policy_test

import (
	"strings"
	"testing"

	"barong/internal/hostile"
	"barong/policy"
)

func TestCanonicalPattern(t *testing.T) {
	for name, test := range map[string]struct{ in, want, err string }{
		"FX-55: slashes at the ends go":                   {in: "/api/v2/barong/", want: "api/v2/barong"},
		"FX-3: runs of slashes collapse":                  {in: "api//v2///barong", want: "api/v2/barong"},
		"FX-3: unreserved characters are decoded":         {in: "api/v2/%61dmin%2e%7E", want: "api/v2/admin.~"},
		"other encodings are in upper case":               {in: "api/v2/caf%c3%a9", want: "api/v2/caf%C3%A9"},
		"raw UTF-8 is encoded":                            {in: "api/v2/café", want: "api/v2/caf%C3%A9"},
		"FX-2: a star stays":                              {in: "/api/v2/engine*", want: "api/v2/engine*"},
		"FX-2: a slash before a star stays":               {in: "api/v2/engine/*", want: "api/v2/engine/*"},
		"a star alone is everything":                      {in: "*", want: "*"},
		"space around it goes":                            {in: "  api/v2 ", want: "api/v2"},
		"sub-delimiters stand for themselves":             {in: "a/b:c@d=e,f+g$h!i&j'(k)", want: "a/b:c@d=e,f+g$h!i&j'(k)"},
		"a star may cut a dot short":                      {in: "api/v2/.*", want: "api/v2/.*"},
		"FX-55: empty is refused":                         {in: "", err: "path is empty"},
		"FX-55: slashes alone are empty":                  {in: "///", err: "path is empty"},
		"FX-4: an encoded slash is refused":               {in: "api%2fv2", err: "%2F"},
		"FX-4: an encoded backslash is refused":           {in: "api%5Cv2", err: "%5C"},
		"FX-4: an encoded NUL is refused":                 {in: "api%00v2", err: "%00"},
		"FX-4: double encoding is refused":                {in: "api/%2561dmin", err: "%25"},
		"FX-4: a backslash is refused":                    {in: `api\v2`, err: "may have"},
		"D5: a semicolon is refused":                      {in: "api/v2;x", err: "may have"},
		"D5: an encoded semicolon is refused":             {in: "api/v2%3Bx", err: "%3B"},
		"FX-4: a control byte is refused":                 {in: "api/\x01v2", err: "may have"},
		"FX-4: a dot segment is refused":                  {in: "api/./v2", err: "dot segment"},
		"FX-4: two dots are refused":                      {in: "api/../v2", err: "dot segment"},
		"FX-4: encoded dots are refused":                  {in: "api/%2e%2E/v2", err: "dot segment"},
		"FX-4: a whole dot segment before a star as well": {in: "api/../*", err: "dot segment"},
		"a query is refused":                              {in: "api/v2?x", err: "may have"},
		"a fragment is refused":                           {in: "api/v2#x", err: "may have"},
		"a star in the middle is refused":                 {in: "api/*/users", err: "star"},
		"two stars are refused":                           {in: "api/**", err: "star"},
		"a lone percent sign is refused":                  {in: "api/v2/%4", err: "percent"},
		"broken UTF-8 is refused":                         {in: "api/\xff", err: "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.CanonicalPattern(test.in)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("CanonicalPattern(%q): got %q, error %v, want an error with %q",
						test.in, got, err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("CanonicalPattern(%q): got %q, error %v, want %q", test.in, got, err, test.want)
			}
		})
	}
}

func FuzzCanonicalPattern(f *testing.F) {
	for _, s := range []string{"/api//v2/", "a/%61/*", "%2e./x", "é*", "%c3%a9", "**", "/*", ". *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		once, err := policy.CanonicalPattern(in)
		if err != nil {
			return
		}
		twice, err := policy.CanonicalPattern(once)
		if err != nil || twice != once {
			t.Errorf("CanonicalPattern(%q) = %q, again %q, error %v", in, once, twice, err)
		}
		if strings.Contains(once, "//") || strings.HasPrefix(once, "/") {
			t.Errorf("CanonicalPattern(%q) = %q has spare slashes", in, once)
		}
		folded, did := policy.Fold(once)
		if again, twice := policy.Fold(folded); twice || again != folded {
			t.Errorf("Fold(%q) = %q, again %q", once, folded, again)
		}
		if !did && folded != once {
			t.Errorf("Fold(%q) changed the path and says that it did not", once)
		}
	})
}

func TestFold(t *testing.T) {
	for name, test := range map[string]struct {
		in, want string
	}{
		"D5: a group at the root folds":                {"api/v2/identity/sessions", "api/v2/barong/identity/sessions"},
		"D5: a group under auth folds":                 {"api/v2/auth/admin/users", "api/v2/barong/admin/users"},
		"D5: the group alone folds":                    {"api/v2/management", "api/v2/barong/management"},
		"D5: resource folds":                           {"api/v2/resource/users/me", "api/v2/barong/resource/users/me"},
		"D5: public folds":                             {"api/v2/auth/public", "api/v2/barong/public"},
		"a path under barong stays":                    {"api/v2/barong/identity", "api/v2/barong/identity"},
		"a group must be a whole segment":              {"api/v2/administration", "api/v2/administration"},
		"a dot suffix is part of the segment":          {"api/v2/admin.json", "api/v2/admin.json"},
		"another component stays":                      {"api/v2/peatio/public/markets", "api/v2/peatio/public/markets"},
		"auth before anything else stays":              {"api/v2/auth/api/v2/admin", "api/v2/auth/api/v2/admin"},
		"auth twice stays":                             {"api/v2/auth/auth/admin", "api/v2/auth/auth/admin"},
		"upper case is another path":                   {"api/v2/Admin", "api/v2/Admin"},
		"a path outside api/v2 stays":                  {"admin/users", "admin/users"},
		"barong twice is for the caller to refuse, D5": {"api/v2/barong/barong/admin", "api/v2/barong/barong/admin"},
	} {
		t.Run(name, func(t *testing.T) {
			got, folded := policy.Fold(test.in)
			if got != test.want || folded != (test.in != test.want) {
				t.Errorf("Fold(%q) = %q, %v, want %q", test.in, got, folded, test.want)
			}
		})
	}
}

// Patterns, and questions of a hostile path to many rules, cost as much as their length.
func TestMatchingTimeIsLinear(t *testing.T) {
	rows := policy.Rows{Permissions: grants("ACCEPT ALL api/v2/a*", "DROP ALL api/v2/"+strings.Repeat("a/", 100), "AUDIT ALL api/v2/a/a/a t", "ACCEPT ALL *")}
	s, _ := policy.Compile(rows, policy.RouteRules{Block: []string{"api/v2/A"}}, shipped())
	g := hostile.Grammar{Words: []string{"api/v2/a/", "A/"}, Marks: []string{"/", ".", "%41", "a", "A", "*", "é"}, Longest: 16 << 10}
	hostile.Linear(t, g, func(text string) {
		_, _ = policy.CanonicalPattern(text)
		policy.Fold(text)
		s.Route(text)
		s.Permission("r", "GET", text)
		s.Component(text)
	})
}
