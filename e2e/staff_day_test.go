package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"barong/e2e"
	"barong/e2e/cluster"
	"barong/internal/peer/peertest"
)

// A day is one of the staff's: two replicas, each behind an Envoy of its own, and people who keep the
// exchange in order.
type day struct {
	*office
	gates [2]e2e.Proxy // before each replica

	boss   *life            // a superadmin
	staff  map[string]*life // by role
	trader *life            // a member at home
	abroad *life            // a member in Andorra
	rogue  *life            // a member to be locked
	peers  *peertest.Peers
	keys   string // directory of their private keys

	done []deed
}

// A deed is an act that the activities must tell.
type deed struct{ actor, target, topic, action, result string }

func (d deed) String() string {
	return fmt.Sprintf("%s %s %s of %s about %q", d.result, d.topic, d.action, d.actor, d.target)
}

// did notes an act that was made.
func (d *day) did(by, about *life, topic, action string) {
	x := deed{by.uid, "", topic, action, "succeed"}
	if about != nil {
		x.target = about.uid
	}
	d.done = append(d.done, x)
}

// peerScopes are the rights of two services, of which neither may do anything alone.
const peerScopes = `
scopes:
  read_labels: {permitted_signers: [alex, jeff], mandatory_signers: [alex], min_signers: 2}
  write_labels: {permitted_signers: [alex, jeff], mandatory_signers: [alex], min_signers: 2}
`

// TestAStaffDay takes the people who run an exchange through a day, in its order: hiring, rights, a country,
// a maintenance, a suspect, an applicant, a peer service, a promotion, and last the book that has it all.
func TestAStaffDay(t *testing.T) {
	began := time.Now()
	tool(t, "envoy")
	d := &day{peers: peertest.New(t), keys: t.TempDir(), staff: map[string]*life{}}
	keychain, _, _ := strings.Cut(d.peers.Text(t, "{}"), "scopes:")
	file := filepath.Join(d.keys, "management_api.yml")
	must(t, os.WriteFile(file, []byte(keychain+peerScopes), 0o600))
	for id := range peertest.Signers {
		must(t, os.WriteFile(filepath.Join(d.keys, id+".pem"), []byte(d.peers.PrivatePEM(t, id)), 0o600))
	}
	d.office = openOffice(t, "BARONG_PHONE_VERIFICATION=mock", "BARONG_STORAGE_FOLDER="+t.TempDir(),
		"BARONG_MANAGEMENT_API="+file, "BARONG_FOUR_EYES=superadmin", "BARONG_MAXMINDDB_PATH="+cluster.WriteWorld(t))
	d.gates = [2]e2e.Proxy{d.gate, d.gateOf(t, 1)}
	for _, step := range []struct {
		name string
		take func(*testing.T)
	}{
		{"the superadmin makes staff of each role", d.hires},
		{"members come", d.opens},
		{"each does what it may and is refused what it may not", d.works},
		{"a country is closed and opened again", d.closesACountry},
		{"maintenance is on, and staff are let in", d.maintains},
		{"a suspect is locked, and the sessions end with it", d.locks},
		{"an applicant is reviewed to level 3", d.reviews},
		{"a service moves labels by messages of two signers", d.movesLabels},
		{"a superadmin is made, as two others want", d.promotes},
		{"the activities tell the whole day", d.looksBack},
	} {
		at := time.Now()
		if !t.Run(step.name, step.take) {
			return
		}
		t.Logf("%s: %s", step.name, time.Since(at).Round(time.Millisecond))
	}
	report(fmt.Sprintf("a staff day: %d acts through two Envoys, two replicas, PostgreSQL and Redis, all in the activities, in %s",
		len(d.done), time.Since(began).Round(time.Second)))
}

// member signs up and proves the address.
func (d *day) member(t *testing.T, n int, ip string) *life {
	t.Helper()
	l := &life{office: d.office, person: newcomer(n)}
	if ip != "" {
		l.ip = ip
	}
	l.signUp(t, d.gate)
	l.confirm(t, d.gate, d.post.token(t, l.email, "Registration Confirmation"))
	return l
}

// trades reports how a decision of one gate about a request to a component ends: "" for one that
// reached it, else status and body.
func (d *day) trades(t *testing.T, l *life, gate int) string {
	t.Helper()
	got := l.send(t, d.gates[gate], "GET", "/api/v2/peatio/market/orders", nil)
	if got.status == 200 {
		if seen := got.echoed(t); seen.Claims["uid"] != l.uid {
			t.Fatalf("the component saw the claims %v, want those of %s", seen.Claims, l.uid)
		}
		return ""
	}
	return fmt.Sprint(got.status, " ", got.body)
}

