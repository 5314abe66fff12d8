package main

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"barong/internal/audit"
	"barong/internal/store/storetest"
)

const mine = "/api/v2/resource/users/me"

// person makes a member by the command line and returns its uid.
func (c *console) person(email, password string) (uid string) {
	c.t.Helper()
	var u struct{ UID string }
	into(c.t, c.run(password+"\n", "users create --state active --format json --email "+email).want(c.t, 0).out, &u)
	return u.UID
}

// The command line ends sessions for the next process too, and nobody else's (D11).
func TestSessionsRevokeOnSQLite(t *testing.T) {
	const password = "Correct-Horse-9-Battery"
	dir := t.TempDir()
	c := newConsole(t)
	c.env[0] = "BARONG_DATABASE_URL=sqlite:" + filepath.Join(dir, "data", "barong.db")
	one, two := c.person("one@barong.example", password), c.person("two@barong.example", password)

	p := serving(t, dir)
	b1, b2 := newBrowser(p).signIn("one@barong.example", password), newBrowser(p).signIn("two@barong.example", password)
	b1.want(200, one, "GET", mine, nil)
	p.stop()

	if r := c.run("", "sessions revoke --user "+one).want(t, 0); !strings.Contains(r.out, one) {
		t.Errorf("got %q, want the uid told", r.out)
	}
	p = serving(t, dir)
	b1, b2 = b1.at(p), b2.at(p)
	b1.want(401, "authz.invalid_session", "GET", mine, nil)
	b2.want(200, two, "GET", mine, nil)
	b1.signIn("one@barong.example", password).want(200, one, "GET", mine, nil)
	p.stop()

	var got revoked
	into(t, c.run("", "sessions revoke --all --format json").want(t, 0).out, &got)
	if !got.All || got.Epoch == 0 || got.Generation != 0 {
		t.Errorf("got %+v, want an epoch", got)
	}
	p = serving(t, dir)
	for _, b := range []*browser{b1, b2} {
		b.at(p).want(401, "authz.invalid_session", "GET", mine, nil)
	}
	p.stop()

	rows, _, err := openStore(t, p.data()).Activities(t.Context(), audit.Query{Topic: "session", Action: "revoke"})
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %d activities, %v; want 2", len(rows), err)
	}
	for i, want := range []struct{ target, data string }{{"", `{"epoch":`}, {one, `{"generation":`}} {
		if r := rows[i]; r.TargetUID != want.target || !strings.HasPrefix(r.Data, want.data) || r.ActorKind != "operator" || r.Result != audit.Succeed {
			t.Errorf("got %+v, want %+v by the operator", r, want)
		}
	}
}

// D11: a replica that runs hears of it by the change feed.
func TestSessionsRevokeReachesRunningReplicas(t *testing.T) {
	const password = "Correct-Horse-9-Battery"
	env := []string{
		"BARONG_DATABASE_URL=" + storetest.PostgresURL(t), "BARONG_JWT_ALGORITHM=EdDSA",
		"BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
	}
	c := newConsole(t)
	c.env = env
	one := c.person("one@barong.example", password)
	c.person("two@barong.example", password)
	a, b := serving(t, t.TempDir(), env...), serving(t, t.TempDir(), env...)
	b1, b2 := newBrowser(a).signIn("one@barong.example", password), newBrowser(a).signIn("two@barong.example", password)
	first, second := authv3.NewAuthorizationClient(dial(t, a.grpc)), authv3.NewAuthorizationClient(dial(t, b.grpc))
	asked := func(of authv3.AuthorizationClient, who *browser) int {
		t.Helper()
		m, err := of.Check(t.Context(), question("GET", mine, map[string]string{
			"cookie": "_barong_session=" + who.cookie(), "user-agent": "curl/8",
		}))
		if err != nil {
			t.Fatal(err)
		}
		if m.GetOkResponse() != nil {
			return http.StatusOK
		}
		if body := m.GetDeniedResponse().GetBody(); !strings.Contains(body, "authz.invalid_session") {
			t.Fatalf("denied with %q, want authz.invalid_session", body)
		}
		return int(m.GetDeniedResponse().GetStatus().GetCode())
	}
	for name, replica := range map[string]authv3.AuthorizationClient{"first": first, "second": second} {
		if one, two := asked(replica, b1), asked(replica, b2); one != 200 || two != 200 { // warm from here on
			t.Fatalf("%s replica: got %d and %d, want sessions that count", name, one, two)
		}
	}

	refused := func(who *browser) time.Duration {
		t.Helper()
		began := time.Now()
		b.eventually("refusal", func() bool { return asked(second, who) == http.StatusUnauthorized })
		return time.Since(began)
	}
	var got revoked
	into(t, c.run("", "sessions revoke --format json --user "+one).want(t, 0).out, &got)
	if got.UID != one || got.Generation == 0 || got.Epoch != 0 {
		t.Errorf("got %+v", got)
	}
	took := refused(b1)
	if status := asked(second, b2); status != 200 {
		t.Errorf("another user's session: got %d, want 200", status)
	}
	into(t, c.run("", "sessions revoke --format json --all").want(t, 0).out, &got)
	if got.Epoch == 0 {
		t.Errorf("got %+v, want an epoch", got)
	}
	all := refused(b2)
	t.Logf("refused %s and %s after the command", took, all)
	// Hints or not, the feed is read every 250 ms; the rest is for a busy machine.
	if took > 2*time.Second || all > 2*time.Second {
		t.Errorf("refused %s and %s after the command, want at once", took, all)
	}
}

func TestSessionsRevokeWrongly(t *testing.T) {
	c := newConsole(t)
	for args, x := range map[string]struct {
		status int
		says   string
	}{
		"":                     {2, "--all or --uid"},
		"--all --user ID1":     {2, "--all and --uid"},
		"--all=false":          {2, "--uid, --email or --all"},
		"--user=":              {2, "--uid, --email or --all"},
		"--user ID1 --fmt x":   {2, "--fmt"},
		"--all --format xml":   {2, "--format"},
		"--user ID0000000404":  {1, `no user has the uid "ID0000000404"`},
		"ID1":                  {2, "ID1"},
		"--user ID1 extra":     {2, "extra"},
		"--user SI1 --all=yes": {2, "--all"},
	} {
		if r := c.run("", "sessions revoke "+args).want(t, x.status, x.says); r.out != "" {
			t.Errorf("%q: says %q on standard output", args, r.out)
		}
	}
}
