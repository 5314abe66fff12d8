package policy_test

import (
	"strings"
	"testing"

	"barong/internal/feed"
	"barong/policy"
)

// grants makes rows of role r from words: "ACCEPT GET path [topic]".
func grants(lines ...string) []policy.Permission {
	var rows []policy.Permission
	for i, l := range lines {
		f := append(strings.Fields(l), "", "")
		rows = append(rows, policy.Permission{ID: int64(i + 1), Role: "r", Action: f[0],
			Verb: f[1], Path: f[2], Topic: f[3]})
	}
	return rows
}

func TestPermission(t *testing.T) {
	allow, deny := policy.Permit{Allows: true}, policy.Permit{}
	type rows = []string
	for name, test := range map[string]struct {
		rows    rows
		role    string // default r
		method  string // default GET
		path    string
		legacy  bool
		want    policy.Permit
		warning bool
	}{
		"AZ-145: no row": {path: "api/v2", want: deny},
		"AZ-145: an ACCEPT": {
			rows: rows{"ACCEPT GET api/v2/peatio"}, path: "api/v2/peatio/market", want: allow},
		"AZ-142: another verb": {
			rows: rows{"ACCEPT GET api/v2/peatio"}, method: "POST", path: "api/v2/peatio", want: deny},
		"AZ-142: another role": {
			rows: rows{"ACCEPT GET api/v2/peatio"}, role: "s", path: "api/v2/peatio", want: deny},
		"AZ-142, T-NEW-9: the case of the role counts": {
			rows: rows{"ACCEPT GET api/v2/peatio"}, role: "R", path: "api/v2/peatio", want: deny},
		"T-RBAC-4: another path": {
			rows: rows{"ACCEPT GET api/v2/admin/users/list"}, path: "api/v2/admon/users/list", want: deny},
		"AZ-146, T-NEW-9: a short DROP defeats a long ACCEPT": {
			rows: rows{"ACCEPT ALL api/v2/peatio/market", "DROP ALL api/v2/peatio"}, path: "api/v2/peatio/market", want: deny},
		"AZ-146, T-NEW-9: a long DROP defeats a short ACCEPT": {
			rows: rows{"DROP ALL api/v2/peatio/market", "ACCEPT ALL api/v2"}, path: "api/v2/peatio/market", want: deny},
		"AZ-145, T-NEW-9: AUDIT alone denies": {
			rows: rows{"AUDIT GET api/v2"}, path: "api/v2/peatio", want: policy.Permit{Audit: true}},
		"AZ-145, T-NEW-9: an unknown action alone denies": {
			rows: rows{"ALL GET api/v2"}, path: "api/v2/peatio", want: deny, warning: true},
		"an action in lower case counts": {
			rows: rows{"ACCEPT ALL api/v2", "drop get api/v2/peatio"}, path: "api/v2/peatio", want: deny},
		"FX-51, T-NEW-9: HEAD is matched by GET rows": {
			rows: rows{"ACCEPT GET api/v2"}, method: "HEAD", path: "api/v2/peatio", want: allow},
		"FX-51: HEAD is dropped by GET rows": {
			rows: rows{"ACCEPT ALL api/v2", "DROP GET api/v2/peatio"}, method: "HEAD", path: "api/v2/peatio", want: deny},
		"FX-51: a HEAD row is not about GET": {
			rows: rows{"ACCEPT HEAD api/v2"}, path: "api/v2/peatio", want: deny},
		"FX-51: a HEAD row is about HEAD": {
			rows: rows{"ACCEPT HEAD api/v2"}, method: "HEAD", path: "api/v2/peatio", want: allow},
		"AZ-144, FX-51: ALL covers OPTIONS": {
			rows: rows{"ACCEPT ALL api/v2"}, method: "OPTIONS", path: "api/v2/peatio", want: allow},
		"FX-51: ALL does not cover TRACE": {
			rows: rows{"ACCEPT ALL api/v2"}, method: "TRACE", path: "api/v2/peatio", want: deny},
		"FX-51: methods are in upper case": {
			rows: rows{"ACCEPT ALL api/v2"}, method: "get", path: "api/v2/peatio", want: deny},
		"FX-2, T-NEW-4: an ACCEPT ends at a segment": {
			rows: rows{"ACCEPT GET api/v2/foo"}, path: "api/v2/foobar", want: deny, warning: true},
		"D5: an ACCEPT does not reach a dot suffix": {
			rows: rows{"ACCEPT GET api/v2/peatio/foo"}, path: "api/v2/peatio/foo.json", want: deny},
		"D5, T-NEW-3: a DROP reaches a dot suffix": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/withdraws.json", want: deny},
		"D5: a DROP reaches a tilde": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/withdraws~1", want: deny},
		"D5: a DROP does not reach a longer name": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/withdraws_all", want: allow},
		"D5: a dash continues a name": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/withdraws-all", want: allow},
		"D5: an AUDIT reaches a dot suffix": {
			rows: rows{"ACCEPT ALL api/v2", "AUDIT ALL api/v2/peatio/x t"}, path: "api/v2/peatio/x.json", want: policy.Permit{Allows: true, Audit: true, Topic: "t"}},
		"FX-2, T-NEW-4: a star is a raw prefix": {
			rows: rows{"ACCEPT GET api/v2/peatio/admin/engine*"}, path: "api/v2/peatio/admin/engines/1", want: allow},
		"FX-2: a star covers its own text": {
			rows: rows{"ACCEPT GET api/v2/peatio/admin/engine*"}, path: "api/v2/peatio/admin/engine", want: allow},
		"a slash before a star needs something below": {
			rows: rows{"ACCEPT GET api/v2/peatio/*"}, path: "api/v2/peatio", want: deny},
		"a star alone covers everything": {
			rows: rows{"ACCEPT GET *"}, path: "x", want: allow},
		"FX-55: slashes at the ends of a stored path go": {
			rows: rows{"ACCEPT GET /api/v2/peatio/"}, path: "api/v2/peatio/x", want: allow},
		"FX-55: a stored path is canonicalised": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2//barong/%61dmin"}, path: "api/v2/barong/admin/users", want: deny},
		"FX-55: an ACCEPT with an impossible path matches nothing": {
			rows: rows{"ACCEPT ALL api/v2/../x"}, path: "x", want: deny, warning: true},
		"D5: rows fold, so a DROP on the inner path holds": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/admin/permissions"}, path: "api/v2/barong/admin/permissions", want: deny},
		"D5: rows fold from under auth": {
			rows: rows{"ACCEPT ALL api/v2/auth/resource"}, path: "api/v2/barong/resource/users/me", want: allow},
		"D5: a DROP of auth holds for what folding takes from it": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/auth"}, path: "api/v2/barong/admin/users", want: deny},
		"D5: a DROP with a star holds for what folding takes from it": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/adm*"}, path: "api/v2/barong/admin/users", want: deny},
		"D5: an ACCEPT is not widened by folding": {
			rows: rows{"ACCEPT ALL api/v2/a*"}, path: "api/v2/barong/admin/users", want: deny},
		"D5: a DROP holds for any case": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/WithDraws/1", want: deny},
		"D5: a DROP in upper case holds too": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/WITHDRAWS"}, path: "api/v2/peatio/withdraws", want: deny},
		"D5: a DROP with a star holds for any case": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/With*"}, path: "api/v2/peatio/wITHdraws", want: deny},
		"D5: a DROP beyond an upper-case name does not reach a longer one": {
			rows: rows{"ACCEPT ALL api/v2", "DROP ALL api/v2/peatio/withdraws"}, path: "api/v2/peatio/WITHDRAWS_ALL", want: allow},
		"D5: an AUDIT holds for any case, the longest counts": {
			rows: rows{"ACCEPT ALL api/v2", "AUDIT ALL api/v2 short", "AUDIT ALL api/v2/peatio/x t"}, path: "api/v2/peatio/X", want: policy.Permit{Allows: true, Audit: true, Topic: "t"}},
		"D5: an ACCEPT is exact": {
			rows: rows{"ACCEPT ALL api/v2/peatio/foo"}, path: "api/v2/peatio/Foo", want: deny},
		"D5: an ACCEPT in upper case is exact": {
			rows: rows{"ACCEPT ALL api/v2/peatio/Foo"}, path: "api/v2/peatio/Foo/IDABC", want: allow},
		"D5: an ACCEPT in upper case does not hold for lower": {
			rows: rows{"ACCEPT ALL api/v2/peatio/Foo"}, path: "api/v2/peatio/foo", want: deny},
		"AZ-73: prefix matching is the old rule": {
			rows: rows{"ACCEPT GET api/v2/peatio/foo"}, path: "api/v2/peatio/foobar", legacy: true, want: allow},
		"AZ-151: an AUDIT row has its topic": {
			rows: rows{"ACCEPT GET api/v2", "AUDIT GET api/v2 accounting"}, path: "api/v2/peatio", want: policy.Permit{Allows: true, Audit: true, Topic: "accounting"}},
		"FX-52: of several topics the longest path's": {
			rows: rows{"AUDIT GET api/v2 short", "AUDIT GET api/v2/peatio/admin long", "AUDIT GET api/v2/peatio middle"}, path: "api/v2/peatio/admin/x",
			want: policy.Permit{Audit: true, Topic: "long"}},
		"FX-52: of equal paths the lowest id's": {
			rows: rows{"AUDIT GET api/v2 first", "AUDIT ALL api/v2/ second"}, path: "api/v2/peatio", want: policy.Permit{Audit: true, Topic: "first"}},
		"FX-52: a row of another verb does not lend its topic": {
			rows: rows{"AUDIT GET api/v2 first", "AUDIT PUT api/v2 second"}, method: "PUT", path: "api/v2/peatio", want: policy.Permit{Audit: true, Topic: "second"}},
		"FX-52: a longer row without a topic wins too": {
			rows: rows{"AUDIT GET api/v2 first", "AUDIT GET api/v2/peatio"}, path: "api/v2/peatio", want: policy.Permit{Audit: true}},
		"T-AUD: a denial says that it is audited": {
			rows: rows{"DROP PUT api/v2", "AUDIT PUT api/v2 t"}, method: "PUT", path: "api/v2/peatio", want: policy.Permit{Audit: true, Topic: "t"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy.Rows{Permissions: grants(test.rows...)}
			o := shipped()
			if test.legacy {
				o.Matching = policy.MatchPrefix
			}
			role, method := "r", "GET"
			if test.role != "" {
				role = test.role
			}
			if test.method != "" {
				method = test.method
			}
			s, warnings := policy.Compile(r, policy.RouteRules{}, o)
			if (len(warnings) > 0) != test.warning {
				t.Errorf("got warnings %v, want some: %v", warnings, test.warning)
			}
			for who, e := range map[string]evaluator{"snapshot": s, "naive": policy.Naive{Rows: r, Options: o}} {
				if got := e.Permission(role, method, test.path); got != test.want {
					t.Errorf("%s: got %+v, want %+v", who, got, test.want)
				}
			}
		})
	}
}

