package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"barong/e2e"
)

// The calls of the public React client, in a real browser, through the shipped envoy.yaml with
// the route that docs/frontend.md adds for the page: none of them ends in an error that the client
// does not expect. Only a browser shows its part: which cookies it keeps and sends back, and many
// requests at once.
func TestFrontEndInABrowser(t *testing.T) {
	chromium := browser(t)
	at, err := e2e.FreeAddresses()
	must(t, err)
	desk := &frontDesk{t: t, reported: make(chan frontReport, 1), used: map[string]int64{}}
	page := httptest.NewServer(desk)
	t.Cleanup(page.Close)
	places, err := e2e.FreePlaces(at, upstream(t))
	must(t, err)
	places.Edit = func(_ string, file []byte) []byte { return withPage(t, file, page.URL) }
	_, port, _ := strings.Cut(places.Listen, ":")
	desk.origin = "http://localhost:" + port // on which browsers keep Secure cookies

	dir := t.TempDir()
	bin := barongBin(t)
	env := []string{
		"BARONG_MAIL_DELIVERY=folder", "BARONG_STAFF_REQUIRES_2FA=false", "BARONG_DOMAIN=" + desk.origin, "BARONG_JWT_ALGORITHM=EdDSA",
		fmt.Sprintf("BARONG_SESSION_EXPIRE_TIME=%ds", int(frontExpiry.Seconds())),
		"BARONG_DATABASE_URL=sqlite:" + dir + "/barong.db",
	}
	create := exec.CommandContext(t.Context(), bin, "users", "create", "--email", staffEmail, "--role", "superadmin", "--level", "1")
	create.Env, create.Dir, create.Stdin = env, dir, strings.NewReader(staffPassword+"\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("users create: %v\n%s", err, out)
	}
	barong, err := e2e.StartBarong(t.Context(), bin, dir, at, env...)
	must(t, err)
	t.Cleanup(func() { barong.Stop() })
	desk.barong = barong
	desk.gate = startProxy(t, "envoy", places)

	got := desk.visit(t, chromium)
	for _, wrong := range got.Wrong {
		t.Error(wrong)
	}
	if len(got.Done) == 0 || t.Failed() {
		t.Logf("done: %q", got.Done)
	}
	report(fmt.Sprintf("front end: %d ways through it in a browser", len(got.Done)))
}

const (
	staffEmail, staffPassword = "boss@example.com", "Correct-Horse-9-Battery"
	// frontExpiry is the idle time of sessions, which the page waits for once.
	frontExpiry = 8 * time.Second
	// frontLimit ends a visit that reports nothing.
	frontLimit = 5 * time.Minute
)

// browser is the path of Chromium ($CHROMIUM_BIN, or on PATH).
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM_BIN"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	missing(t, "no Chromium; scripts/services installs it")
	return ""
}

// withPage is envoy.yaml with the last route of docs/frontend.md, to the page's server.
func withPage(t *testing.T, file []byte, page string) []byte {
	t.Helper()
	doc, err := os.ReadFile(root(t) + "/docs/frontend.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	block, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(block, "disabled: true") {
		t.Fatal("docs/frontend.md shows no route for the page")
	}
	route := ""
	for line := range strings.Lines(block) {
		route += strings.Repeat(" ", 11) + line // three of them are the list's in the document
	}
	at, err := url.Parse(page)
	must(t, err)
	cluster := fmt.Sprintf(`
  - name: frontend
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: frontend
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: %s, port_value: %s } } }
`, at.Hostname(), at.Port())
	const clusters = "\n  clusters:\n"
	if bytes.Count(file, []byte(clusters)) != 1 {
		t.Fatal("envoy.yaml has not one list of clusters after its routes")
	}
	return bytes.Replace(file, []byte(clusters), []byte("\n"+strings.TrimRight(route, " \n")+"\n"+clusters+strings.TrimPrefix(cluster, "\n")), 1)
}

// frontReport is the page's report at the end.
type frontReport struct{ Done, Wrong []string }

// frontDesk serves the page, and is the mailbox, authenticator app and member of staff of the
// person before it.
type frontDesk struct {
	t        *testing.T
	origin   string
	barong   *e2e.Barong
	gate     e2e.Proxy
	reported chan frontReport

	mu   sync.Mutex
	used map[string]int64 // the newest time step whose code was given out, by secret
}

func (d *frontDesk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ask, isHelp := strings.CutPrefix(r.URL.Path, "/help/")
	switch {
	case !isHelp:
		http.ServeFile(w, r, root(d.t)+"/e2e/testdata/page.html")
	case ask == "mail":
		fmt.Fprint(w, d.mailed(r.URL.Query().Get("name")))
	case ask == "code":
		fmt.Fprint(w, d.code(r.URL.Query().Get("secret")))
	case ask == "whitelink":
		fmt.Fprint(w, d.whitelink())
	case ask == "expiry":
		fmt.Fprint(w, frontExpiry.Milliseconds())
	case ask == "report":
		var got frontReport
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Wrong = []string{"the report: " + err.Error()}
		}
		d.reported <- got
	default:
		http.NotFound(w, r)
	}
}

// mailed is the token of the newest link with the parameter, "" when none came in ten seconds.
func (d *frontDesk) mailed(name string) string {
	link := regexp.MustCompile(regexp.QuoteMeta(name) + `=([\w.-]+)`)
	for range 100 {
		if all := link.FindAllStringSubmatch(d.barong.Output(), -1); len(all) > 0 {
			return all[len(all)-1][1]
		}
		time.Sleep(100 * time.Millisecond)
	}
	return ""
}

// code is one that no request has had yet: of a step that is at most one away from now. It is ""
// when that is still to come.
func (d *frontDesk) code(secret string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().Unix() / 30
	step := max(d.used[secret]+1, now-1)
	if now+1 < step {
		return ""
	}
	d.used[secret] = step
	code, err := totp.GenerateCode(secret, time.Unix(step*30, 0))
	if err != nil {
		return err.Error()
	}
	return code
}

// whitelink is a magic link that staff have made.
func (d *frontDesk) whitelink() string {
	boss := &person{email: staffEmail, password: staffPassword, ip: "127.0.0.1", cookies: map[string]string{}}
	got := boss.ask(d.t, d.gate, "POST", "/identity/sessions", map[string]string{"email": boss.email, "password": boss.password})
	var who struct {
		CSRF string `json:"csrf_token"`
	}
	_ = json.Unmarshal([]byte(got.body), &who)
	boss.csrf = who.CSRF
	got = boss.ask(d.t, d.gate, "POST", "/admin/restrictions/whitelink", map[string]string{})
	var made struct {
		Token string `json:"whitelink_token"`
	}
	_ = json.Unmarshal([]byte(got.body), &made)
	return made.Token // Barong refuses "", and the page reports that
}

// visit opens the page and returns its report.
func (d *frontDesk) visit(t *testing.T, chromium string) frontReport {
	t.Helper()
	dir := t.TempDir()
	p, err := e2e.StartBrowser(chromium, dir, d.origin)
	must(t, err)
	defer p.Stop()
	select {
	case got := <-d.reported:
		return got
	case <-time.After(frontLimit):
		t.Fatalf("the page reported nothing in %s:\n%s\n%s", frontLimit, e2e.Tail(p.Output(), 20), e2e.Tail(d.barong.Output(), 20))
	case <-t.Context().Done():
	}
	return frontReport{}
}
