package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const goodSeeds = `levels: [{ key: email, value: verified }]
permissions:
  - { role: superadmin, verb: all, path: api/v2, action: accept }
  - { role: member, verb: all, path: api/v2/barong/resource, action: accept }
`

// wrongs are settings and files with which nothing may be served, each with a text of its error.
func wrongs(t *testing.T) map[string]struct{ env, says string } {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	none := filepath.Join(dir, "none")
	junk := file("junk.pem", "junk")
	return map[string]struct{ env, says string }{
		"a mail template that is not there": {"BARONG_MAILER=" + file("mailer.yml", `exchanges:
  system: { name: barong.events.system, signer: barong }
events:
  - { name: Welcome, key: session.create, exchange: system, templates: { en: { subject: Hi, template_path: not_there.en.html.erb } } }
`), "not_there"},
		"no folder of templates":                 {"BARONG_MAIL_TEMPLATES=" + none, "BARONG_MAIL_TEMPLATES"},
		"no authorities of the mail server":      {"BARONG_MAIL_DELIVERY=smtp BARONG_SMTP_CA=" + none, "BARONG_SMTP_*: read authorities"},
		"junk for them":                          {"BARONG_MAIL_DELIVERY=smtp BARONG_SMTP_CA=" + junk, "BARONG_SMTP_*: authorities"},
		"no certificate of REST":                 {"BARONG_HTTP_TLS_CERT=" + none + " BARONG_HTTP_TLS_KEY=" + none, "BARONG_HTTP_TLS_CERT"},
		"a junk certificate of gRPC":             {"BARONG_GRPC_TLS_CERT=" + junk + " BARONG_GRPC_TLS_KEY=" + junk, "BARONG_GRPC_TLS_CERT"},
		"no authorities of Redis":                {"BARONG_REDIS_URL=rediss://127.0.0.1:1/0 BARONG_REDIS_CA=" + none, "BARONG_REDIS"},
		"junk for them, of Redis":                {"BARONG_REDIS_URL=rediss://127.0.0.1:1/0 BARONG_REDIS_CA=" + junk, "BARONG_REDIS"},
		"no authorities of the broker":           {"BARONG_EVENT_API_RABBITMQ_URL=amqps://127.0.0.1:1/ BARONG_EVENT_API_RABBITMQ_CA=" + none, "BARONG_EVENT_API_RABBITMQ_URL"},
		"no GeoIP file":                          {"BARONG_MAXMINDDB_PATH=" + none, "BARONG_MAXMINDDB_PATH"},
		"a junk GeoIP file":                      {"BARONG_MAXMINDDB_PATH=" + junk, "BARONG_MAXMINDDB_PATH"},
		"no folder of the spill file":            {"BARONG_AUDIT_SPILL=" + filepath.Join(none, "x"), "BARONG_AUDIT_SPILL"},
		"a host that is no host at Auth0":        {"BARONG_AUTH0_DOMAIN=https://a.example BARONG_AUTH0_CLIENT_ID=x", "BARONG_AUTH0"},
		"a captcha for an endpoint that is none": {"BARONG_CONFIG=" + file("barong.yml", "captcha_protected_endpoints: [nonsense]\n"), "BARONG_CONFIG"},
		"a wrong sealing key":                    {"BARONG_SECRET_KEY=bm90IDMyIGJ5dGVz", "BARONG_SECRET_KEY"},
		"a value that is none":                   {"BARONG_JWT_EXPIRE_TIME=abc", "BARONG_JWT_EXPIRE_TIME"},
		"seeds that drop superadmins": {"BARONG_SEEDS=" + file("drop.yml", goodSeeds+
			"  - { role: superadmin, verb: all, path: api/v2, action: drop }\n"), "locks every superadmin out"},
		"seeds without superadmins": {"BARONG_SEEDS=" + file("nobody.yml",
			"permissions: [{ role: member, verb: all, path: api/v2, action: accept }]\n"), "give no role superadmin"},
		"seeds that accept superadmins elsewhere": {"BARONG_SEEDS=" + file("elsewhere.yml",
			"permissions: [{ role: superadmin, verb: all, path: api/v2/peatio, action: accept }]\n"), "no ACCEPT row"},
		"a user of a level that is none": {"BARONG_SEEDS=" + file("level.yml", goodSeeds+
			"users: [{ email: a@b.example, role: member, level: 9 }]\n"), "line 5: user a@b.example has level 9"},
		"a user of a role that is none": {"BARONG_SEEDS=" + file("role.yml", goodSeeds+
			"users: [{ email: a@b.example, role: bogus, level: 1 }]\n"), `line 5: user a@b.example has role "bogus"`},
		"a user in a state that is none": {"BARONG_SEEDS=" + file("state.yml", goodSeeds+
			"users: [{ email: a@b.example, role: member, state: aktive, level: 1 }]\n"), `line 5: user a@b.example has state "aktive"`},
		"seeds that refuse everybody": {"BARONG_SEEDS=" + file("maintenance.yml", goodSeeds+
			"restrictions: [{ category: maintenance, scope: all, value: all, state: enabled }]\n"), "nobody could sign in"},
		"seeds that are no YAML":                {"BARONG_SEEDS=" + file("yaml.yml", goodSeeds+"users:\n  - a: b: c\n"), "line 6: read YAML"},
		"rules that block sign-in":              {"BARONG_AUTHZ_RULES=" + file("block.yml", "rules: { pass: [api/v2/barong/identity], block: [api/v2] }\n"), "nobody could sign in"},
		"rules that are empty":                  {"BARONG_AUTHZ_RULES=" + file("empty.yml", ""), "not in pass"},
		"rules without identity":                {"BARONG_AUTHZ_RULES=" + file("noid.yml", "rules: { pass: [api/v2/barong/public] }\n"), "not in pass"},
		"components without us":                 {"BARONG_GATEWAY_COMPONENTS=peatio", "BARONG_GATEWAY_COMPONENTS"},
		"abilities of another role":             {"BARONG_ABILITIES=" + file("abilities.yml", "roles: [support]\nadmin_permissions:\n  auditor: { read: [User] }\n"), `line 3: admin_permissions: role "auditor"`},
		"Redis that is no URL":                  {"BARONG_REDIS_URL=x", "BARONG_REDIS_URL"},
		"KYCAID at no address":                  {"BARONG_KYC_PROVIDER=kycaid BARONG_KYCAID_AUTHORIZATION_TOKEN=x BARONG_KYCAID_API_ENDPOINT=ftp://x", "BARONG_KYCAID"},
		"files in a folder that is a file":      {"BARONG_STORAGE_FOLDER=" + junk, "BARONG_STORAGE_FOLDER: it is no folder"},
		"files in no bucket":                    {"BARONG_STORAGE_PROVIDER=s3 BARONG_STORAGE_ACCESS_KEY=x BARONG_STORAGE_SECRET_KEY=x", "BARONG_STORAGE_BUCKET_NAME: is mandatory"},
		"files in a bucket without keys":        {"BARONG_STORAGE_PROVIDER=s3 BARONG_STORAGE_BUCKET_NAME=abc", "BARONG_STORAGE_SECRET_KEY: is mandatory"},
		"files in a bucket at no https address": {"BARONG_STORAGE_PROVIDER=s3 BARONG_STORAGE_BUCKET_NAME=abc BARONG_STORAGE_ACCESS_KEY=x BARONG_STORAGE_SECRET_KEY=x BARONG_STORAGE_ENDPOINT=http://s3.example", "must be https"},
		"a scanner at no address":               {"BARONG_CLAMD_ADDRESS=clamd", "BARONG_CLAMD_ADDRESS"},
		"keys that rotate too often":            {"BARONG_JWT_ROTATE_EVERY=10", "BARONG_JWT_ROTATE_EVERY"},
	}
}

