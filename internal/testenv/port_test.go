package testenv_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"barong/internal/testenv"
)

// A port that was handed out and is not listened on, as while its server is down, is handed out
// to nobody else: neither in this process nor in another one.
func TestPortsAreHandedOutOnce(t *testing.T) {
	const many = 300 // of 12,000, twice: by chance some would be the same
	if list := os.Getenv("TESTENV_PORTS"); list != "" {
		var b strings.Builder
		for range many {
			port, err := testenv.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(strconv.Itoa(port) + "\n")
		}
		if err := os.WriteFile(list, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	seen := map[string]bool{}
	for range many {
		port, err := testenv.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[strconv.Itoa(port)] {
			t.Errorf("%d was handed out twice", port)
		}
		seen[strconv.Itoa(port)] = true
	}
	list := filepath.Join(t.TempDir(), "ports")
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestPortsAreHandedOutOnce$")
	other.Env = append(os.Environ(), "TESTENV_PORTS="+list)
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(text))
	if len(theirs) != many {
		t.Fatalf("the other process got %d ports, want %d", len(theirs), many)
	}
	for _, port := range theirs {
		if seen[port] {
			t.Errorf("%s was handed out to another process", port)
		}
	}
}