func TestEmptyPathsFailClosed(t *testing.T) {
	for name, test := range map[string]struct {
		rows []string
		want policy.Permit
	}{
		"a DROP with an empty path refuses everything": {[]string{"ACCEPT ALL api/v2", "DROP ALL /"}, policy.Permit{}},
		"an ACCEPT with an empty path allows nothing":  {[]string{"ACCEPT ALL /"}, policy.Permit{}},
		"an AUDIT with an empty path audits nothing":   {[]string{"ACCEPT ALL api/v2", "AUDIT ALL /"}, policy.Permit{Allows: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy.Rows{Permissions: grants(test.rows...)}
			s, warnings := policy.Compile(r, policy.RouteRules{}, shipped())
			if len(warnings) != 1 {
				t.Errorf("got warnings %v, want one", warnings)
			}
			for who, e := range map[string]evaluator{"snapshot": s, "naive": policy.Naive{Rows: r}} {
				if got := e.Permission("r", "GET", "api/v2/peatio"); got != test.want {
					t.Errorf("%s: got %+v, want %+v", who, got, test.want)
				}
			}
		})
	}
}

func TestRole(t *testing.T) { // AZ-147
	s := compile(t, policy.Rows{Permissions: grants("DROP ALL api/v2")}, policy.RouteRules{}, shipped())
	if !s.Role("r") || s.Role("R") || s.Role("") {
		t.Errorf("got r %v, R %v, empty %v, want true, false, false", s.Role("r"), s.Role("R"), s.Role(""))
	}
}