// `config check` and `serve` name the same problems of settings and files, all of them at once, and
// then nothing was made.
func TestCheckSaysWhatServeSays(t *testing.T) {
	all := wrongs(t)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	try := func(t *testing.T, env []string, says ...string) {
		c := newConsole(t)
		c.env = append(c.env, env...)
		check := c.run("", "config check").want(t, 2, says...)
		serve := c.run("", "serve").want(t, 2, says...)
		said := func(r result) string { return r.err[strings.Index(r.err, "barong: "):] }
		if said(check) != said(serve) {
			t.Errorf("check says\n%s\nserve says\n%s", check.err, serve.err)
		}
		if _, err := os.Stat(c.dir); err == nil {
			t.Errorf("%s was made", c.dir)
		}
	}
	for name, x := range all {
		t.Run(name, func(t *testing.T) { try(t, strings.Fields(x.env), x.says) })
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		a, b := names[r.IntN(len(names))], names[r.IntN(len(names))]
		seen := map[string]bool{}
		var env []string
		twice := false
		for _, kv := range append(strings.Fields(all[a].env), strings.Fields(all[b].env)...) {
			key, _, _ := strings.Cut(kv, "=")
			twice = twice || seen[key]
			seen[key] = true
			env = append(env, kv)
		}
		if !twice {
			says := []string{all[a].says, all[b].says}
			// A policy file that cannot be read is not held against the others.
			for _, unread := range []string{"seeds that are no YAML", "abilities of another role", "a captcha for an endpoint that is none"} {
				if a == unread || b == unread {
					says = []string{all[unread].says}
				}
			}
			t.Run(a+" and "+b, func(t *testing.T) { try(t, env, says...) })
		}
	}
}

