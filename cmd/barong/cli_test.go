package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barong/policy/defaults"
)

var update = flag.Bool("update", false, "rewrite the files in docs that are made from code")

// The documents are made from code; a change of either shows in the other's diff.
func TestGolden(t *testing.T) {
	for file, args := range map[string]string{
		"configuration.md":   "config docs",
		"limits.md":          "config limits",
		"cli.md":             "config commands",
		"openapi.json":       "openapi user",
		"openapi-admin.json": "openapi admin",

		"openapi-management.json": "openapi management",
	} {
		t.Run(file, func(t *testing.T) {
			got := newConsole(t).run("", args).want(t, 0).out
			path := filepath.Join("..", "..", "docs", file)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("docs/%s is not what `barong %s` prints; run go test ./cmd/barong -run Golden -update", file, args)
			}
			if again := newConsole(t).run("", args).out; again != got {
				t.Errorf("two runs of `barong %s` differ", args)
			}
		})
	}
}

func TestGoldenDoesNotKnowTheBuild(t *testing.T) {
	c := newConsole(t)
	plain := c.run("", "openapi user").out
	v, sha := version, commit
	t.Cleanup(func() { version, commit = v, sha })
	version, commit = "v9.9.9", "abcdef"
	if c.run("", "openapi user").out != plain {
		t.Error("the OpenAPI document depends on version or commit")
	}
}

