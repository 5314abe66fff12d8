package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"runtime"
	"strconv"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/pquerna/otp/totp"

	"barong/internal/store/storetest"
)

// Once a change is answered, its process obeys it. More than 500 changes of accounts and of the
// policy, each followed at once by the decision that it is about, beside a load that keeps all
// processors busy (design D26).
func TestAnAnsweredChangeIsObeyed(t *testing.T) {
	key := "BARONG_SECRET_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for name, env := range map[string]func(*testing.T) []string{
		"SQLite": func(t *testing.T) []string {
			return []string{"BARONG_DATABASE_URL=sqlite:" + t.TempDir() + "/barong.db", key, "BARONG_GATE=off"}
		},
		"PostgreSQL": func(t *testing.T) []string {
			return []string{"BARONG_DATABASE_URL=" + storetest.PostgresURL(t), key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			obeyed(t, 500, append(env(t), "BARONG_RATE_LIMITS=false", "BARONG_STAFF_REQUIRES_2FA=false"))
		})
	}
}

// signedIn signs in and returns a caller of REST that asks as a proxy does: the session becomes a bearer token.
func signedIn(t *testing.T, p *process, gate authv3.AuthorizationClient, email string) asker {
	t.Helper()
	b := newBrowser(p).signIn(email, memberPassword)
	m, err := gate.Check(t.Context(), question("GET", mine, map[string]string{
		"cookie": "_barong_session=" + b.cookie(), "user-agent": "curl/8",
	}))
	if err != nil || m.GetOkResponse() == nil {
		t.Fatalf("no token for %s: %v, %v", email, m, err)
	}
	bearer := m.GetOkResponse().GetHeaders()[0].GetHeader().GetValue()
	return func(want int, method, path string, form url.Values) string {
		t.Helper()
		return b.want(want, "", method, path, form, "Authorization", bearer)
	}
}

// An asker is a caller of REST that fails the test unless the answer has the status, and returns the body.
type asker func(status int, method, path string, form url.Values) string

// A botKey is an API key.
type botKey struct{ Kid, Secret string }

