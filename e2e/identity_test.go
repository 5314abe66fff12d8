package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"barong/e2e"
	"barong/e2e/cluster"
	"barong/internal/testenv"
)

// patience is the longest wait for a result: a lease that runs out, 15 s, a destination that is
// tried again, and a busy machine.
const patience = 45 * time.Second

// eventually polls ok until it is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// An office is where newcomers become users: two replicas of the built binary on PostgreSQL
// and Redis, a gate before the first, and the destinations of their events.
type office struct {
	replicas [2]*e2e.Barong
	gate     e2e.Proxy
	broker   *testenv.Rabbit
	wire     *cluster.Cable // from the replicas to the broker
	post     *post
	events   *eventListener

	bin string
	env []string
}

// openOffice starts all of it, with more settings.
func openOffice(t *testing.T, env ...string) *office {
	t.Helper()
	tool(t, "envoy") // before anything takes time: without it the test is not run
	o := &office{bin: barongBin(t), post: openPost(t)}
	redis := testenv.StartRedis(t, testenv.RedisConfig{})
	postgres := testenv.StartPostgres(t, testenv.PostgresConfig{})
	o.broker = testenv.StartRabbit(t, testenv.RabbitConfig{})
	var err error
	o.wire, err = cluster.NewCable(o.broker.Addr)
	must(t, err)
	t.Cleanup(o.wire.Close)

	own, err := e2e.OwnAddresses()
	must(t, err)
	trusted := "127.0.0.0/8,::1/128"
	for _, a := range own {
		if !a.IsLoopback() {
			trusted += "," + a.WithZone("").String()
		}
	}
	postHost, postPort, _ := strings.Cut(o.post.addr, ":")
	o.env = append(env,
		"BARONG_DATABASE_URL="+postgres.URL("postgres"),
		"BARONG_REDIS_URL=redis://"+redis.Addr,
		"BARONG_SECRET_KEY="+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
		"BARONG_TRUSTED_PROXIES="+trusted,
		"BARONG_DOMAIN="+site,
		"BARONG_EVENT_API_RABBITMQ_URL="+(&url.URL{
			Scheme: "amqp", User: url.UserPassword(o.broker.Username, o.broker.Password), Host: o.wire.Addr(), Path: "/",
		}).String(),
		"BARONG_SMTP_HOST="+postHost, "BARONG_SMTP_PORT="+postPort, "BARONG_SMTP_TLS=starttls",
		"BARONG_SMTP_CA="+o.post.certs.CA, "BARONG_SMTP_USER="+postUser, "BARONG_SMTP_PASSWORD="+postPassword,
	)
	t.Cleanup(func() {
		for i, r := range o.replicas {
			if r == nil {
				continue
			}
			r.Kill()
			if t.Failed() {
				t.Logf("replica %d says:\n%s", i, r.Output())
			}
		}
	})
	for i := range o.replicas {
		at, err := e2e.FreeAddresses()
		must(t, err)
		at.Management, err = e2e.FreeAddr()
		must(t, err)
		o.replicas[i], err = e2e.StartBarong(t.Context(), o.bin, t.TempDir(), at, o.env...)
		must(t, err)
	}
	o.events = listen(t, o.broker, o.publicKey(t))
	o.gate = o.gateOf(t, 0)
	return o
}

// gateOf starts an Envoy before one of the replicas.
func (o *office) gateOf(t *testing.T, replica int) e2e.Proxy {
	t.Helper()
	places, err := e2e.FreePlaces(o.replicas[replica].Addresses, upstream(t))
	must(t, err)
	return startProxy(t, "envoy", places)
}

// superadmin is one that the operator makes, signed in and with a second factor.
func (o *office) superadmin(t *testing.T) *life {
	t.Helper()
	boss := newcomer(90)
	boss.email = staffEmail
	return o.appoint(t, boss)
}

// appoint has the operator make p a superadmin, with a session and a second factor.
func (o *office) appoint(t *testing.T, p *person) *life {
	t.Helper()
	boss := &life{office: o, person: p}
	create := exec.CommandContext(t.Context(), o.bin, "users", "create", "--email", boss.email, "--role", "superadmin", "--level", "1")
	create.Env, create.Dir, create.Stdin = o.env, t.TempDir(), strings.NewReader(boss.password+"\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("make a superadmin: %v, %s", err, out)
	}
	boss.signIn(t, o.gate)
	boss.protects(t)
	return boss
}

