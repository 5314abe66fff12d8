package main

import (
	"barong/internal/view"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplainCommand(t *testing.T) {
	c := newConsole(t)
	c.run("", "seed").want(t, 0)
	out := c.run("", "explain GET /api/v2/peatio/public/markets").want(t, 0).out
	if !strings.Contains(out, "a pass rule") || !strings.Contains(out, "allowed") {
		t.Errorf("got %s, want a pass rule that allows", out)
	}
	var e view.Explanation
	text := c.run("", "explain POST /api/v2/management/x --format json --ip 192.0.2.1").want(t, 0).out
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, `"permissions": []`, `"permissions": null`)), &e); err != nil {
		t.Fatal(err)
	}
	if e.Allowed || e.Status != 401 || e.Reason != "authz.permission_denied" || e.Path != "api/v2/barong/management/x" {
		t.Errorf("got %+v, want the block rule", e)
	}
	c.run("", "explain GET /x --ip nowhere").want(t, 2, "--ip")
	c.run("", "explain GET /x --uid a --kid b").want(t, 2)
}

// A refusal by permissions names the row that refuses, or the lack of one that accepts.
func TestExplainNamesTheRow(t *testing.T) {
	seeds := filepath.Join(t.TempDir(), "seeds.yml")
	text := `permissions:
- { role: superadmin, verb: all, path: api/v2, action: accept }
- { role: member, verb: all, path: api/v2/peatio, action: accept }
- { role: member, verb: get, path: api/v2/peatio/secret, action: drop }
`
	if err := os.WriteFile(seeds, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newConsole(t, "BARONG_SEEDS="+seeds)
	c.run("", "seed").want(t, 0)
	c.person("one@barong.example", "Correct-Horse-9-Battery")
	for path, want := range map[string]string{
		"/api/v2/peatio/secret/x":      "DROP by row ",
		"/api/v2/barong/admin/metrics": "no ACCEPT row covers GET api/v2/barong/admin/metrics",
		"/api/v2/peatio/x":             "allowed",
	} {
		if out := c.run("", "explain GET "+path+" --email one@barong.example").want(t, 0).out; !strings.Contains(out, want) {
			t.Errorf("%s: got %s, want %q", path, out, want)
		}
	}
}
