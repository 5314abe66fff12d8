package peer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// Every program of docs/management.md makes a call that is accepted. Those whose interpreter is not
// installed are skipped.
func TestExamplesOfTheDocumentAreAccepted(t *testing.T) {
	text, err := os.ReadFile("../../docs/management.md")
	if err != nil {
		t.Fatal(err)
	}
	p := peertest.New(t)
	p.Add(t, "backend-1.example", "EdDSA")
	file := strings.Replace(p.Text(t, "{}"), "  {}\n",
		"  tools: {permitted_signers: [backend-1.example], mandatory_signers: [backend-1.example]}\n", 1)
	f, err := peer.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewVerifier(peer.Config{Replay: peer.ReplayEnforce}, f, new(peertest.Memory), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Method == http.MethodPost && r.URL.Path == "/api/v2/management/timestamp" && r.Header.Get("Content-Type") == "application/json" {
			_, err = v.Verify(r.Context(), peer.Request{Scope: "tools", Method: r.Method, Path: "/timestamp", Body: body})
		} else if err == nil {
			err = fmt.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"timestamp":1}`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, []byte(p.PrivatePEM(t, "backend-1.example")), 0o600); err != nil {
		t.Fatal(err)
	}
	barong := "barong() { go run barong/cmd/barong \"$@\"; }\n"
	for language, x := range map[string]struct {
		name, before, want string
		needs, run         []string
	}{
		"sh":     {"call.sh", barong, `{"timestamp":1}`, []string{"curl", "--version"}, []string{"sh"}},
		"go":     {"call.go", "", `201 {"timestamp":1}`, []string{"go", "version"}, []string{"go", "run"}},
		"js":     {"call.js", "", `201 {"timestamp":1}`, []string{"node", "--version"}, []string{"node"}},
		"python": {"call.py", "", `201 {"timestamp":1}`, []string{"python3", "-c", "import cryptography"}, []string{"python3"}},
		"ruby":   {"call.rb", "", `201 {"timestamp":1}`, []string{"ruby", "-ropenssl", "-e", ""}, []string{"ruby"}},
	} {
		t.Run(language, func(t *testing.T) {
			_, after, ok := strings.Cut(string(text), "\n```"+language+"\n")
			program, _, ended := strings.Cut(after, "\n```")
			if !ok || !ended {
				t.Fatal("the document has no such example")
			}
			if err := exec.CommandContext(t.Context(), x.needs[0], x.needs[1:]...).Run(); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s: %v", strings.Join(x.needs, " "), err)
				}
				t.Skipf("%s: %v", strings.Join(x.needs, " "), err)
			}
			path := filepath.Join(dir, x.name)
			if err := os.WriteFile(path, []byte(x.before+program+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), x.run[0], append(x.run[1:], path)...)
			cmd.Env = append(os.Environ(), "KEY="+key, "URL="+server.URL)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != x.want {
				t.Errorf("got %q, %v; want %q", out, err, x.want)
			}
		})
	}
}