// wantTrades fails the test unless the first gate's very next decision is this one, and the second's within a
// second, as soon as its replica has heard of the change; it returns the time that this took.
func (d *day) wantTrades(t *testing.T, l *life, want string) time.Duration {
	t.Helper()
	if got := d.trades(t, l, 0); got != want {
		t.Fatalf("%s at the replica that answered the change: got %q, want %q", l.email, got, want)
	}
	began := time.Now()
	for {
		got := d.trades(t, l, 1)
		took := time.Since(began)
		if got == want {
			return took
		}
		if took > time.Second {
			t.Fatalf("%s at the other replica after %s: got %q, want %q", l.email, took, got, want)
		}
	}
}

// roles are those of staff but for superadmins, as the shipped abilities name them.
var roles = []string{"admin", "technical", "accountant", "compliance", "support"}

func (d *day) hires(t *testing.T) {
	d.boss = d.superadmin(t)
	for i, role := range roles {
		l := d.member(t, 71+i, "")
		l.does(t, 401, byGate, "GET", "/admin/users")
		d.done = append(d.done, deed{l.uid, "", "users", "read", "denied"})
		d.boss.does(t, 201, "201", "POST", "/admin/users/role", "uid", l.uid, "role", role)
		d.did(d.boss, l, "users", "update")
		l.refused(t, d.gate) // the session of the former role
		l.cookies = map[string]string{}
		l.signIn(t, d.gate)
		l.does(t, 403, "admin.second_factor.required", "GET", "/admin/abilities")
		l.protects(t)
		l.does(t, 200, "Ability", "GET", "/admin/abilities")
		d.staff[role] = l
	}
	d.boss.does(t, 422, "admin.user.role_no_change", "POST", "/admin/users/role", "uid", d.staff["admin"].uid, "role", "admin")
}

func (d *day) opens(t *testing.T) {
	d.trader, d.rogue = d.member(t, 20, ""), d.member(t, 21, "")
	d.abroad = d.member(t, 22, "45.0.0.22") // in Andorra, by the file
	for _, l := range []*life{d.trader, d.rogue, d.abroad} {
		d.wantTrades(t, l, "")
	}
}

// Refusals by the gate, by the abilities, and by the rules on ranks.
const (
	byGate    = `"authz.invalid_permission"`
	byAbility = `"admin.ability.not_permitted"`
)

func (d *day) works(t *testing.T) {
	for _, c := range []struct {
		role, method, path string
		body               []string
		status             int
		holds              string
	}{
		{"admin", "GET", "/admin/users?uid=" + d.trader.uid, nil, 200, d.trader.uid},
		{"admin", "GET", "/admin/restrictions", nil, 200, "maintenance"},
		{"admin", "GET", "/admin/permissions", nil, 401, byGate},
		{"admin", "GET", "/admin/activities/admin", nil, 401, byGate},
		{"admin", "POST", "/admin/users/role", []string{"uid", d.trader.uid, "role", "maker"}, 401, byGate},
		{"admin", "PUT", "/admin/users", []string{"uid", d.boss.uid, "state", "banned"}, 422, "admin.user.superadmin_change"},
		{"admin", "PUT", "/admin/users", []string{"uid", d.staff["admin"].uid, "state", "banned"}, 422, "admin.user.update_himself"},
		{"admin", "PUT", "/admin/users", []string{"uid", d.trader.uid, "email", "new@example.com"}, 422, "superadmin.user.update_email"},
		{"technical", "GET", "/admin/restrictions", nil, 200, "maintenance"},
		{"technical", "GET", "/admin/users/documents/pending", nil, 401, byGate},
		{"technical", "POST", "/admin/users/labels", []string{"uid", d.trader.uid, "key", "vip", "value", "yes"}, 401, byGate},
		{"technical", "PUT", "/admin/users", []string{"uid", d.trader.uid, "state", "banned"}, 401, byGate},
		{"accountant", "GET", "/admin/users", nil, 200, d.trader.uid},
		{"accountant", "GET", "/admin/restrictions", nil, 401, byAbility},
		{"accountant", "GET", "/admin/api_keys?uid=" + d.trader.uid, nil, 401, byAbility},
		{"accountant", "POST", "/admin/users/update", []string{"uid", d.trader.uid, "state", "banned"}, 401, byGate},
		{"compliance", "GET", "/admin/users/documents/pending", nil, 200, "[]"},
		{"compliance", "GET", "/admin/restrictions", nil, 401, byGate},
		{"compliance", "GET", "/admin/api_keys?uid=" + d.trader.uid, nil, 401, byAbility},
		{"compliance", "GET", "/admin/activities", nil, 401, byAbility},
		{"compliance", "POST", "/admin/users/labels", []string{"uid", d.staff["support"].uid, "key", "vip", "value", "yes"}, 422, "admin.user.insufficient_rank"},
		{"support", "GET", "/admin/users?email=" + d.trader.email, nil, 200, d.trader.uid},
		{"support", "GET", "/admin/activities?uid=" + d.trader.uid, nil, 200, `"signup"`},
		{"support", "PUT", "/admin/users", []string{"uid", d.trader.uid, "state", "banned"}, 401, byGate},
		{"support", "POST", "/admin/users/update", []string{"uid", d.staff["technical"].uid, "state", "banned"}, 422, "admin.user.insufficient_rank"},
		{"support", "GET", "/admin/permissions", nil, 401, byGate},
	} {
		l := d.staff[c.role]
		l.does(t, c.status, c.holds, c.method, c.path, c.body...)
		path, _, _ := strings.Cut(strings.TrimPrefix(c.path, "/admin/"), "?")
		topic, _, _ := strings.Cut(path, "/")
		x := deed{l.uid, "", topic, map[string]string{"GET": "read", "POST": "create", "PUT": "update"}[c.method], "denied"}
		if i := slices.Index(c.body, "uid"); i >= 0 {
			x.target = c.body[i+1]
		}
		switch {
		case c.holds == byGate: // which knows the target by the body that Envoy shows it
		case c.status == 422:
			x.result = "failed"
		default: // reads, and lists without the ability
			continue
		}
		d.done = append(d.done, x)
	}
}