func TestVersion(t *testing.T) {
	if got := compile(t, policy.Rows{At: feed.Cursor{Seq: 42}}, policy.RouteRules{}, shipped()).Version(); got != 42 {
		t.Errorf("got %d, want 42", got)
	}
}

func TestRoute(t *testing.T) {
	rules := policy.RouteRules{
		Pass:  []string{"api/v2/barong/public", "api/v2/peatio/public", "api/v2/identity", "api/v2/arke/pub*"},
		Block: []string{"api/v2/barong/management", "api/v2/peatio/public/secret"},
	}
	for name, test := range map[string]struct {
		path   string
		legacy bool
		want   policy.Route
	}{
		"AZ-72: a pass path":                          {path: "api/v2/peatio/public/markets", want: policy.Pass},
		"AZ-72: the entry itself":                     {path: "api/v2/peatio/public", want: policy.Pass},
		"AZ-71: a block path":                         {path: "api/v2/barong/management/users", want: policy.Block},
		"AZ-30: block before pass":                    {path: "api/v2/peatio/public/secret/x", want: policy.Block},
		"AZ-70: any other path":                       {path: "api/v2/peatio/market/orders", want: policy.Neither},
		"FX-2: pass ends at a segment":                {path: "api/v2/peatio/publicity", want: policy.Neither},
		"D5: pass does not reach a dot suffix":        {path: "api/v2/peatio/public.json", want: policy.Neither},
		"D5: block reaches a dot suffix":              {path: "api/v2/barong/management.json", want: policy.Block},
		"FX-6: block does not reach a longer name":    {path: "api/v2/barong/managements", want: policy.Neither},
		"FX-2: a star is a raw prefix":                {path: "api/v2/arke/publications", want: policy.Pass},
		"D5: route rules fold":                        {path: "api/v2/barong/identity/sessions", want: policy.Pass},
		"AZ-73: prefix matching is the old rule":      {path: "api/v2/peatio/publicity", legacy: true, want: policy.Pass},
		"AZ-73: old rule for block":                   {path: "api/v2/barong/managements", legacy: true, want: policy.Block},
		"an empty path":                               {path: "", want: policy.Neither},
		"a path shorter than every entry":             {path: "api", want: policy.Neither},
		"a path that differs within the last segment": {path: "api/v2/barong/managemens", want: policy.Neither},
		"D5: a block holds for any case":              {path: "api/v2/barong/managemenT", want: policy.Block},
	} {
		t.Run(name, func(t *testing.T) {
			o := shipped()
			if test.legacy {
				o.Matching = policy.MatchPrefix
			}
			for who, e := range map[string]evaluator{
				"snapshot": compile(t, policy.Rows{}, rules, o), "naive": policy.Naive{Rules: rules, Options: o},
			} {
				if got := e.Route(test.path); got != test.want {
					t.Errorf("%s: got %s, want %s", who, got, test.want)
				}
			}
		})
	}
	empty := compile(t, policy.Rows{}, policy.RouteRules{}, shipped())
	if got := empty.Route("api/v2/barong/public"); got != policy.Neither {
		t.Errorf("AZ-70: without lists got %s, want neither", got)
	}
	closed, _ := policy.Compile(policy.Rows{}, policy.RouteRules{Pass: []string{""}, Block: []string{"/"}}, shipped())
	if got := closed.Route("x"); got != policy.Block {
		t.Errorf("an empty block rule: got %s, want block", got)
	}
	open, _ := policy.Compile(policy.Rows{}, policy.RouteRules{Pass: []string{""}}, shipped())
	if got := open.Route("x"); got != policy.Neither {
		t.Errorf("an empty pass rule: got %s, want neither", got)
	}
}