// newBotKey switches the second factor of a user on and makes an API key of a scope, "" for all.
func newBotKey(t *testing.T, me asker, scope string) (key botKey) {
	t.Helper()
	var qr struct{ Data struct{ URL string } }
	into(t, me(200, "POST", "/api/v2/resource/otp/generate_qrcode", url.Values{}), &qr)
	u, err := url.Parse(qr.Data.URL)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	code := func(step int) string {
		t.Helper()
		code, err := totp.GenerateCode(u.Query().Get("secret"), begun.Add(time.Duration(step)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	me(200, "POST", "/api/v2/resource/otp/enable", url.Values{"code": {code(0)}})
	form := url.Values{"algorithm": {"HS256"}, "totp_code": {code(1)}}
	if scope != "" {
		form.Set("scope", scope)
	}
	into(t, me(201, "POST", "/api/v2/resource/api_keys", form), &key)
	return key
}

// signs are the headers of a request that the key signs now, from an address.
func (k botKey) signs(ip string) map[string]string {
	nonce := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(nonce + k.Kid))
	return map[string]string{
		"x-auth-apikey": k.Kid, "x-auth-nonce": nonce, "x-auth-signature": hex.EncodeToString(mac.Sum(nil)),
		"x-forwarded-for": ip,
	}
}

func obeyed(t *testing.T, changes int, env []string) {
	const boss, bot = "boss@barong.example", "bot@barong.example"
	c := newConsole(t)
	c.env = env
	c.run("", "seed").want(t, 0)
	c.run(memberPassword+"\n", "users create --role superadmin --state active --level 3 --email "+boss).want(t, 0)
	uid := c.person(bot, memberPassword)
	var uids []string
	for i := range 5 {
		uids = append(uids, c.person("m"+strconv.Itoa(i)+"@barong.example", memberPassword))
	}
	p := serving(t, t.TempDir(), env...)
	gate := authv3.NewAuthorizationClient(dial(t, p.grpc))

	me, admin := signedIn(t, p, gate, bot), signedIn(t, p, gate, boss)
	key := newBotKey(t, me, "")

	const asked, elsewhere, network = "api/v2/peatio/account/withdraws", "api/v2/peatio/account/elsewhere", "203.0.113.9"
	admin(201, "POST", "/api/v2/admin/permissions", url.Values{
		"role": {"member"}, "verb": {"GET"}, "path": {elsewhere}, "action": {"drop"},
	})
	admin(201, "POST", "/api/v2/admin/restrictions", url.Values{
		"scope": {"ip"}, "value": {network}, "category": {"blacklist"}, "state": {"disabled"},
	})
	rowOf := func(path, field, value string) string {
		t.Helper()
		for page := 1; ; page++ {
			var rows []map[string]any
			into(t, admin(200, "GET", path+"?limit=100&page="+strconv.Itoa(page), nil), &rows)
			for _, row := range rows {
				if row[field] == value {
					return strconv.Itoa(int(row["id"].(float64)))
				}
			}
			if len(rows) == 0 {
				t.Fatalf("%s: no row with %s %s", path, field, value)
			}
		}
	}
	drop := rowOf("/api/v2/admin/permissions", "path", elsewhere)
	blacklist := rowOf("/api/v2/admin/restrictions", "value", network)

	allowed := func() bool {
		t.Helper()
		m, err := gate.Check(t.Context(), question("GET", "/"+asked, key.signs(network)))
		if err != nil {
			t.Fatal(err)
		}
		return m.GetOkResponse() != nil
	}
	if !allowed() {
		t.Fatal("the key opens nothing")
	}

	// A ban ends all access of a person, so each ban needs another person.
	type person struct {
		uid     string
		allowed func() bool
	}
	var banned []person
	for i := range 5 {
		email := "m" + strconv.Itoa(i) + "@barong.example"
		x := person{uid: uids[i]}
		cookie := newBrowser(p).signIn(email, memberPassword).cookie()
		x.allowed = func() bool {
			t.Helper()
			m, err := gate.Check(t.Context(), question("GET", "/"+asked, map[string]string{
				"cookie": "_barong_session=" + cookie, "user-agent": "curl/8",
			}))
			if err != nil {
				t.Fatal(err)
			}
			return m.GetOkResponse() != nil
		}
		if !x.allowed() {
			t.Fatalf("%s has no session", email)
		}
		banned = append(banned, x)
	}

	// The load keeps the processors busy; decisions come in between.
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	for range runtime.GOMAXPROCS(0) {
		go func() {
			sum := make([]byte, 32)
			for {
				select {
				case <-stop:
					return
				default:
				}
				for range 1000 {
					s := sha256.Sum256(sum)
					copy(sum, s[:])
				}
				runtime.Gosched() // the server is to suffer, not this test
			}
		}()
	}

	late := map[string]int{}
	for _, b := range banned {
		admin(200, "PUT", "/api/v2/admin/users", url.Values{"uid": {b.uid}, "state": {"banned"}})
		if b.allowed() {
			late["a ban"]++
		}
	}
	for i := 0; i < changes; {
		for _, change := range []struct {
			what, method, path string
			form               url.Values
			after              bool
		}{
			{"a role that may not", "POST", "users/role", url.Values{"uid": {uid}, "role": {"sa_maker"}}, false},
			{"the role that may", "POST", "users/role", url.Values{"uid": {uid}, "role": {"member"}}, true},
			{"a DROP row", "PUT", "permissions", url.Values{"id": {drop}, "path": {asked}}, false},
			{"a DROP row of another path", "PUT", "permissions", url.Values{"id": {drop}, "path": {elsewhere}}, true},
			{"a restriction", "PUT", "restrictions", url.Values{"id": {blacklist}, "state": {"enabled"}}, false},
			{"no restriction", "PUT", "restrictions", url.Values{"id": {blacklist}, "state": {"disabled"}}, true},
		} {
			status := map[string]int{"PUT": 200, "POST": 201}[change.method]
			admin(status, change.method, "/api/v2/admin/"+change.path, change.form)
			if allowed() != change.after {
				late[change.what]++
			}
			i++
		}
		if t.Failed() {
			return
		}
	}
	if len(late) > 0 {
		text, _ := json.Marshal(late)
		t.Errorf("of %d answered changes, these were not obeyed: %s", changes, text)
	}
	if line := p.logged("answered before this process obeys the change"); line != nil {
		t.Errorf("an answer did not wait long enough: %v", line)
	}
}
