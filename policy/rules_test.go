package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/policy"
	"barong/policy/defaults"
)

func TestParseRules(t *testing.T) {
	for name, test := range map[string]struct {
		in, err string
		want    policy.RouteRules
	}{
		"AZ-70: both lists": {in: "rules:\n  pass: [/api/v2/a/]\n  block:\n    - api/v2/b*\n",
			want: policy.RouteRules{Pass: []string{"api/v2/a"}, Block: []string{"api/v2/b*"}}},
		"AZ-70: a list may be absent": {in: "rules:\n  block: [x]\n", want: policy.RouteRules{Block: []string{"x"}}},
		"scopes": {in: "rules:\n  scopes:\n    trade:\n      - {verb: post, Path: /api/v2/a/}\n      - {verb: all, path: api/v2/b*}\n    read: []\n",
			want: policy.RouteRules{Scopes: map[string][]policy.Endpoint{"trade": {{"POST", "api/v2/a"}, {"ALL", "api/v2/b*"}}, "read": {}}}},
		"no scope at all":           {in: "rules: {scopes: {}}\n", want: policy.RouteRules{Scopes: map[string][]policy.Endpoint{}}},
		"a scope twice":             {in: "rules: {scopes: {a: [], A: []}}\n", err: `line 1: rules.scopes: key "A" is there twice`},
		"a scope with a comma":      {in: "rules: {scopes: {'a,b': []}}\n", err: `line 1: rules.scopes: "a,b" is no name of a scope`},
		"a scope without a verb":    {in: "rules: {scopes: {a: [{path: x}]}}\n", err: `line 1: rules.scopes.a: verb "" is none of GET`},
		"a scope with another verb": {in: "rules: {scopes: {a: [{path: x, verb: CONNECT}]}}\n", err: `line 1: rules.scopes.a: verb "CONNECT" is none of GET`},
		"a scope without a path":    {in: "rules: {scopes: {a: [{verb: get}]}}\n", err: "line 1: rules.scopes.a: path is empty"},
		"a scope of paths alone":    {in: "rules: {scopes: {a: [api/v2]}}\n", err: "line 1: rules.scopes.a: every item must be a mapping"},
		"a scope with a role":       {in: "rules: {scopes: {a: [{verb: get, path: x, role: member}]}}\n", err: `rules.scopes.a: unknown key "role"`},
		"an empty file":             {in: "# nothing\n"},
		"an empty mapping":          {in: "rules:\n"},
		"FX-38: a template":         {in: "rules:\n  pass:\n    - <%= x %>\n", err: "line 3: this is a template"},
		"a template in a comment":   {in: "# <%= x %>\nrules: {pass: [a]} # <% %>\n", want: policy.RouteRules{Pass: []string{"a"}}},
		"an empty path":             {in: "rules:\n  pass:\n    - /\n", err: "line 3: rules.pass: path is empty"},
		"an impossible path":        {in: "rules:\n  block: [a/../b]\n", err: "line 2: rules.block: path has the dot segment"},
		"all problems at once":      {in: "rules:\n  pass: ['']\n  blok: []\n", err: "line 2: rules.pass: path is empty; a single * covers everything\nline 3: rules: unknown key \"blok\"; did you mean \"block\"?"},
		"a list at the top":         {in: "- a\n", err: "line 1: the file must be a mapping"},
		"a string for a list":       {in: "rules: {pass: a}\n", err: "line 1: rules.pass must be a list"},
		"a key twice":               {in: "rules: {pass: [a], Pass: [b]}\n", err: `key "Pass" is there twice`},
		"broken YAML":               {in: "rules: [", err: "read YAML"},
		"two documents":             {in: "rules: {}\n---\nrules: {}\n", err: "more than one document"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.ParseRules([]byte(test.in))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if d := cmp.Diff(test.want, got); err != nil || d != "" {
				t.Errorf("error %v, rules (-want +got):\n%s", err, d)
			}
		})
	}
}

func FuzzParseRules(f *testing.F) {
	data, _ := defaults.File("authz_rules")
	f.Add(data)
	for _, s := range []string{"rules: &a [*a]", "a: &a\n  <<: *a", "? [a]\n: b", "%>", "rules: {pass: [~]}", "---\n...\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := policy.ParseRules(data)
		if err != nil {
			return
		}
		if _, warnings := policy.Compile(policy.Rows{}, r, policy.Options{Components: []string{"*"}}); len(warnings) > 0 {
			t.Errorf("what was parsed gives warnings %v", warnings)
		}
	})
}