// restriction adds one and returns its id.
func (d *day) restriction(t *testing.T, by *life, category, scope, value string) (id string) {
	t.Helper()
	by.does(t, 201, "201", "POST", "/admin/restrictions", "category", category, "scope", scope, "value", value)
	d.did(by, nil, "restrictions", "create")
	return d.restrictionID(t, by, category, scope, value)
}

func (d *day) restrictionID(t *testing.T, by *life, category, scope, value string) string {
	t.Helper()
	got := by.does(t, 200, "[", "GET", "/admin/restrictions?limit=100&category="+category+"&scope="+scope)
	var rows []struct {
		ID    int64
		Value string
	}
	must(t, json.Unmarshal([]byte(got.body), &rows))
	for _, row := range rows {
		if row.Value == value {
			return strconv.FormatInt(row.ID, 10)
		}
	}
	t.Fatalf("no restriction on %s in %s", value, got.body)
	return ""
}

// switches enables or disables a restriction.
func (d *day) switches(t *testing.T, by *life, id, state string) {
	t.Helper()
	by.does(t, 200, "200", "PUT", "/admin/restrictions", "id", id, "state", state)
	d.did(by, nil, "restrictions", "update")
}

func (d *day) closesACountry(t *testing.T) {
	tech := d.staff["technical"]
	closed := "423 " + reason("authz.restrict.blacklist")
	id := d.restriction(t, tech, "blacklist", "country", "AD")
	d.wantTrades(t, d.abroad, closed)
	d.wantTrades(t, d.trader, "")
	d.switches(t, tech, id, "disabled")
	d.wantTrades(t, d.abroad, "")
	d.switches(t, tech, id, "enabled")
	d.wantTrades(t, d.abroad, closed)
	tech.does(t, 204, "", "DELETE", "/admin/restrictions", "id", id)
	d.did(tech, nil, "restrictions", "delete")
	d.wantTrades(t, d.abroad, "")
}

func (d *day) maintains(t *testing.T) {
	tech := d.staff["technical"]
	open := d.restriction(t, tech, "whitelist", "ip_subnet", "192.0.2.64/26") // where staff are
	id := d.restrictionID(t, tech, "maintenance", "all", "all")
	d.switches(t, tech, id, "enabled")
	on := "471 " + reason("authz.restrict.maintenance")
	d.wantTrades(t, d.trader, on)
	d.wantTrades(t, d.abroad, on)
	for _, role := range roles {
		d.wantTrades(t, d.staff[role], "")
	}
	// Nobody else gets in, not even to sign in.
	guest := newcomer(23)
	guest.want(t, 471, "authz.restrict.maintenance", d.gate, "POST", "/identity/users", map[string]string{"email": guest.email, "password": guest.password})
	d.switches(t, tech, id, "disabled")
	d.wantTrades(t, d.trader, "")
	tech.does(t, 204, "", "DELETE", "/admin/restrictions", "id", open)
	d.did(tech, nil, "restrictions", "delete")
}