// The API of other services is closed to every gate, also by a file that forgets to say so, or that says the
// opposite.
func TestManagementIsBlockedWhateverTheRulesSay(t *testing.T) {
	everything := policy.Rows{Permissions: []policy.Permission{{ID: 1, Role: "superadmin", Verb: "ALL", Path: "", Action: "ACCEPT"}}}
	for _, rules := range []policy.RouteRules{{}, {Pass: []string{"api/v2/barong/management"}}, {Pass: []string{""}}, {Block: []string{"api/v2/peatio/management"}}} {
		for _, matching := range []string{policy.MatchSegment, policy.MatchPrefix} {
			for _, components := range [][]string{nil, {"*"}} {
				o := shipped()
				o.Matching = matching
				if components != nil {
					o.Components = components
				}
				s, _ := policy.Compile(everything, rules, o)
				for who, e := range map[string]evaluator{"snapshot": s, "naive": policy.Naive{Rows: everything, Rules: rules, Options: o}} {
					for _, path := range []string{"api/v2/barong/management", "api/v2/barong/management/users/get", "api/v2/barong/Management/x", "api/v2/barong/management.json"} {
						if got := e.Route(path); got != policy.Block && !(matching == policy.MatchPrefix && path == "api/v2/barong/Management/x") {
							t.Errorf("%s of %+v, %v: %s is %s, want block", who, rules, matching, path, got)
						}
					}
				}
			}
		}
	}
}