func TestExitStatus(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "seeds.yml")
	text := "levels:\n  - key: email\n    value: verified\npermissions:\n  - { role: member, verb: all, path: api/v2, action: allow }\n"
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mailerOf := func(key, template string) string {
		return "exchanges: { s: { name: barong.events.system } }\nevents:\n- { key: " + key +
			", exchange: s, templates: { en: { subject: S, template_path: " + template + " } } }\n"
	}
	for name, x := range map[string]struct {
		env    string
		args   string
		status int
		says   string
	}{
		"help is no failure":                {"", "--help", 0, ""},
		"no command is wrong usage":         {"", "", 2, "expected"},
		"an unknown command is wrong usage": {"", "sreve", 2, "sreve"},
		"an unknown flag is wrong usage":    {"", "keys list --fromat json", 2, "--fromat"},
		"an unknown variable names the nearest": {
			"BARONG_HTP_ADDR=127.0.0.1:1", "serve", 2, "BARONG_HTP_ADDR: no such setting; the nearest is BARONG_HTTP_ADDR"},
		"a broken seeds file names its line": {"BARONG_SEEDS=" + broken, "config check", 2, "line 5"},
		"a broken seeds file stops commands": {"BARONG_SEEDS=" + broken, "seed", 2, broken},
		"a missing rules file is named":      {"BARONG_AUTHZ_RULES=/nowhere/rules.yml", "config check", 2, "BARONG_AUTHZ_RULES: open /nowhere/rules.yml"},
		"a missing GeoIP file is named":      {"BARONG_MAXMINDDB_PATH=/nowhere/geo.mmdb", "config check", 2, "BARONG_MAXMINDDB_PATH"},
		"a wrong sealing key is told":        {"BARONG_SECRET_KEY=bm90IDMyIGJ5dGVz", "config check", 2, "BARONG_SECRET_KEY"},
		"limits of the parts are checked":    {"BARONG_AUDIT_FLUSH_INTERVAL=1h", "config check", 2, "BARONG_AUDIT_*: audit_flush_interval"},
		"a template that is not there": {"BARONG_MAILER=" + file("mailer.yml", mailerOf("session.create", "not_there")), "config check", 2,
			"there is no template not_there.en.html"},
		"so before anything is started": {"BARONG_MAILER=" + file("mailer.yml", mailerOf("session.create", "not_there")), "serve", 2,
			"there is no template not_there.en.html"},
		"a mail about what never happens": {"BARONG_MAILER=" + file("typo.yml", mailerOf("user.email.confirmtion.token", "label")), "config check", 2,
			`line 3: events of barong.events.system: unknown key "user.email.confirmtion.token"; did you mean "user.email.confirmation.token"?`},
		"a condition that is code": {"BARONG_MAILER=" + file("code.yml", strings.Replace(mailerOf("session.create", "label"), ", exchange: s", ", expression: 'exit(1)', exchange: s", 1)), "serve", 2,
			"line 3: column 39: expression: path \"exit\" leads nowhere"},
		"a folder of templates that is not there": {"BARONG_MAIL_TEMPLATES=/nowhere", "config check", 2, "barong: BARONG_MAIL_TEMPLATES: open the folder"},
		"a password in clear":                     {"BARONG_MAIL_DELIVERY=smtp BARONG_SMTP_HOST=mail.example BARONG_SMTP_TLS=none BARONG_SMTP_USER=a BARONG_SMTP_PASSWORD=b", "config check", 2, "needs TLS: smtp_tls implicit"},
		"a nonce's lifetime is in milliseconds":   {"BARONG_APIKEY_NONCE_LIFETIME=5x", "config check", 2, "BARONG_APIKEY_NONCE_LIFETIME: must be milliseconds or a duration"},
		"mail authorities that are not there":     {"BARONG_MAIL_DELIVERY=smtp BARONG_SMTP_CA=/nowhere.pem", "config check", 2, "BARONG_SMTP_*: read authorities"},
		"no name for EHLO":                        {"BARONG_MAIL_DELIVERY=smtp BARONG_SMTP_HELO=vm", "config check", 2, `BARONG_SMTP_*: the name for EHLO is "vm"`},
		"a sender without a domain of the net":    {"BARONG_MAIL_DELIVERY=smtp BARONG_SENDER_EMAIL=noreply@vm", "config check", 2, `BARONG_SMTP_*: the name for EHLO is "vm"`},
		"a sender with a name":                    {"BARONG_SENDER_EMAIL=<a@b.example>", "config check", 2, "want a@b.example alone"},
		"so before anything is made":              {"BARONG_JWT_ROTATE_EVERY=10s", "migrate", 2, "BARONG_JWT_ROTATE_EVERY"},
		"a good configuration":                    {"", "config check", 0, ""},
		"unknown defaults are wrong usage":        {"", "config defaults seed", 2, "seeds"},
		"a role that does not exist":              {"", "users create --email a@b.example --role pirate --generate", 1, "role"},
		"a missing key file is a failure":         {"", "keys import /nowhere.pem", 1, "/nowhere.pem"},
		"a directory that cannot be made fails":   {"BARONG_DATABASE_URL=sqlite:/proc/nowhere/barong.db", "migrate", 1, "/proc/nowhere"},
		"a database that is away is named":        {"BARONG_SECRET_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= BARONG_DATABASE_URL=postgres://barong@127.0.0.1:1/barong", "migrate", 1, "BARONG_DATABASE_URL: open database"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsole(t)
			c.env = append(c.env, strings.Fields(x.env)...)
			if strings.HasPrefix(x.env, "BARONG_DATABASE_URL") {
				c.env = []string{x.env}
			}
			c.run("", x.args).want(t, x.status, x.says)
			if _, err := os.Stat(c.dir); x.status == 2 && err == nil {
				t.Errorf("wrong usage has made %s", c.dir)
			}
		})
	}
}

func TestConfigDefaults(t *testing.T) {
	c := newConsole(t)
	for name, want := range map[string]string{
		"seeds": "permissions:", "authz_rules": "pass:", "config": "activation", "barong": "activation",
		"abilities": "superadmin", "settings": "http_addr:", "": "http_addr:",
	} {
		if got := c.run("", "config defaults "+name).want(t, 0).out; !strings.Contains(got, want) {
			t.Errorf("config defaults %s: lacks %q:\n%s", name, want, got)
		}
	}
}

func TestVersionAsJSON(t *testing.T) {
	var b build
	into(t, newConsole(t).run("", "version --format json").want(t, 0).out, &b)
	if b.Version != version || b.Go == "" {
		t.Errorf("got %+v", b)
	}
}

