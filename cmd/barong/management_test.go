package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// A path belongs to one of the two listeners, however it is written.
func TestManagementPathsHaveOneListener(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	status := func(h http.Handler, path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, http.NoBody))
		return w.Code
	}
	for path, management := range map[string]bool{
		"/api/v2/management": true, "/api/v2/management/": true, "/api/v2/management/users/get": true,
		"/api/v2/barong/management/labels": true, "/api/v2/auth/management/labels": true,
		"/api/v2/%6danagement/labels": true, "/api/v2//management/labels": true, "/api/v2/barong/../management/x": true,
		"/api/v2/management%2Flabels": true, "/api/v2/Management/labels": true, "/api/v2/./management/x?a=b": true,
		"/api/v2/managements": false, "/api/v2/public/time": false, "/": false, "/api/v2/peatio/management/x": false,
		"/api/v2/management/../public/time": false, "/api/v2/management/%2e%2e/public/time": true,
	} {
		own, public := http.StatusTeapot, http.StatusNotFound
		if !management {
			own, public = public, own
		}
		if got := status(managementOnly(reached), path); got != own {
			t.Errorf("%s at its own listener: %d, want %d", path, got, own)
		}
		if got := status(withoutManagement(reached), path); got != public {
			t.Errorf("%s at REST: %d, want %d", path, got, public)
		}
	}
}

func TestManagementHasAListenerOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	a.issue(t, "server", at("cert.pem"), at("key.pem"))
	a.issue(t, "client", at("client.pem"), at("client.key"))
	if err := os.WriteFile(at("ca.pem"), a.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	p := serving(t, dir, "BARONG_GATE=off", "BARONG_MANAGEMENT_ADDR=127.0.0.1:0", "BARONG_MANAGEMENT_TLS_CERT="+at("cert.pem"),
		"BARONG_MANAGEMENT_TLS_KEY="+at("key.pem"), "BARONG_MANAGEMENT_TLS_CLIENT_CA="+at("ca.pem"))
	management, _ := p.logged("serving")["management"].(string)
	post := func(url string, c *tls.Config) (string, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: within}
		defer client.CloseIdleConnections()
		resp, err := client.Post(url, "application/json", strings.NewReader("{}"))
		if err != nil {
			return "", err
		}
		return fmt.Sprint(resp.StatusCode, " ", text(t, resp)), nil
	}
	known, stranger := a.client(t, at("client.pem"), at("client.key")), a.client(t, "", "")
	const unknown = `404 {"error":"Route is not found"}`
	for name, c := range map[string]struct {
		url  string
		tls  *tls.Config
		want string
	}{
		"management at REST":      {"http://" + p.http + "/api/v2/management/timestamp", nil, unknown},
		"management by its alias": {"http://" + p.http + "/api/v2/barong/management/timestamp", nil, unknown},
		"REST at management":      {"https://" + management + "/api/v2/identity/sessions", known, unknown},
		"management there":        {"https://" + management + "/api/v2/management/timestamp", known, `401 {"error":"Failed to verify JWT."}`},
		"decisions there":         {"https://" + management + "/api/v2/auth/api/v2/barong/public/time", known, unknown},
		"management by a gate":    {"http://" + p.forward + "/api/v2/auth/api/v2/barong/management/timestamp", nil, `401 {"errors":["authz.permission_denied"]}`},
	} {
		if got, err := post(c.url, c.tls); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	// The refused message is in the log and in the figures, by its reason.
	if line := p.logged("request"); line["reason"] != "form" || !strings.Contains(fmt.Sprint(line["detail"]), "no payload") {
		t.Errorf("the line of the refused message: %v", line)
	}
	if got := p.page("/metrics"); !strings.Contains(got, `barong_management_refused_total{reason="form"} 1`) ||
		!strings.Contains(got, `barong_management_refused_total{reason="replayed"} 0`) {
		t.Error("the figures do not count the refused message by its reason")
	}
	if got, err := post("https://"+management+"/api/v2/management/timestamp", stranger); err == nil {
		t.Errorf("without a certificate: %q, want a failed handshake", got)
	}
	p.stop()
}