func TestComponent(t *testing.T) { // FX-6
	for name, test := range map[string]struct {
		components []string
		path       string
		want       bool
	}{
		"a default component":                      {path: "api/v2/open_finance/x", want: true},
		"the component alone":                      {path: "api/v2/barong", want: true},
		"T-NEW-2: a longer name":                   {path: "api/v2/barongadmin/activities/admin", want: false},
		"a dot suffix is part of the name":         {path: "api/v2/barong.json", want: false},
		"another version":                          {path: "api/v1/barong", want: false},
		"no component":                             {path: "api/v2", want: false},
		"nothing after the slash":                  {path: "api/v2/", want: false},
		"another root":                             {path: "admin/x", want: false},
		"the empty path":                           {path: "", want: false},
		"a configured component":                   {components: []string{"sonic"}, path: "api/v2/sonic/x", want: true},
		"configuring replaces the default":         {components: []string{"sonic"}, path: "api/v2/barong/x", want: false},
		"a star admits everything":                 {components: []string{"*"}, path: "x", want: true},
		"a first segment that is configured":       {components: []string{"barong", "/admin"}, path: "admin/x", want: true},
		"a first segment is not a third one":       {components: []string{"/admin"}, path: "api/v2/admin", want: false},
		"an empty list admits nothing":             {components: []string{}, path: "api/v2/barong", want: false},
		"an empty name admits nothing":             {components: []string{"", "/"}, path: "api/v2/", want: false},
		"upper case is another name":               {path: "api/v2/Barong", want: false},
		"a first segment must be a whole one":      {components: []string{"/admin"}, path: "administration", want: false},
		"a component is no first segment":          {components: []string{"barong"}, path: "barong/x", want: false},
		"a longer first segment than the path has": {components: []string{"/api"}, path: "api/v2/x", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := shipped()
			if test.components != nil {
				o.Components = test.components
			}
			for who, e := range map[string]evaluator{
				"snapshot": compile(t, policy.Rows{}, policy.RouteRules{}, o), "naive": policy.Naive{Options: o},
			} {
				if got := e.Component(test.path); got != test.want {
					t.Errorf("%s: got %v, want %v", who, got, test.want)
				}
			}
		})
	}
}

func TestUnreachablePatternsAreWarnedOf(t *testing.T) { // FX-2
	for pattern, want := range map[string]bool{
		"api/v2":                  false,
		"api":                     false,
		"*":                       false,
		"api/v2/peatio/admin":     false,
		"api/v2/admin/users":      false, // folds
		"api/v2/auth":             false, // as a DROP, covers paths that fold to it
		"api/v2/pea*":             false,
		"api/v2/barongadmin":      true,
		"api/v2/resource_x":       true,
		"api/v1":                  true,
		"api/v2/peatiox*":         true,
		"/api/v2/auth/admin/list": false,
	} {
		_, warnings := policy.Compile(policy.Rows{Permissions: grants("DROP ALL " + pattern)},
			policy.RouteRules{}, shipped())
		if (len(warnings) > 0) != want {
			t.Errorf("%q: got warnings %v, want some: %v", pattern, warnings, want)
		}
	}
}