// publicKey is the key that an operator hands to readers of events.
func (o *office) publicKey(t *testing.T) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.bin, "keys", "public")
	cmd.Dir, cmd.Env = t.TempDir(), o.env
	out, err := cmd.Output()
	must(t, err)
	return out
}

// direct is the REST listener of the second replica, past the gate.
func (o *office) direct() serving { return listener(o.replicas[1].HTTP) }

// killAll is kill -9 of both replicas.
func (o *office) killAll(t *testing.T) {
	t.Helper()
	for _, r := range o.replicas {
		must(t, r.Kill())
	}
}

// restart starts both replicas again, where they were.
func (o *office) restart(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(o.replicas))
	for i, r := range o.replicas {
		all.Go(func() { o.replicas[i], errs[i] = e2e.StartBarong(t.Context(), o.bin, r.Dir, r.Addresses, o.env...) })
	}
	all.Wait()
	for _, err := range errs {
		must(t, err)
	}
}

// measured is a figure of a destination of the outbox, of each replica.
func (o *office) measured(t *testing.T, name, destination string) (values []float64) {
	t.Helper()
	line := name + `{destination="` + destination + `"} `
	for _, r := range o.replicas {
		resp, err := http.Get("http://" + r.Ops + "/metrics")
		must(t, err)
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), line); ok {
				v, err := strconv.ParseFloat(text, 64)
				must(t, err)
				values = append(values, v)
			}
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if len(values) != len(o.replicas) {
		t.Fatalf("%s: got %v, want it of every replica", line, values)
	}
	return values
}

// Events of a newcomer's life, in the order in which they must come.
var (
	ofSignUp  = []string{"model.user.created", "system.user.email.confirmation.token"}
	ofConfirm = []string{"model.label.created", "model.user.updated", "system.user.email.confirmed"}
	ofReset   = []string{"system.user.password.reset.token", "model.user.updated", "system.user.password.reset"}
	ofSignIn  = []string{"system.session.create"} // and for a new device nothing more: only a mail
)

