package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barong/e2e"
)

// closing collects the last lines of the output.
var closing struct {
	sync.Mutex
	lines  []string
	notRun map[string]int // reason → number of tests that this machine could not run
}

// TestMain prints the last lines, and adds them to the file $TEST_REPORT where scripts/test
// collects them: go test hides the output of a package that passes.
func TestMain(m *testing.M) {
	closing.notRun = map[string]int{}
	code := m.Run()
	built.clean()
	text := ""
	for _, line := range closing.lines {
		text += "e2e: " + line + "\n"
	}
	for _, why := range slices.Sorted(maps.Keys(closing.notRun)) {
		text += fmt.Sprintf("e2e: NOT RUN: %d tests: %s\n", closing.notRun[why], why)
	}
	fmt.Print(text)
	if path := os.Getenv("TEST_REPORT"); path != "" {
		if f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			f.WriteString(text)
			f.Close()
		}
	}
	os.Exit(code)
}

// report adds one of the last lines.
func report(line string) {
	closing.Lock()
	defer closing.Unlock()
	closing.lines = append(closing.lines, line)
}

// missing reports that the test could not run: skipped here, failed where CI=true.
func missing(t testing.TB, reason string) {
	t.Helper()
	closing.Lock()
	closing.notRun[reason]++
	closing.Unlock()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT RUN, and CI=true: %s", reason)
	}
	t.Skipf("NOT RUN: %s", reason)
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tool is the path of envoy, nginx or caddy.
func tool(t testing.TB, name string) string {
	t.Helper()
	bin, err := e2e.Tool(t.Context(), root(t), name)
	if errors.Is(err, e2e.ErrNone) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// built is the barong binary, compiled once for all tests ($BARONG_BIN instead, if set).
var built binary

type binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func (b *binary) clean() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

func barongBin(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.path = os.Getenv("BARONG_BIN"); built.path != "" {
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "barong-e2e"); built.err == nil {
			built.path, built.err = e2e.Build(t.Context(), root(t), built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// upstream is an echo on a private port; its host:port.
func upstream(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(e2e.Echo())
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// gateways are the kinds that startProxy knows.
var gateways = []string{"envoy", "envoy-http", "nginx", "caddy"}

// startProxy runs one kind of gateway in front of the given places until the test ends.
func startProxy(t testing.TB, kind string, places e2e.Places) e2e.Proxy {
	t.Helper()
	dir := root(t)
	var p e2e.Proxy
	var err error
	switch kind {
	case "envoy":
		p, err = e2e.StartEnvoy(t.Context(), tool(t, "envoy"), dir+"/envoy.yaml", t.TempDir(), places)
	case "envoy-http":
		p, err = e2e.StartEnvoy(t.Context(), tool(t, "envoy"), dir+"/deploy/envoy-http.yaml", t.TempDir(), places)
	case "nginx":
		p, err = e2e.StartNginx(t.Context(), tool(t, "nginx"), dir, t.TempDir(), places)
	case "caddy":
		p, err = e2e.StartCaddy(t.Context(), tool(t, "caddy"), dir, t.TempDir(), places)
	default:
		t.Fatalf("no such gateway: %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	return p
}

// A serving speaks HTTP at its URL: a gateway, or a listener of Barong.
type serving interface{ URL() string }

// An answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// echoed decodes the request that the upstream saw; it fails the test when the answer is not the
// echo's.
func (a answer) echoed(t testing.TB) e2e.Echoed {
	t.Helper()
	var seen e2e.Echoed
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &seen) != nil || seen.Method == "" {
		t.Fatalf("got %d %q, want the upstream's answer", a.status, a.body)
	}
	return seen
}

// raw sends a request byte for byte, which no HTTP client would do for an odd path or header,
// and reads the answer. head is the request line and headers without Host; lines end in \n.
func raw(t testing.TB, p serving, head string, body ...string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, headers, _ := strings.Cut(strings.TrimSpace(head), "\n")
	text := line + "\nHost: gateway.test\nConnection: close\n" + headers
	text = strings.TrimRight(text, "\n") + "\n"
	if len(body) > 0 {
		text += fmt.Sprintf("Content-Length: %d\n", len(strings.Join(body, "")))
	}
	text = strings.ReplaceAll(text+"\n", "\n", "\r\n") + strings.Join(body, "")
	// The gateway may answer and close before it has read everything.
	io.WriteString(conn, text)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}