// D14: the operator makes the first superadmin; the rules about passwords hold here too.
func TestUsersCreate(t *testing.T) {
	const good = "Correct-Horse-9-Battery"
	c := newConsole(t)

	r := c.run("password\n", "users create --email weak@barong.example").want(t, 1, "password")
	if strings.Contains(r.out, "weak@") {
		t.Errorf("a weak password was taken: %s", r.out)
	}
	if !strings.Contains(r.err, "password.requirements") && !strings.Contains(r.err, "password.password.password_strength") {
		t.Errorf("the tokens of the rule are not told: %s", r.err)
	}
	c.run("", "users create --email none@barong.example").want(t, 2, "no password")

	var u struct {
		UID, Email, Role, State, Password string
		Level                             int
	}
	into(t, c.run(good+"\n", "users create --email Root@barong.example --role superadmin --format json").want(t, 0).out, &u)
	if !strings.HasPrefix(u.UID, "ID") || u.Email != "root@barong.example" || u.Role != "superadmin" || u.Password != "" {
		t.Errorf("got %+v", u)
	}
	r = c.run(good+"\n", "users create --email root@barong.example").want(t, 1, "email")
	silent(t, r, good)

	into(t, c.run("", "users create --email bot@barong.example --generate --level 1 --state active --format json").want(t, 0).out, &u)
	if len(u.Password) < 20 || u.Level != 1 || u.State != "active" {
		t.Errorf("got state %s, level %d, a password of %d characters", u.State, u.Level, len(u.Password))
	}
	r = c.run("", "users create --email bob@barong.example --generate").want(t, 0)
	if !strings.Contains(r.out, "\npassword ") {
		t.Errorf("the made-up password is not printed: %s", r.out)
	}
	c.run(good, "users create --email pirate@barong.example --role pirate").want(t, 1, "role")
	silent(t, c.run(good, "users create --email nobody").want(t, 1, "email"), good)

	db := openStore(t, c.dir)
	if n, err := db.CountUsers(t.Context(), "superadmin", ""); err != nil || n != 1 {
		t.Errorf("superadmins: got %d, %v; want 1", n, err)
	}
}

// Standard output is one JSON object even when the first command of a database seeds it,
// with users that have made-up passwords.
func TestUsersCreateOnAnEmptyDatabaseKeepsJSONClean(t *testing.T) {
	text, _ := defaults.File("seeds")
	path := filepath.Join(t.TempDir(), "seeds.yml")
	text = append(text, "\nusers:\n  - { email: seeded@barong.example, role: admin, level: 0, state: active }\n"...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newConsole(t, "BARONG_SEEDS="+path).
		run("", "users create --email a@barong.example --generate --format json").
		want(t, 0, "user seeded@barong.example created, password ")
	var any map[string]any
	into(t, r.out, &any)
}

func TestMigrateAndSeedTwice(t *testing.T) {
	c := newConsole(t)
	if out := c.run("", "migrate").want(t, 0).out; strings.HasPrefix(out, "0 ") {
		t.Errorf("first migrate: got %q", out)
	}
	if out := c.run("", "migrate").want(t, 0).out; out != "0 migrations applied\n" {
		t.Errorf("second migrate: got %q", out)
	}
	first := c.run("", "seed").want(t, 0).out
	second := c.run("", "seed").want(t, 0).out
	if !strings.Contains(second, "permissions: 0 added") || !strings.Contains(second, "restrictions: 0 added") || first == second {
		t.Errorf("seed: got %q, then %q", first, second)
	}
}

func TestKeys(t *testing.T) {
	c := newConsole(t)
	c.env = append(c.env[:1:1], "BARONG_JWT_ALGORITHM=RS256")
	list := func() (states map[string]string, out string) {
		out = c.run("", "keys list --format json").want(t, 0).out
		var lines []keyLine
		into(t, out, &lines)
		states = map[string]string{}
		for _, l := range lines {
			states[l.Kid] = l.Use + " " + l.State
		}
		return states, out
	}
	before, _ := list()
	if len(before) != 3 {
		t.Fatalf("got %v, want a bearer, a mail and a wire key", before)
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kid := strings.TrimSpace(c.run("", "keys import "+path+" --now").want(t, 0).out)
	after, out := list()
	if after[kid] != "bearer active" {
		t.Errorf("after the import: got %v, want %s active", after, kid)
	}
	if strings.Contains(out, "PRIVATE") || strings.Contains(out, strings.Split(text, "\n")[1]) {
		t.Error("keys list shows a private key")
	}
	silent(t, c.run("", "keys import "+path).want(t, 1, "known"), strings.Split(text, "\n")[1])
	for name, garbage := range map[string]string{
		"no PEM at all":   "garbage-garbage-garbage",
		"a cut PEM":       text[:len(text)/2],
		"a wrong content": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("garbage-garbage")})),
		"a public key":    publicPEM(t, &key.PublicKey),
		"nothing":         "",
	} {
		r := c.run(garbage, "keys import -")
		if r.status != 1 || r.err == "" {
			t.Errorf("import of %s: got status %d, %q", name, r.status, r.err)
		}
		silent(t, r, "garbage-garbage")
		silent(t, r, strings.Split(text, "\n")[1])
	}

	c.run("", "keys rotate").want(t, 0)
	c.run("", "keys rotate").want(t, 1)
	after, _ = list()
	next := 0
	for _, s := range after {
		if s == "bearer next" {
			next++
		}
	}
	if next != 1 {
		t.Errorf("after rotate: got %v, want one next bearer key", after)
	}
	c.run("", "keys rotate --use jam").want(t, 2)
}