// came waits until the events of a person are these, in this order; repetitions count for
// nothing where again is true.
func (o *office) came(t *testing.T, p *person, again bool, want ...[]string) []told {
	t.Helper()
	list := slices.Concat(want...)
	var got []told
	deadline := time.Now().Add(patience)
	for {
		got = o.events.of(p.uid)
		have := names(got)
		if again {
			have = firsts(have)
		}
		if slices.Equal(have, list) {
			return got
		}
		if len(have) > len(list) && !again || time.Now().After(deadline) {
			t.Fatalf("events of %s: want (-), got (+):\n%s\nothers: %q", p.email, cmp.Diff(list, have), o.events.complaints())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// firsts are the names without repetitions: an event that failed on its way may come again (at
// least once), after those that came before it.
func firsts(names []string) (list []string) {
	for _, n := range names {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// TestIdentity takes newcomers through everything that identity offers them, and the events
// and mails about it through outages. Its parts go on where the one before ended.
func TestIdentity(t *testing.T) {
	began := time.Now()
	o := openOffice(t)
	t.Logf("everything runs after %s", time.Since(began).Round(time.Millisecond))
	first := newcomer(1)
	parts := []struct {
		name string
		run  func(*testing.T)
	}{
		{"a newcomer becomes a user, forgets the password and signs out everywhere", func(t *testing.T) { o.journey(t, first) }},
		{"AZ-382 to AZ-387: events have the members of the wire", func(t *testing.T) { o.wireMembers(t, first) }},
		{"of two replicas one sends: every mail and event is there once", o.once},
		{"broker and mail server are away: the API goes on, and all arrives afterwards", o.outage},
		{"kill -9 while events wait: they arrive after the restart", o.killed},
	}
	for _, p := range parts {
		at := time.Now()
		if !t.Run(p.name, p.run) {
			return
		}
		t.Logf("%s: %s", p.name, time.Since(at).Round(time.Millisecond))
	}
	if wrong := o.events.complaints(); len(wrong) > 0 {
		t.Errorf("messages that a consumer drops or does not expect: %q", wrong)
	}
	seen := map[string]bool{}
	for _, l := range o.post.all(first.email) {
		if seen[l.id] {
			t.Errorf("mail %s to %s came twice, and nothing had failed", l.subject, l.to)
		}
		seen[l.id] = true
	}
	report(fmt.Sprintf("identity: sign-up to sign-out with mails and events through outages in %s", time.Since(began).Round(time.Second)))
}

// journey is the newcomer's, through the gate but for one step on the other replica.
func (o *office) journey(t *testing.T, p *person) {
	p.signUp(t, o.gate)
	p.want(t, 200, `"state":"pending"`, o.gate, "GET", "/resource/users/me", nil)

	unconfirmed := p.cookies["_barong_session"]
	p.confirm(t, o.direct(), o.post.token(t, p.email, "Registration Confirmation"))
	p.want(t, 200, `"state":"active"`, o.gate, "GET", "/resource/users/me", nil)
	if p.cookies["_barong_session"] == unconfirmed {
		t.Error("the session of the sign-up goes on after the confirmation")
	}

	before := p.elsewhere()
	before.cookies["_barong_session"], before.csrf = p.cookies["_barong_session"], p.csrf
	p.want(t, 201, "", o.gate, "POST", "/identity/users/password/generate_code", map[string]string{"email": p.email})
	token := o.post.token(t, p.email, "Password Reset")
	p.password = "Another-Horse-8-Staple"
	reset := map[string]string{"reset_password_token": token, "password": p.password, "confirm_password": p.password}
	p.want(t, 201, "", o.gate, "POST", "/identity/users/password/confirm_code", reset)
	p.want(t, 422, `"identity.user.utilized_token"`, o.gate, "POST", "/identity/users/password/confirm_code", reset)
	before.refused(t, o.gate)

	p.signIn(t, o.gate)
	other := p.elsewhere()
	other.signIn(t, o.gate)
	other.want(t, 200, p.uid, o.gate, "GET", "/resource/users/me", nil)
	p.want(t, 204, "", o.gate, "DELETE", "/resource/sessions", nil)
	other.refused(t, o.gate)
	p.want(t, 200, p.uid, o.gate, "GET", "/resource/users/me", nil) // the session that asked for it stays
	p.want(t, 204, "", o.gate, "DELETE", "/identity/sessions", nil)
	if c := p.cookies["_barong_session"]; c != "" {
		t.Errorf("signed out: the cookie is still %q", c)
	}

	o.came(t, p, false, ofSignUp, ofConfirm, ofReset, ofSignIn, ofSignIn)
	want := []string{"Registration Confirmation", "Password Reset", "Your Password Was Changed", "New Login"}
	var subjects []string
	eventually(t, "mails to "+p.email, func() bool { subjects = nil; return len(o.post.all(p.email)) >= len(want) })
	for _, l := range o.post.all(p.email) {
		subjects = append(subjects, l.subject)
		if !l.secure {
			t.Errorf("mail %s came without TLS", l.subject)
		}
	}
	if diff := cmp.Diff(want, subjects); diff != "" {
		t.Errorf("mails: want (-), got (+):\n%s", diff)
	}
}

// wireMembers compares the members of a person's events with the specification's tables.
func (o *office) wireMembers(t *testing.T, p *person) {
	const (
		// Nulls are removed at the top level (AZ-386): username and referral_uid.
		user   = "created_at email level otp role state uid updated_at"
		nested = "created_at email level otp referral_uid role state uid updated_at username"
	)
	record := map[string]string{
		"model.user.created": user, "model.user.updated": user,
		"model.label.created": "id key user value",
		// language is a member of ours, beside those that the reference sends (AZ-390).
		"system.user.email.confirmation.token": "domain language token user",
		"system.user.email.confirmed":          "domain language user",
		"system.user.password.reset.token":     "domain language token user",
		"system.user.password.reset":           "domain language user",
		"system.session.create":                "user user_agent user_ip",
	}
	var changed []string
	for _, e := range o.events.of(p.uid) {
		if got := members(e.record); got != record[e.name] {
			t.Errorf("%s: got members %q, want %q", e.name, got, record[e.name])
		}
		if u, ok := e.record["user"]; ok {
			if got := members(object(t, u)); got != nested {
				t.Errorf("%s: got members of the user %q, want %q", e.name, got, nested)
			}
		}
		if (e.changes != nil) != (e.name == "model.user.updated") {
			t.Errorf("%s: got changes %q", e.name, e.changes)
		}
		if e.changes != nil {
			text := ""
			for _, name := range strings.Fields(members(e.changes)) {
				text += name + "=" + string(e.changes[name]) + " "
			}
			changed = append(changed, text)
		}
		if ip, ok := e.record["user_ip"]; ok && string(ip) != `"`+p.ip+`"` {
			t.Errorf("%s: got user_ip %s, want %s", e.name, ip, p.ip)
		}
		if d, ok := e.record["domain"]; ok && string(d) != `"`+site+`"` {
			t.Errorf("%s: got domain %s, want %s", e.name, d, site)
		}
	}
	// AZ-387: the values before, and nothing that is not published: a password.
	if diff := cmp.Diff([]string{`level=0 state="pending" `, ""}, changed); diff != "" {
		t.Errorf("changes: want (-), got (+):\n%s", diff)
	}
}

// once has people sign up at both replicas at the same time.
func (o *office) once(t *testing.T) {
	var people []*person
	for n := range 6 {
		p := newcomer(10 + n)
		via := serving(o.gate)
		if n%2 == 1 {
			via = o.direct()
		}
		p.signUp(t, via)
		people = append(people, p)
	}
	for _, p := range people {
		p.confirm(t, o.gate, o.post.token(t, p.email, "Registration Confirmation"))
	}
	for _, p := range people {
		o.came(t, p, false, ofSignUp, ofConfirm)
		if got := len(o.post.all(p.email)); got != 1 {
			t.Errorf("%s got %d mails, want 1", p.email, got)
		}
	}
	mails := len(o.post.all(""))
	links, notices := []float64(nil), []float64(nil) // each queue is with one replica
	all := func() float64 { return links[0] + links[1] + notices[0] + notices[1] }
	eventually(t, fmt.Sprintf("%d mails in the figures of the replicas", mails), func() bool {
		links = o.measured(t, "barong_outbox_sent_total", "mail")
		notices = o.measured(t, "barong_outbox_sent_total", "mail_notices")
		return all() >= float64(mails)
	})
	if links[0]*links[1] != 0 || notices[0]*notices[1] != 0 || all() != float64(mails) {
		t.Errorf("the replicas have sent %v links and %v notices, want %d mails, those of a queue by one of them", links, notices, mails)
	}
}

// outage takes broker and mail server away, both for a while.
func (o *office) outage(t *testing.T) {
	o.broker.Kill()
	o.post.close()
	a, b := newcomer(20), newcomer(21)
	a.signUp(t, o.gate)
	b.signUp(t, o.direct())
	down := func(destination string) func() bool {
		return func() bool { return slices.Contains(o.measured(t, "barong_outbox_up", destination), 0) }
	}
	eventually(t, "barong_outbox_up 0 for mail", down("mail"))
	eventually(t, "barong_outbox_up 0 for the broker", down("broker"))
	if got := len(o.post.all(a.email)) + len(o.post.all(b.email)); got != 0 {
		t.Errorf("%d mails came while there was no server", got)
	}

	o.post.open(t)
	for _, p := range []*person{a, b} { // mails do not wait for the broker
		p.confirm(t, o.gate, o.post.token(t, p.email, "Registration Confirmation"))
	}
	eventually(t, "barong_outbox_waiting above 0 for the broker", func() bool {
		return slices.Max(o.measured(t, "barong_outbox_waiting", "broker")) > 0
	})
	if got := len(o.events.of(a.uid)) + len(o.events.of(b.uid)); got != 0 {
		t.Errorf("%d events came while there was no broker", got)
	}
	o.broker.Restart(t)
	for _, p := range []*person{a, b} {
		o.came(t, p, true, ofSignUp, ofConfirm)
	}
}

// killed ends both replicas while they cannot reach the broker, which itself goes on.
func (o *office) killed(t *testing.T) {
	o.wire.Cut()
	var people []*person
	for n := range 4 {
		p := newcomer(30 + n)
		via := serving(o.gate)
		if n%2 == 1 {
			via = o.direct()
		}
		p.signUp(t, via)
		people = append(people, p)
	}
	o.killAll(t)
	for _, p := range people {
		if got := o.events.of(p.uid); len(got) != 0 {
			t.Errorf("%s: got %q before the restart", p.email, names(got))
		}
	}
	must(t, o.wire.Mend())
	o.restart(t)
	for _, p := range people {
		p.confirm(t, o.gate, o.post.token(t, p.email, "Registration Confirmation"))
		o.came(t, p, true, ofSignUp, ofConfirm)
	}
}