func (d *day) locks(t *testing.T) {
	support, admin := d.staff["support"], d.staff["admin"]
	before := *d.rogue.person
	support.does(t, 201, "201", "POST", "/admin/users/update", "uid", d.rogue.uid, "state", "locked")
	d.did(support, d.rogue, "users", "update")
	took := d.wantTrades(t, d.rogue, "401 "+reason("authz.user_not_active"))
	t.Logf("the other replica refuses the suspect after %s", took.Round(100*time.Microsecond))
	d.rogue.does(t, 401, "identity.session.", "POST", "/identity/sessions", "email", d.rogue.email, "password", d.rogue.password)
	admin.does(t, 200, "locked", "GET", "/admin/users?state=locked")
	admin.does(t, 200, "200", "PUT", "/admin/users", "uid", d.rogue.uid, "state", "active")
	d.did(admin, d.rogue, "users", "update")
	// The session has ended for good, on both.
	d.rogue.cookies = before.cookies
	d.wantTrades(t, d.rogue, "401 "+reason("authz.invalid_session"))
	d.rogue.cookies = map[string]string{}
	d.rogue.signIn(t, d.gate)
	d.wantTrades(t, d.rogue, "")
	// A label locks as well, and no state that staff set lifts it.
	compliance := d.staff["compliance"]
	compliance.does(t, 201, "201", "POST", "/admin/users/labels", "uid", d.rogue.uid, "key", "suspicious", "value", "activity", "scope", "private")
	d.did(compliance, d.rogue, "labels", "create")
	d.wantTrades(t, d.rogue, "401 "+reason("authz.user_not_active"))
	admin.does(t, 200, "", "PUT", "/admin/users", "uid", d.rogue.uid, "state", "banned")
	d.did(admin, d.rogue, "users", "update")
	got := admin.does(t, 200, "", "PUT", "/admin/users", "uid", d.rogue.uid, "state", "active")
	d.did(admin, d.rogue, "users", "update")
	if held := got.header.Get("X-State-Held-By"); held != "suspicious:activity" {
		t.Errorf("X-State-Held-By %q, want the label", held)
	}
	d.wantTrades(t, d.rogue, "401 "+reason("authz.user_not_active"))
}

func (d *day) reviews(t *testing.T) {
	l := &life{office: d.office, person: newcomer(24)}
	for _, step := range []func(*testing.T){l.arrives, l.introduces, l.provesPhone, l.uploads} {
		step(t)
	}
	compliance, admin := d.staff["compliance"], d.staff["admin"]
	compliance.does(t, 200, l.uid, "GET", "/admin/users/documents/pending")
	got := compliance.does(t, 200, `"Lovelace"`, "GET", "/admin/users/"+l.uid)
	d.did(compliance, l, "users", "read")
	var file struct {
		Documents []struct {
			Number string `json:"doc_number"`
			Upload struct{ URL string }
		}
		Labels []struct{ Key, Value string }
	}
	must(t, json.Unmarshal([]byte(got.body), &file))
	if len(file.Documents) != 1 || file.Documents[0].Number != "AB 123456" || !slices.Contains(file.Labels, struct{ Key, Value string }{"document", "pending"}) {
		t.Fatalf("the dossier: %s", got.body)
	}
	picture, err := base64.StdEncoding.DecodeString(passport)
	must(t, err)
	if got := compliance.send(t, d.gates[1], "GET", file.Documents[0].Upload.URL, nil); got.status != 200 || got.body != string(picture) {
		t.Fatalf("the picture at the other replica: %d, %d bytes", got.status, len(got.body))
	}
	// Others see neither the number nor the file.
	if got := d.staff["accountant"].does(t, 200, l.uid, "GET", "/admin/users/"+l.uid); strings.Contains(got.body, "AB 123456") || strings.Contains(got.body, file.Documents[0].Upload.URL) {
		t.Errorf("an accountant sees %s", got.body)
	}
	d.did(d.staff["accountant"], l, "users", "read")
	admin.does(t, 200, `"state":"verified"`, "PUT", "/admin/profiles", "uid", l.uid, "state", "verified")
	d.did(admin, l, "profiles", "update")
	compliance.does(t, 201, "The picture is good.", "POST", "/admin/users/comments", "uid", l.uid, "title", "passport", "data", "The picture is good.")
	d.did(compliance, l, "comments", "create")
	compliance.does(t, 200, "200", "PUT", "/admin/users/labels", "uid", l.uid, "key", "document", "value", "verified", "scope", "private")
	d.did(compliance, l, "labels", "update")
	compliance.does(t, 200, "[]", "GET", "/admin/users/documents/pending")
	l.does(t, 200, `"level":3`, "GET", "/resource/users/me")
	for gate := range d.gates {
		eventually(t, "the level of the applicant at each component", func() bool {
			return l.send(t, d.gates[gate], "GET", "/api/v2/peatio/market/orders", nil).echoed(t).Claims["level"] == float64(3)
		})
	}
}

