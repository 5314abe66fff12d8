package main

import (
	"barong/internal/view"
	"encoding/json"
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