func publicPEM(t *testing.T, key *rsa.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// A secret that was given never comes back in an error.
func TestErrorsHoldNoSecrets(t *testing.T) {
	const word = "hunter2hunter2"
	for name, env := range map[string]string{
		"sealing key":             "BARONG_SECRET_KEY=" + word,
		"password of a URL":       "BARONG_DATABASE_URL=postgres://barong:" + word + "@db/barong",
		"value of a typing error": "BARONG_SECRET_KYE=" + word,
	} {
		c := &console{t, t.TempDir(), []string{env}}
		r := c.run("", "serve").want(t, 2)
		if strings.Contains(r.out+r.err, word) {
			t.Errorf("%s: shown in %s", name, r.err)
		}
	}
}

// Without its key an old database is not given a new one, which would open nothing.
func TestTheKeyOfADatabaseIsNotReplaced(t *testing.T) {
	c := newConsole(t)
	c.run("", "migrate").want(t, 0)
	path := filepath.Join(c.dir, "secret.key")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.run("", "migrate").want(t, 2, "secret.key is missing", "BARONG_SECRET_KEY")
	if _, err := os.Stat(path); err == nil {
		t.Error("a new key was made")
	}
}

func TestDataDirIsThatOfTheDatabase(t *testing.T) {
	s, _, err := load(&terminal{environ: []string{"BARONG_DATABASE_URL=sqlite://some/where/b.db"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.DataDir(); got != "some/where" {
		t.Errorf("got %q, want some/where", got)
	}
}

func TestCollectorTarget(t *testing.T) {
	for name, x := range map[string]struct {
		live uint64
		want int
	}{
		"a tiny heap has a bounded percentage": {1 << 20, 1600},
		"a small heap gets the room":           {64 << 20, 200},
		"a large heap gets Go's default":       {4 << 30, 100},
	} {
		if got := gcPercent(x.live); got != x.want {
			t.Errorf("%s: got %d, want %d", name, got, x.want)
		}
	}
}

// into decodes exactly one JSON value.
func into(t *testing.T, text string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	if dec.More() {
		t.Fatalf("more than one JSON value:\n%s", text)
	}
}

func silent(t *testing.T, r result, secret string) {
	t.Helper()
	if strings.Contains(r.out+r.err, secret) {
		t.Errorf("shows a secret:\n%s%s", r.out, r.err)
	}
}
