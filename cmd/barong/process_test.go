package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/internal/testenv"
)

// within is the longest wait for an effect that should come at once, on a busy machine.
const within = 20 * time.Second

// A process is `barong serve`, the real program.
type process struct {
	t       *testing.T
	dir     string // its working directory
	out     *testenv.Log
	err     *testenv.Log
	ended   chan struct{}
	cmd     *exec.Cmd
	started time.Time
	// Where it listens, once it serves.
	http, grpc, forward, ops string
}

// start runs `barong serve` in dir with nothing in its environment but env, on ports of the
// system's choice.
func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir, out: new(testenv.Log), err: new(testenv.Log), ended: make(chan struct{})}
	p.cmd = exec.Command(path, "serve")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.err
	for _, key := range []string{"HTTP", "GRPC", "FORWARD", "OPS"} {
		name := "BARONG_" + key + "_ADDR="
		if !strings.Contains(strings.Join(env, "\n"), name) {
			env = append(env, name+"127.0.0.1:0")
		}
	}
	p.cmd.Env = env
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says how it ended
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", p.out, p.err)
		}
	})
	return p
}

// serving is start, returning when the process is ready.
func serving(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := start(t, dir, env...)
	p.eventually("the line that says where it serves", func() bool {
		line := p.logged("serving")
		for key, into := range map[string]*string{"http": &p.http, "grpc": &p.grpc, "forward": &p.forward, "ops": &p.ops} {
			*into, _ = line[key].(string)
		}
		return line != nil
	})
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK })
	return p
}

// eventually polls ok until it is true; the process must not end before.
func (p *process) eventually(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-p.ended:
			if !ok() {
				p.t.Fatalf("the process ended (%s) before %s", p.cmd.ProcessState, what)
			}
			return
		case <-deadline:
			p.t.Fatalf("no %s in %s", what, within)
		case <-tick.C:
		}
	}
}

// logged is the first log line with that message, nil when there is none yet.
func (p *process) logged(msg string) map[string]any {
	p.t.Helper()
	lines := bufio.NewScanner(strings.NewReader(p.err.String()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == msg {
			return line
		}
	}
	return nil
}

// status returns the status of the ops listener's answer, 0 when there is none.
func (p *process) status(path string) int {
	resp, err := http.Get("http://" + p.ops + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (p *process) page(path string) string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.ops + path)
	if err != nil {
		p.t.Fatal(err)
	}
	return text(p.t, resp)
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit status.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("still running after %s", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop asks it to end, which must work.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if got := p.exit(); got != 0 {
		p.t.Fatalf("after SIGTERM: got exit status %d, want 0", got)
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// data is the directory of its database.
func (p *process) data() string { return filepath.Join(p.dir, "data") }

// password is the first superadmin's, as printed.
func (p *process) password() string {
	p.t.Helper()
	_, after, ok := strings.Cut(p.out.String(), "\npassword     ")
	password, _, _ := strings.Cut(after, " ")
	if !ok || password == "" {
		p.t.Fatalf("no password printed:\n%s", p.out)
	}
	return password
}

// A browser talks to the REST listener and keeps cookies, as curl -c and -b do.
type browser struct {
	t      *testing.T
	p      *process
	client http.Client
	csrf   string
}

func newBrowser(p *process) *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &browser{t: p.t, p: p, client: http.Client{Jar: jar, Timeout: within}}
}

// at is the same browser in front of another process.
func (b *browser) at(p *process) *browser { return &browser{b.t, p, b.client, b.csrf} }

// do sends one request; a body is a form. Headers are pairs.
func (b *browser) do(method, path string, form url.Values, headers ...string) (int, string) {
	b.t.Helper()
	status, body, err := b.try(method, path, form, headers...)
	if err != nil {
		b.t.Fatal(err)
	}
	return status, body
}

func (b *browser) try(method, path string, form url.Values, headers ...string) (int, string, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, "http://"+b.p.http+path, body)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("User-Agent", "curl/8")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.csrf != "" {
		req.Header.Set("X-CSRF-Token", b.csrf)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// want fails the test unless the answer has that status and holds the text.
func (b *browser) want(status int, holds, method, path string, form url.Values, headers ...string) string {
	b.t.Helper()
	got, body := b.do(method, path, form, headers...)
	if got != status || !strings.Contains(body, holds) {
		b.t.Errorf("%s %s: got %d %s, want %d with %q", method, path, got, body, status, holds)
	}
	return body
}

// signIn makes the browser a user's.
func (b *browser) signIn(email, password string) *browser {
	b.t.Helper()
	var u struct {
		CSRFToken string `json:"csrf_token"`
	}
	body := b.want(201, `"csrf_token"`, "POST", "/api/v2/identity/sessions", url.Values{"email": {email}, "password": {password}})
	into(b.t, body, &u)
	b.csrf = u.CSRFToken
	return b
}

// cookie is the session's value.
func (b *browser) cookie() string {
	b.t.Helper()
	for _, c := range b.client.Jar.Cookies(&url.URL{Scheme: "http", Host: b.p.http, Path: "/"}) {
		if c.Name == "_barong_session" {
			return c.Value
		}
	}
	b.t.Fatal("no session cookie")
	return ""
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b)
}

// raw sends one request byte for byte.
func raw(t *testing.T, addr, line string, headers ...string) *http.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	request := line + " HTTP/1.1\r\n"
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		request += "Host: " + addr + "\r\n"
	}
	for _, h := range append(headers, "User-Agent: curl/8", "Content-Length: 0", "Connection: close") {
		request += h + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// apiKey switches on a second factor and makes a key, as a person does.
func (b *browser) apiKey() (key struct{ Kid, Secret string }) {
	b.t.Helper()
	var qr struct{ Data struct{ URL string } }
	into(b.t, b.want(200, "otpauth://", "POST", "/api/v2/resource/otp/generate_qrcode", url.Values{}), &qr)
	link, err := url.Parse(qr.Data.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	begun := time.Now()
	code := func(step int) string { // each works once, and the next step's is accepted early
		b.t.Helper()
		c, err := totp.GenerateCode(link.Query().Get("secret"), begun.Add(time.Duration(step)*30*time.Second))
		if err != nil {
			b.t.Fatal(err)
		}
		return c
	}
	b.want(200, "", "POST", "/api/v2/resource/otp/enable", url.Values{"code": {code(0)}})
	into(b.t, b.want(201, `"secret"`, "POST", "/api/v2/resource/api_keys",
		url.Values{"algorithm": {"HS256"}, "totp_code": {code(1)}}), &key)
	return key
}