func TestConfigCheckLooksAtPeers(t *testing.T) {
	dir := t.TempDir()
	p := peertest.New(t)
	check := func(text string, environ ...string) (out string, status int) {
		path := filepath.Join(dir, "management_api.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		status = run(t.Context(), []string{"config", "check"}, &terminal{
			in: strings.NewReader(""), out: &all, err: &all,
			environ: append(environ, "BARONG_MANAGEMENT_API_FILE="+path, "BARONG_DATABASE_URL=sqlite:"+filepath.Join(dir, "barong.db")),
		})
		return all.String(), status
	}
	for name, c := range map[string]struct {
		text    string
		environ []string
		status  int
		want    string
	}{
		"a good file":           {p.Text(t, "{}", "read_users", "write_roles"), nil, 0, ""},
		"a scope of nothing":    {p.Text(t, "{}", "read_user"), nil, 0, `no endpoint has the scope "read_user"; did you mean "read_users"?`},
		"replay":                {p.Text(t, "{}", "tools"), []string{"BARONG_MANAGEMENT_REPLAY=off"}, 0, "BARONG_MANAGEMENT_REPLAY is off"},
		"a broken file":         {strings.Replace(p.Text(t, "{}", "tools"), "RS256", "HS256", 1), nil, 2, "Invalid public key format for key james"},
		"a file for old bodies": {p.Text(t, "{verify_expiration: false}", "tools"), nil, 2, "verify_expiration"},
		"with replay off":       {p.Text(t, "{verify_expiration: false}", "tools"), []string{"BARONG_MANAGEMENT_REPLAY=off"}, 0, ""},
	} {
		out, status := check(c.text, c.environ...)
		if status != c.status || !strings.Contains(out, c.want) || c.want == "" && strings.Contains(out, "BARONG_MANAGEMENT_API") {
			t.Errorf("%s: exit status %d, %s; want %d and %q", name, status, out, c.status, c.want)
		}
	}
}

func TestManagementSign(t *testing.T) {
	dir := t.TempDir()
	p := peertest.New(t)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	alex, jeff, james := file("alex.pem", p.PrivatePEM(t, "alex")), file("jeff.pem", p.PrivatePEM(t, "jeff")), file("james.pem", p.PrivatePEM(t, "james"))
	public := file("public.pem", p.PublicPEM(t, "alex"))
	data := file("data.json", `{"uid":"ID2"}`)
	sign := func(in string, args ...string) (body string, status int) {
		var out, errs strings.Builder
		status = run(t.Context(), append([]string{"management", "sign"}, args...),
			&terminal{in: strings.NewReader(in), out: &out, err: &errs})
		if strings.Contains(errs.String(), "PRIVATE") {
			t.Errorf("%v: the error quotes the key: %s", args, errs.String())
		}
		return out.String(), status
	}
	for name, c := range map[string]struct {
		in, path, data string
		args           []string
		signers        string
	}{
		"one key":             {args: []string{"--key", "alex=" + alex, `{"uid":"ID1"}`}, data: `{"uid":"ID1"}`, signers: "alex"},
		"several keys":        {args: []string{"--key", "jeff=" + jeff, "--key", "alex=" + alex}, data: "{}", signers: "alex jeff"},
		"a file":              {args: []string{"--key", "alex=" + alex, "@" + data}, data: `{"uid":"ID2"}`, signers: "alex"},
		"standard input":      {args: []string{"--key", "alex=" + alex, "-"}, in: `{"uid":"ID3"}`, data: `{"uid":"ID3"}`, signers: "alex"},
		"bound to a call":     {args: []string{"--key", "alex=" + alex, "--bind", "POST /users/get"}, path: "/users/get", data: "{}", signers: "alex"},
		"one that is ignored": {args: []string{"--key", "alex=" + alex, "--key", "james:RS256=" + james}, data: "{}", signers: "alex"},
	} {
		body, status := sign(c.in, c.args...)
		if status != 0 {
			t.Errorf("%s: exit status %d", name, status)
			continue
		}
		m, err := p.Verifier(t, peer.ReplayEnforce, time.Now, "tools").Verify(t.Context(),
			peer.Request{Scope: "tools", Method: "POST", Path: c.path, Body: []byte(body)})
		if err != nil || string(m.Data) != c.data || strings.Join(m.Signers, " ") != c.signers {
			t.Errorf("%s: data %s, signers %v, %v", name, m.Data, m.Signers, err)
		}
	}
	for name, args := range map[string][]string{
		"no key":                     {"{}"},
		"a key without a name":       {"--key", alex},
		"a file that is not there":   {"--key", "alex=" + alex + "x"},
		"a public key":               {"--key", "alex=" + public},
		"another algorithm":          {"--key", "alex:RS256=" + alex},
		"HS256":                      {"--key", "alex:HS256=" + alex},
		"a list":                     {"--key", "alex=" + alex, "[1]"},
		"no JSON":                    {"--key", "alex=" + alex, "uid=1"},
		"a life that is too long":    {"--key", "alex=" + alex, "--life", "301s"},
		"a binding without a method": {"--key", "alex=" + alex, "--bind", "/users"},
	} {
		if body, status := sign("", args...); status != 2 || body != "" {
			t.Errorf("%s: exit status %d, %q; want 2", name, status, body)
		}
	}
}
