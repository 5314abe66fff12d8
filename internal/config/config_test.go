package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoadReadsTheEnvironment(t *testing.T) {
	got, err := Load([]string{
		"PATH=/bin", "BARONG_HTTP_ADDR=127.0.0.1:1", "BARONG_SESSION_EXPIRE_TIME=90",
		"BARONG_JWT_REUSE=2m", "BARONG_JWT_EXPIRE_TIME=5m", "BARONG_APIKEY_NONCE_LIFETIME=7000",
		"BARONG_GATEWAY_COMPONENTS= barong , peatio ", "BARONG_CSRF_PROTECTION=false",
		"BARONG_TRUSTED_PROXIES=10.1.2.3/8,192.0.2.1", "BARONG_SEEDS_FILE=seeds.yml",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen.HTTP = "127.0.0.1:1"
	want.Session.Expire = 90 * time.Second
	want.Token.Reuse = 2 * time.Minute
	want.APIKey.NonceLifetime = 7 * time.Second
	want.Policy.Components = []string{"barong", "peatio"}
	want.Policy.Seeds = "seeds.yml"
	want.Decision.CSRFProtection = false
	want.Client.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("settings differ (-want +got):\n%s", d)
	}
}

func TestLoadReportsEveryProblemAtOnce(t *testing.T) {
	_, err := Load([]string{
		"BARONG_HTP_ADDR=127.0.0.1:1", "BARONG_CSRF_PROTECTION=yes", "BARONG_GATEWAY=fastly",
		"BARONG_SESSION_EXPIRE_TIME=soon", "BARONG_JWT_REUSE=200",
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"BARONG_HTP_ADDR: no such setting; the nearest is BARONG_HTTP_ADDR",
		`BARONG_CSRF_PROTECTION: must be true or false; got "yes"`,
		`BARONG_GATEWAY: must be one of none, cloudflare, akamai; got "fastly"`,
		`BARONG_SESSION_EXPIRE_TIME: must be seconds or a duration such as 5m or 250ms; got "soon"`,
		"BARONG_JWT_REUSE: must be at most half",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load([]string{"BARONG_SECRET_KEY_FILE=" + path})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stores.SecretKey.Reveal(); got != "from-a-file" {
		t.Errorf("secret key: got %q", got)
	}
	if strings.Contains(s.Stores.SecretKey.String(), "from") {
		t.Error("a secret prints itself")
	}
	for name, environ := range map[string][]string{
		"both set":             {"BARONG_SECRET_KEY_FILE=" + path, "BARONG_SECRET_KEY=x"},
		"not a secret":         {"BARONG_HTTP_ADDR_FILE=" + path},
		"no such file":         {"BARONG_SECRET_KEY_FILE=" + path + "x"},
		"alias and its key":    {"BARONG_SEEDS=a", "BARONG_SEEDS_FILE=b"},
		"settings do not nest": {"BARONG_SETTINGS_FILE=x"},
	} {
		if _, err := Load(environ); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestVariablesOfKubernetesAreIgnored(t *testing.T) {
	_, err := Load([]string{
		"BARONG_SERVICE_HOST=10.0.0.1", "BARONG_SERVICE_PORT=8001", "BARONG_SERVICE_PORT_HTTP=8001",
		"BARONG_PORT=tcp://10.0.0.1:8001", "BARONG_PORT_8001_TCP=tcp://10.0.0.1:8001",
		"BARONG_PORT_8001_TCP_PROTO=tcp", "BARONG_PORT_8001_TCP_ADDR=10.0.0.1",
		"BARONG_REDIS_SERVICE_HOST=10.0.0.2", "BARONG_REDIS_PORT_6379_TCP_PORT=6379",
	})
	if err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestSettingsFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "barong.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "BARONG_SETTINGS=" + path
	}
	s, err := Load([]string{
		write("session_expire_time: 60\ngateway_components: [barong, peatio]\ncsrf_protection: false\n"),
		"BARONG_SESSION_EXPIRE_TIME=61",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Session.Expire != 61*time.Second {
		t.Errorf("the environment must win: got %s", s.Session.Expire)
	}
	if d := cmp.Diff([]string{"barong", "peatio"}, s.Policy.Components); d != "" || s.Decision.CSRFProtection {
		t.Errorf("file values not taken: %s %v", d, s.Decision.CSRFProtection)
	}
	for name, x := range map[string]struct{ text, want string }{
		"unknown key":     {"\nsesion_expire_time: 60\n", "sesion_expire_time in FILE, line 2: no such setting; the nearest is session_expire_time"},
		"value is nested": {"domain:\n  name: x\n", "domain in FILE, line 1: must be text, a number, true or false, or a list of these"},
		"list of lists":   {"gateway_components: [[a]]\n", "gateway_components in FILE, line 1: must be text, a number, true or false, or a list of these"},
		"wrong value":     {"domain: x\nsession_expire_time: soon\n", "session_expire_time in FILE, line 2: "},
		"not YAML":        {"domain: x\na: [\n", "BARONG_SETTINGS: FILE: line 2: read YAML: "},
		"no mapping":      {"- a\n", "BARONG_SETTINGS: FILE: line 1: the file must be a mapping"},
		"a template":      {"domain: <%= ENV['X'] %>\n", "BARONG_SETTINGS: FILE: line 1: this is a template"},
		"a key twice":     {"domain: a\ndomain: b\n", `BARONG_SETTINGS: FILE: line 2: settings: key "domain" is there twice`},
		"both names":      {"seeds: a\nseeds_file: b\n", "seeds in FILE, line 1 and seeds_file in FILE, line 2 mean the same; give one"},
	} {
		_, err := Load([]string{write(x.text)})
		if err == nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), filepath.Join(dir, "barong.yaml"), "FILE"); !strings.Contains(got, x.want) {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	if _, err := Load([]string{"BARONG_SETTINGS=" + filepath.Join(dir, "none")}); err == nil || !strings.Contains(err.Error(), "BARONG_SETTINGS: open ") {
		t.Errorf("a file that is not there: got %v", err)
	}
	if s, err := Load([]string{write("domain:\nsession_expire_time: \"60\"\n")}); err != nil || s.Session.Expire != time.Minute {
		t.Errorf("an empty value and a quoted number: got %s, %v", s.Session.Expire, err)
	}
	if _, err := Load([]string{write(YAML())}); err != nil {
		t.Errorf("the printed defaults do not load: %v", err)
	}
}

func TestEmbeddedGateOnlyWithSQLiteOnLoopback(t *testing.T) {
	if s := Default(); !s.EmbeddedGate() || s.SecureCookie() {
		t.Error("defaults: want the embedded gate and no Secure attribute")
	}
	s, err := Load([]string{"BARONG_GRPC_ADDR=0.0.0.0:9001"})
	if err != nil || s.EmbeddedGate() || !s.SecureCookie() {
		t.Errorf("one open listener: got gate %v, secure %v, error %v", s.EmbeddedGate(), s.SecureCookie(), err)
	}
	s, err = Load([]string{"BARONG_HTTP_TLS_CERT=c.pem", "BARONG_HTTP_TLS_KEY=k.pem"})
	if err != nil || !s.EmbeddedGate() || !s.SecureCookie() {
		t.Errorf("TLS on loopback: got gate %v, secure %v, error %v", s.EmbeddedGate(), s.SecureCookie(), err)
	}
	if _, err := Load([]string{"BARONG_GRPC_ADDR=0.0.0.0:9001", "BARONG_GATE=embedded"}); err == nil {
		t.Error("BARONG_GATE=embedded with an open listener: got no error")
	}
	if s, err := Load([]string{"BARONG_GRPC_ADDR=unix:///run/barong.sock"}); err != nil || !s.EmbeddedGate() {
		t.Errorf("a socket is local: got %v, %v", s.EmbeddedGate(), err)
	}
}

func TestCrossChecks(t *testing.T) {
	for name, environ := range map[string][]string{
		"other engine":         {"BARONG_DATABASE_URL=mysql://x"},
		"postgres, no key":     {"BARONG_DATABASE_URL=postgres://localhost/barong"},
		"sentinels, no url":    {"BARONG_REDIS_SENTINELS=localhost:26379", "BARONG_REDIS_SENTINEL_MASTER=m"},
		"address without port": {"BARONG_HTTP_ADDR=localhost"},
		"akamai networks":      {"BARONG_GATEWAY=akamai"},
		"star with cookies":    {"BARONG_API_CORS_ORIGINS=*", "BARONG_API_CORS_ALLOW_CREDENTIALS=true"},
		"origin with a path":   {"BARONG_ALLOWED_ORIGINS=https://a.example/x"},
		"cookie name":          {"BARONG_SESSION_NAME=a b"},
		"short absolute":       {"BARONG_SESSION_ABSOLUTE_LIFETIME=60", "BARONG_SESSION_EXPIRE_TIME=61"},
		"no components":        {"BARONG_GATEWAY_COMPONENTS="},
		"certificate, no key":  {"BARONG_GRPC_TLS_CERT=a.pem"},
		"authority alone":      {"BARONG_HTTP_TLS_CLIENT_CA=ca.pem"},
		"management, no port":  {"BARONG_MANAGEMENT_ADDR=localhost"},
		"management, no door":  {"BARONG_MANAGEMENT_TLS_CERT=a.pem", "BARONG_MANAGEMENT_TLS_KEY=a.key"},
		"management and gate":  {"BARONG_MANAGEMENT_ADDR=0.0.0.0:8003", "BARONG_GATE=embedded"},
		"some replay":          {"BARONG_MANAGEMENT_REPLAY=monitor"},
		"no floor":             {"BARONG_SIGNIN_FLOOR=0"},
		"no members":           {"BARONG_MEMBER_ROLES="},
		"no name":              {"BARONG_APP_NAME="},
	} {
		if _, err := Load(environ); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	f.Add("trusted_proxies", "10.0.0.0/8")
	f.Add("session_expire_time", "9999999999999999999")
	f.Fuzz(func(t *testing.T, key, value string) {
		if key == "settings" || strings.HasSuffix(key, "_file") {
			return
		}
		_, _ = Load([]string{Prefix + strings.ToUpper(key) + "=" + value})
	})
}

func TestPprofOnLoopbackOnly(t *testing.T) {
	for addr, fine := range map[string]bool{"127.0.0.1:9091": true, "[::1]:9091": true, "0.0.0.0:9091": false, ":9091": false, "192.0.2.1:9091": false} {
		_, err := Load([]string{"BARONG_PPROF=true", "BARONG_OPS_ADDR=" + addr, "BARONG_GATE=off"})
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "BARONG_PPROF") {
			t.Errorf("%s: got %v, want it fine %t", addr, err, fine)
		}
	}
}

func TestDirectClients(t *testing.T) {
	for env, want := range map[string]bool{
		"": true, "BARONG_GATE=off": false, "BARONG_GATE=embedded": true, "BARONG_TRUSTED_PROXIES=127.0.0.1/32": false,
	} {
		s, err := Load(strings.Fields(env))
		if err != nil || s.DirectClients() != want {
			t.Errorf("%q: got %t, %v; want %t", env, s.DirectClients(), err, want)
		}
	}
}
