package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A person is a browser at an address of its own, with its cookies.
type person struct {
	email, password string
	ip              string
	uid, csrf       string
	cookies         map[string]string
}

// newcomer is the nth person, with no account yet. People have networks of their own, as
// limits count by these.
func newcomer(n int) *person {
	return &person{
		email: fmt.Sprintf("newcomer%d@example.com", n), password: "Correct-Horse-9-Battery",
		ip: fmt.Sprintf("192.0.2.%d", n), cookies: map[string]string{},
	}
}

// elsewhere is the same person at another browser.
func (p *person) elsewhere() *person {
	return &person{email: p.email, password: p.password, ip: p.ip, uid: p.uid, cookies: map[string]string{}}
}

// ask is a request to Barong's own API.
func (p *person) ask(t *testing.T, via serving, method, path string, body map[string]string) answer {
	t.Helper()
	return p.send(t, via, method, "/api/v2/barong"+path, body)
}

// send sends one request and keeps the cookies of the answer; a body is JSON. It names the address
// as a load balancer in front does.
func (p *person) send(t *testing.T, via serving, method, path string, body map[string]string) answer {
	t.Helper()
	head := method + " " + path + " HTTP/1.1\nUser-Agent: e2e\nX-Forwarded-For: " + p.ip
	if len(p.cookies) > 0 {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(p.cookies)) {
			pairs = append(pairs, name+"="+p.cookies[name])
		}
		head += "\nCookie: " + strings.Join(pairs, "; ")
	}
	if p.csrf != "" {
		head += "\nX-CSRF-Token: " + p.csrf
	}
	var content []string
	if body != nil {
		text, err := json.Marshal(body)
		must(t, err)
		head += "\nContent-Type: application/json"
		content = []string{string(text)}
	}
	got := raw(t, via, head, content...)
	resp := http.Response{Header: got.header}
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(p.cookies, c.Name)
			continue
		}
		p.cookies[c.Name] = c.Value
	}
	return got
}

// want is ask, failing the test unless the answer has the status and holds the text.
func (p *person) want(t *testing.T, status int, holds string, via serving, method, path string, body map[string]string) answer {
	t.Helper()
	got := p.ask(t, via, method, path, body)
	if got.status != status || !strings.Contains(got.body, holds) {
		t.Fatalf("%s %s of %s: got %d %s, want %d with %s", method, path, p.email, got.status, got.body, status, holds)
	}
	return got
}

// enter is a request whose answer opens a session.
func (p *person) enter(t *testing.T, state string, via serving, path string, body map[string]string) {
	t.Helper()
	got := p.want(t, 201, `"state":"`+state+`"`, via, "POST", path, body)
	var me struct {
		UID  string `json:"uid"`
		CSRF string `json:"csrf_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &me); err != nil || me.UID == "" || me.CSRF == "" || p.cookies["_barong_session"] == "" {
		t.Fatalf("POST %s of %s opens no session: %v, %s", path, p.email, err, got.body)
	}
	p.uid, p.csrf = me.UID, me.CSRF
}

func (p *person) signUp(t *testing.T, via serving) {
	t.Helper()
	p.enter(t, "pending", via, "/identity/users", map[string]string{"email": p.email, "password": p.password})
}

func (p *person) confirm(t *testing.T, via serving, token string) {
	t.Helper()
	p.enter(t, "active", via, "/identity/users/email/confirm_code", map[string]string{"token": token})
}

func (p *person) signIn(t *testing.T, via serving) {
	t.Helper()
	p.enter(t, "active", via, "/identity/sessions", map[string]string{"email": p.email, "password": p.password})
}

// refused waits until the gate refuses the session: another replica may have written its end to
// the database.
func (p *person) refused(t *testing.T, gate serving) {
	t.Helper()
	var got answer
	eventually(t, "refusal of the ended session of "+p.email, func() bool {
		got = p.ask(t, gate, "GET", "/resource/users/me", nil)
		return got.status != 200
	})
	if got.status != 401 || got.body != reason("authz.invalid_session") {
		t.Errorf("an ended session of %s: got %d %s, want 401 authz.invalid_session", p.email, got.status, got.body)
	}
}