// signed is the body that the operator's tool makes.
func (d *day) signed(t *testing.T, data string, signers ...string) string {
	t.Helper()
	args := []string{"management", "sign"}
	for _, id := range signers {
		args = append(args, "--key", id+"="+filepath.Join(d.keys, id+".pem"))
	}
	sign := exec.CommandContext(t.Context(), d.bin, append(args, data)...)
	sign.Env, sign.Dir = []string{}, t.TempDir() // no settings
	body, err := sign.Output()
	must(t, err)
	return string(body)
}

// tells sends a signed body to a replica's management listener.
func (d *day) tells(t *testing.T, replica int, method, path, body string) answer {
	t.Helper()
	return raw(t, listener(d.replicas[replica].Management),
		method+" /api/v2/management"+path+" HTTP/1.1\nContent-Type: application/json", body)
}

func (d *day) movesLabels(t *testing.T) {
	level := func(gate int) any {
		return d.trader.send(t, d.gates[gate], "GET", "/api/v2/peatio/market/orders", nil).echoed(t).Claims["level"]
	}
	label := func(value string) string {
		return `{"user_uid":"` + d.trader.uid + `","key":"phone","value":"` + value + `"}`
	}
	for name, c := range map[string]struct {
		signers []string
		status  int
		want    string
	}{
		"one signer":            {[]string{"alex"}, 401, "Not enough signatures for the action."},
		"the other":             {[]string{"jeff"}, 401, "Not enough signatures for the action."},
		"one and a stranger":    {[]string{"alex", "james"}, 401, "Not enough signatures for the action."},
		"one signer, two times": {[]string{"alex", "alex"}, 401, "Not enough signatures for the action."},
	} {
		if got := d.tells(t, 0, "POST", "/labels", d.signed(t, label("verified"), c.signers...)); got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, got.body, c.status, c.want)
		}
	}
	if got := level(0); got != float64(1) {
		t.Fatalf("before: level %v, want 1", got)
	}
	services := &life{person: &person{}}
	for i, c := range []struct {
		method, path, data string
		status             int
		action             string
		level              float64
	}{
		{"POST", "/labels", label("verified"), 201, "label create", 2},
		{"PUT", "/labels", label("pending"), 200, "label update", 1},
		{"PUT", "/labels", label("verified"), 200, "label update", 2},
		{"POST", "/labels/delete", `{"user_uid":"` + d.trader.uid + `","key":"phone"}`, 201, "label delete", 1},
	} {
		body := d.signed(t, c.data, "alex", "jeff")
		on := i % 2
		if got := d.tells(t, on, c.method, c.path, body); got.status != c.status {
			t.Fatalf("%s %s %s: got %d %s, want %d", c.method, c.path, c.data, got.status, got.body, c.status)
		}
		d.did(services, d.trader, "management", c.action)
		if got := level(on); got != c.level {
			t.Fatalf("%s %s: the next decision of that replica says level %v, want %v", c.method, c.path, got, c.level)
		}
		// The same message is good for nothing more, at whatever replica, and no gate lets one through.
		for replica := range d.replicas {
			if got := d.tells(t, replica, c.method, c.path, body); got.status != 401 {
				t.Errorf("the message again at replica %d: got %d %s", replica, got.status, got.body)
			}
		}
		if got := raw(t, d.gates[on], c.method+" /api/v2/management"+c.path+" HTTP/1.1\nContent-Type: application/json", body); got.status != 404 {
			t.Errorf("through the gate: got %d %s", got.status, got.body)
		}
	}
	if got := d.tells(t, 1, "POST", "/labels/list", d.signed(t, `{"user_uid":"`+d.trader.uid+`"}`, "alex", "jeff")); got.status != 201 || strings.Contains(got.body, `"phone"`) {
		t.Errorf("labels of the trader: %d %s", got.status, got.body)
	}
}