// A rule for API keys that is about no scope is a warning; those as shipped are not, whatever the rules file has.
func TestCheckWarnsOfRulesAboutNoScope(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(rules, []byte("rules: {pass: [api/v2/barong/identity], scopes: {buy: []}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"BARONG_APIKEY_LISTED_SCOPES=withdrawals,*":                               `no scope "withdrawals"`,
		"BARONG_APIKEY_SHORT_SCOPES=trade,sell":                                   `no scope "sell"; the rules file has account, read, trade, withdraw`,
		"BARONG_APIKEY_LISTED_SCOPES=trade,withdraw BARONG_APIKEY_SHORT_SCOPES=*": "",
		"BARONG_AUTHZ_RULES=" + rules:                                             "",
		"BARONG_APIKEY_SHORT_SCOPES=buy,trade BARONG_AUTHZ_RULES=" + rules:        `no scope "trade"; the rules file has buy`,
	} {
		c := newConsole(t)
		c.env = append(c.env, strings.Fields(env)...)
		got := c.run("", "config check").want(t, 0)
		if said := strings.Contains(got.err, "there is no scope"); said != (want != "") || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %q, want a warning with %q", env, got.err, want)
		}
	}
}

// A setting that an operator has hardly meant is a warning of both, and no failure.
func TestCheckWarns(t *testing.T) {
	dir := t.TempDir()
	for name, x := range map[string]struct{ key, text, says string }{
		"a component that is none": {"BARONG_AUTHZ_RULES", "rules: { pass: [api/v2/barong/identity, api/v2/petio/public] }\n", `did you mean "peatio"?`},
		"no permissions":           {"BARONG_SEEDS", "levels: [{ key: email, value: verified }]\n", "there are no permissions"},
		"staff without permissions": {"BARONG_ABILITIES", "roles: [superadmin, auditor]\nadmin_permissions:\n  superadmin: { manage: [all] }\n",
			"no permissions of auditor"},
		"maintenance but for some": {"BARONG_SEEDS", goodSeeds + "restrictions:\n  - { category: maintenance, scope: all, value: all, state: enabled }\n" +
			"  - { category: whitelist, scope: ip, value: 192.0.2.1, state: enabled }\n", "only whitelisted"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(x.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := newConsole(t)
		c.env = append(c.env, x.key+"="+path)
		got := c.run("", "config check").want(t, 0)
		if !strings.Contains(got.out, "The configuration is good.") || !strings.Contains(got.err, "warning: "+x.key) || !strings.Contains(got.err, x.says) {
			t.Errorf("%s: got %q, want a warning with %q", name, got.err, x.says)
		}
	}
}

// Settings alone can be odd, too: config check says so, not the log of serve only.
func TestCheckWarnsOfNoDomain(t *testing.T) {
	c := newConsole(t, "BARONG_MAIL_DELIVERY=smtp")
	const says = "warning: BARONG_DOMAIN is empty: the links in mails lead to localhost"
	if got := c.run("", "config check").want(t, 0); !strings.Contains(got.err, says) {
		t.Errorf("got %q, want %q", got.err, says)
	}
	c.env = append(c.env, "BARONG_DOMAIN=exchange.example")
	if got := c.run("", "config check").want(t, 0); got.err != "" {
		t.Errorf("with a domain: got %q", got.err)
	}
}

// Each of these settings works, and is hardly meant so.
func TestCheckWarnsOfFilesAndCallbacks(t *testing.T) {
	for env, says := range map[string]string{
		"BARONG_KYC_PROVIDER=kycaid BARONG_KYCAID_AUTHORIZATION_TOKEN=x": "BARONG_DOMAIN is empty: KYCAID",
		"BARONG_CLAMD_ADDRESS=clamd.example:3310":                        "BARONG_CLAMD_ADDRESS is another machine",
		"BARONG_DATABASE_URL=postgres://127.0.0.1/x BARONG_GATE=off BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)): "BARONG_STORAGE_FOLDER is empty",
	} {
		c := &console{t, t.TempDir(), strings.Fields(env)}
		if got := c.run("", "config check").want(t, 0); !strings.Contains(got.err, says) {
			t.Errorf("%s: got %q, want %q", env, got.err, says)
		}
	}
}

func TestAddressesAreShownWithTheirScheme(t *testing.T) {
	if got := web("127.0.0.1:1", ""); got != "http://127.0.0.1:1" {
		t.Errorf("without a certificate: got %s", got)
	}
	if got := web("127.0.0.1:1", "cert.pem"); got != "https://127.0.0.1:1" {
		t.Errorf("with one: got %s", got)
	}
}

// A file of the service that this replaces: empty mappings and nulls where lists belong.
func TestSeedsWithEmptyMappings(t *testing.T) {
	for _, empty := range []string{"{}", "[]", "", "~", "null", "!!null", "{ }"} {
		path := filepath.Join(t.TempDir(), "seeds.yml")
		text := goodSeeds + fmt.Sprintf("users: %s\nrestrictions: %s\n", empty, empty)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := newConsole(t)
		c.env = append(c.env, "BARONG_SEEDS="+path)
		c.run("", "config check").want(t, 0)
	}
}

// Each setting, alone, at values of many kinds, is taken, or the error names it.
func TestEachSettingAloneIsTakenOrNamed(t *testing.T) {
	docs := newConsole(t).run("", "config docs").want(t, 0).out
	docs, _, _ = strings.Cut(docs, "## Coming from")
	names := regexp.MustCompile("(?m)^\\| `(BARONG_[A-Z0-9_]+)`").FindAllStringSubmatch(docs, -1)
	if len(names) < 100 {
		t.Fatalf("%d settings found, want all", len(names))
	}
	for _, m := range names {
		for _, value := range []string{"0", "1500ms", "true", "x"} {
			if value == "x" && m[1] == "BARONG_DATABASE_URL" {
				continue
			}
			c := newConsole(t)
			c.env = append(c.env[:1:1], m[1]+"="+value)
			if strings.HasPrefix(c.env[0], m[1]+"=") {
				c.env = c.env[1:]
			}
			got := c.run("", "config check")
			key := strings.ToLower(strings.TrimPrefix(m[1], "BARONG_"))
			if got.status != 0 && !strings.Contains(got.err, m[1]) && !strings.Contains(got.err, key) {
				t.Errorf("%s=%s: the error does not name it:\n%s", m[1], value, got.err)
			}
		}
	}
}

// Of two problems both are reported, in settings and in files; problems that follow from one
// are not.
func TestEveryProblemIsToldOnce(t *testing.T) {
	c := newConsole(t)
	c.env = append(c.env, "BARONG_JWT_EXPIRE_TIME=abc", "BARONG_SECRET_KEY=x", "BARONG_AUTHZ_RULES=/nowhere/rules.yml")
	got := c.run("", "config check").want(t, 2, "BARONG_JWT_EXPIRE_TIME: ", "BARONG_SECRET_KEY", "BARONG_AUTHZ_RULES")
	if n := strings.Count(strings.TrimSpace(got.err), "\n") + 1; n != 3 || strings.Contains(got.err, "jwt_reuse") {
		t.Errorf("got %d lines, want the three problems alone:\n%s", n, got.err)
	}
}

func TestAShortLifeOfTokensAloneStarts(t *testing.T) {
	p := serving(t, t.TempDir(), "BARONG_JWT_EXPIRE_TIME=60")
	p.stop()
}

// Without the embedded gate nobody is made superadmin; the log says how.
func TestAStartWithoutSuperadminSaysHowToMakeOne(t *testing.T) {
	p := serving(t, t.TempDir(), "BARONG_GATE=off")
	line := p.logged("there is no superadmin; make one")
	if command, _ := line["command"].(string); !strings.HasPrefix(command, "barong users create --role superadmin") {
		t.Errorf("got %v, want a line with the command", line)
	}
}

func TestUsersCreateSaysWhatThereIs(t *testing.T) {
	c := newConsole(t)
	c.run("", "users create --email a@b.example --generate --state bogus").want(t, 2, `"bogus"`, "active", "banned")
	c.run("", "users create --email a@b.example --generate --role superadmn").want(t, 1, `"superadmn"`, "superadmin", "member")
	made := c.run("", "users create --email a@b.example --generate --role superadmin").want(t, 0).out
	if !strings.Contains(made, "role superadmin state active") {
		t.Errorf("got %q, want a superadmin who is active", made)
	}
}
