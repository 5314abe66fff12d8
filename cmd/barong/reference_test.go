package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The script completes commands, subcommands and flags in a real shell.
func TestCompletion(t *testing.T) {
	needs(t, "bash")
	c := newConsole(t)
	script := c.run("", "completion bash").want(t, 0).out
	for line, want := range map[string]string{
		"barong us":                     "users",
		"barong keys r":                 "reseal revoke rotate",
		"barong users show --u":         "--uid",
		"barong users show --uid x --e": "--email",
		"barong nonsense x":             "",
	} {
		words := strings.Fields(line)
		shell := exec.Command("bash", "-c", script+`
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _barong; printf '%s\n' "${COMPREPLY[@]}" | sort | xargs`, "-")
		shell.Args = append(shell.Args, words...)
		out, err := shell.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v %s", line, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		if out := c.run("", "completion "+shell).want(t, 0).out; !strings.Contains(out, "reset-otp") {
			t.Errorf("%s: got %s", shell, out)
		}
	}
	c.run("", "completion tcsh").want(t, 2)
}

func TestVersionFlag(t *testing.T) {
	c := newConsole(t)
	want := c.run("", "version").want(t, 0).out
	for _, flag := range []string{"--version", "-v"} {
		if got := c.run("", flag).want(t, 0).out; got != want {
			t.Errorf("%s: got %q, want %q", flag, got, want)
		}
	}
}

func TestSeedDryRun(t *testing.T) {
	c := newConsole(t)
	c.run("", "migrate").want(t, 0)
	var plan, done seedCounts
	into(t, c.run("", "seed --dry-run --format json").want(t, 0).out, &plan)
	inOrder(t, c.run("", "seed --dry-run").want(t, 0).out, "dry run, nothing is changed")
	into(t, c.run("", "seed --format json").want(t, 0).out, &done)
	if !plan.DryRun || plan.PermissionsAdded == 0 || plan.Report != done.Report {
		t.Errorf("got plan %+v, want as much as the seeding then adds: %+v", plan, done)
	}
	into(t, c.run("", "seed --dry-run --format json").want(t, 0).out, &plan)
	if plan.PermissionsAdded != 0 || plan.PermissionsKept == 0 {
		t.Errorf("got plan %+v, want nothing to add", plan)
	}
}

func TestConfigCheckConnects(t *testing.T) {
	c := newConsole(t)
	c.run("", "config check --connect").want(t, 0) // there is no file, and none is made
	c.run("", "migrate").want(t, 0)
	c.run("", "config check --connect").want(t, 0)
	var shown struct {
		Good     bool
		Problems []string
	}
	c.env = append(c.env, "BARONG_REDIS_URL=redis://127.0.0.1:1")
	into(t, c.run("", "config check --connect --format json").want(t, 1, "BARONG_REDIS_URL").out, &shown)
	if shown.Good || len(shown.Problems) != 1 {
		t.Errorf("got %+v, want one problem", shown)
	}
	c.run("", "config check").want(t, 0)
	c.env = append(c.env, "BARONG_JWT_EXPIRE_TIME=abc")
	into(t, c.run("", "config check --format json").want(t, 2).out, &shown)
	if shown.Good || len(shown.Problems) == 0 || !strings.Contains(shown.Problems[0], "BARONG_JWT_EXPIRE_TIME") {
		t.Errorf("got %+v, want the setting", shown)
	}
}

func TestStatus(t *testing.T) {
	dir := t.TempDir()
	p := serving(t, dir)
	c := beside(t, dir)
	var st status
	into(t, c.run("", "status --format json").want(t, 0).out, &st)
	if !st.Service || !st.Ready || st.Gauges["snapshot_version"] == 0 || len(st.Keys) < 3 || st.Feed == 0 {
		t.Errorf("got %+v, want a ready service with its policy and keys", st)
	}
	inOrder(t, c.run("", "status").want(t, 0).out, "version", "service", "ready", "change feed at", "snapshot_version", "key bearer")
	p.stop()
	st = status{}
	into(t, c.run("", "status --format json").want(t, 0).out, &st)
	if st.Service || len(st.Keys) < 3 {
		t.Errorf("got %+v, want the database alone", st)
	}
}