// promotes makes the accountant a superadmin, which one superadmin asks for and another confirms.
func (d *day) promotes(t *testing.T) {
	chosen, second := d.staff["accountant"], d.appoint(t, newcomer(91))
	got := d.boss.does(t, 202, `"request_id"`, "POST", "/admin/users/role", "uid", chosen.uid, "role", "superadmin")
	d.did(d.boss, chosen, "requests", "ask")
	request, ours := strings.CutPrefix(got.header.Get("Location"), "/api/v2/barong")
	if !ours {
		t.Fatalf("Location %q, want the request's", got.header.Get("Location"))
	}
	d.boss.does(t, 422, "admin.request.own", "POST", request+"/confirm")
	d.staff["admin"].does(t, 401, byAbility, "POST", request+"/confirm")
	chosen.does(t, 200, `"role":"accountant"`, "GET", "/resource/users/me")
	second.does(t, 200, `"open"`, "GET", request)
	second.does(t, 200, `"confirmed"`, "POST", request+"/confirm")
	d.did(second, chosen, "requests", "confirm")
	d.did(second, chosen, "users", "update")
	second.does(t, 409, "admin.request.not_open", "POST", request+"/confirm")
	chosen.refused(t, d.gate) // the session of the former role
	chosen.cookies = map[string]string{}
	chosen.enter(t, "active", d.gate, "/identity/sessions", map[string]string{
		"email": chosen.email, "password": chosen.password, "otp_code": chosen.code(t),
	})
	chosen.does(t, 200, `"role":"superadmin"`, "GET", "/resource/users/me")
}

// A line is one of GET /admin/activities/admin.
type line struct {
	Topic, Action, Result string
	Data                  *string
	Admin                 struct{ UID, Email, Role string }
	Target                *struct{ UID string }
}

// book reads all activities of staff, the first of the day first.
func (d *day) book(t *testing.T) (all []line) {
	t.Helper()
	for page := 1; ; page++ {
		got := d.boss.does(t, 200, "[", "GET", "/admin/activities/admin?limit=100&page="+strconv.Itoa(page))
		var lines []line
		must(t, json.Unmarshal([]byte(got.body), &lines))
		all = append(all, lines...)
		if len(lines) < 100 {
			slices.Reverse(all)
			return all
		}
	}
}

func (d *day) looksBack(t *testing.T) {
	var all []line
	// Refusals are written behind, in the order of their time.
	missing := func() string {
		all = d.book(t)
		at := 0
		for _, want := range d.done {
			for ; at < len(all); at++ {
				l := all[at]
				got := deed{l.Admin.UID, "", l.Topic, l.Action, l.Result}
				if l.Target != nil {
					got.target = l.Target.UID
				}
				if got == want {
					break
				}
			}
			if at == len(all) {
				return want.String()
			}
			at++
		}
		return ""
	}
	deadline := time.Now().Add(10 * time.Second)
	for miss := missing(); miss != ""; miss = missing() {
		time.Sleep(500 * time.Millisecond) // reads have a budget
		if time.Now().After(deadline) {
			for _, l := range all {
				t.Logf("%+v", l)
			}
			t.Fatalf("the activities do not tell, in this order: %s", miss)
		}
	}
	for _, l := range all {
		if l.Topic == "management" && (l.Admin.Role != "service" || l.Admin.Email != "alex,jeff") {
			t.Errorf("an act of the services names %+v, want both", l.Admin)
		}
		if l.Data == nil {
			continue
		}
		for _, secret := range []string{"Correct-Horse", "AB 123456", "Lovelace", d.boss.secret} {
			if strings.Contains(*l.Data, secret) {
				t.Errorf("%s %s of %s shows what is private: %s", l.Topic, l.Action, l.Admin.Email, *l.Data)
			}
		}
	}
	// The book has no change that the day had not.
	changes := 0
	for _, l := range all {
		if l.Result == "succeed" && l.Action != "read" && l.Admin.Role != "operator" {
			changes++
		}
	}
	noted := 0
	for _, x := range d.done {
		if x.result == "succeed" && x.action != "read" {
			noted++
		}
	}
	if changes != noted {
		t.Errorf("%d changes in the book, the day had %d", changes, noted)
	}
}
