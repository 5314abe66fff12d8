package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/authz/authztest"
	"barong/e2e"
)

// This file holds everything in which a gateway differs from the corpus when it is replayed through
// it: the settings that the gateway needs, its limits and its own ways.

// everywhere is the shipped file of a gateway as an operator would adapt it for this replay. It
// has a route for every path, not only for the components (a gateway never asks about a path
// without a route), which treats a path like a component's; and a load balancer on loopback
// stands before it.
func everywhere(t *testing.T, kind string, file []byte, upstream string) []byte {
	t.Helper()
	text := string(file)
	change := func(from, to string) {
		t.Helper()
		if strings.Count(text, from) != 1 {
			t.Fatalf("%s: %q occurs %d times in the shipped file, want once", kind, from, strings.Count(text, from))
		}
		text = strings.Replace(text, from, to, 1)
	}
	switch kind {
	case "envoy", "envoy-http":
		change("                  - upgrade_type: websocket\n", "                  - upgrade_type: websocket\n"+
			"              - match: { prefix: / }\n                route: { cluster: applogic, timeout: 60s }\n")
	case "nginx":
		block := regexp.MustCompile(`(?s)\tlocation ~ [^\n]*\{\n(.*?)\n\t\}\n`).FindStringSubmatch(text)
		if block == nil {
			t.Fatal("nginx: no location of the components in the shipped file")
		}
		change("\tlocation / { return 404; }\n", "\tlocation / {\n"+strings.Replace(block[1], "$component", "applogic", 1)+"\n\t}\n")
	case "caddy":
		change("\thandle {\n\t\trespond 404\n\t}\n",
			"\thandle {\n\t\troute {\n\t\t\timport barong\n\t\t\timport credentials\n\t\t\treverse_proxy "+upstream+"\n\t\t}\n\t}\n")
	}
	return balanced(t, kind, []byte(text))
}

// balanced is the shipped file of a gateway behind a load balancer on loopback, whose
// X-Forwarded-For is to reach Barong. Envoy and nginx add to that header anyway, and leave it to
// Barong how much of it to believe; Caddy drops it unless its file names the proxies to trust.
func balanced(t testing.TB, kind string, file []byte) []byte {
	t.Helper()
	if kind != "caddy" {
		return file
	}
	const shipped = "# trusted_proxies 192.0.2.0/24"
	if strings.Count(string(file), shipped) != 1 {
		t.Fatalf("caddy: the shipped file has not exactly one %q", shipped)
	}
	return []byte(strings.Replace(string(file), shipped, "trusted_proxies 127.0.0.0/8", 1))
}

// leftOut says why a request of the corpus cannot be put to a gateway; "" when it can.
func leftOut(r authztest.Request) string {
	if peer, err := netip.ParseAddr(r.Peer); err == nil && peer == netip.IPv6Loopback() {
		return "the peer is the gateway, which connects over IPv4"
	}
	return ""
}

// throughBalancer is a question of another peer as the load balancer before the gateway passes
// it on: with that peer at the end of X-Forwarded-For.
func throughBalancer(q authztest.Question) authztest.Question {
	if peer, err := netip.ParseAddr(q.Peer); err == nil && !peer.IsLoopback() {
		q.Headers = append(slices.Clone(q.Headers), authztest.Header{Name: "X-Forwarded-For", Value: q.Peer})
	}
	return q
}

// behind returns the answer that a step expects behind one kind of gateway.
func behind(t *testing.T, kind string, step authztest.Step) authztest.Expect {
	t.Helper()
	x := step.Expect
	if x.Status == 0 {
		x.Status = http.StatusOK
	}
	// Gateways make request ids of their own and leave bodies out, which activities tell.
	if step.Envoy != nil && step.Envoy.Skip != "" {
		x.Activities = nil
	}
	switch kind {
	case "envoy", "envoy-http":
		// Envoy resolves dot segments and repeated slashes, which Barong refuses, before it asks. The
		// corpus gives the answer for the resolved path; where it does not, any denial will do.
		if step.Envoy != nil && step.Envoy.Status != 0 {
			x.Status, x.Reason = step.Envoy.Status, step.Envoy.Reason
		} else if x.Status != http.StatusOK && resolved.MatchString(step.Request.Path) {
			x.Status = anyDenial
		}
		// Over HTTP Envoy takes a 5xx for a broken authorizer, whatever its body says, and
		// answers with its own status_on_error and local reply.
		if kind == "envoy-http" && x.Status >= 500 {
			x.Status, x.Reason = http.StatusServiceUnavailable, "authz.unavailable"
		}
	case "nginx":
		// nginx learns 401 or 403, and makes the real status out of X-Barong-Status. It can
		// return only those that its file lists.
		if x.Status != http.StatusOK && !listedStatus(t, x.Status) {
			x.Status = http.StatusForbidden
		}
		// It removes headers by their full name.
		x.Removed = slices.DeleteFunc(slices.Clone(x.Removed), func(name string) bool { return name == "x-auth-version" })
	}
	if kind == "nginx" || kind == "caddy" {
		// The files remove an API key's headers for components whatever Barong answers; to use
		// forward_credentials, those lines must be taken out.
		x.Kept = slices.DeleteFunc(slices.Clone(x.Kept), func(name string) bool { return strings.HasPrefix(name, "x-auth-") })
	}
	return x
}

// anyDenial, as the expected status, is every 4xx with whatever reason.
const anyDenial = -1

// resolved matches a path that Envoy resolves: `/../`, `/..;x/`, `/%2e/`, `//`, but not `/a..b`.
var resolved = regexp.MustCompile(`(?i)^[^?]*/(\.|%2e|/)`)

// listedStatus reports whether the shipped nginx file can return a status.
func listedStatus(t *testing.T, status int) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), fmt.Sprintf("{ return %d '", status))
}

// send puts a question to the gateway as a client would.
func send(t *testing.T, p e2e.Proxy, q authztest.Question) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Target, q.Host)
	upgrade := false
	for _, h := range q.Headers {
		fmt.Fprintf(&text, "%s: %s\r\n", h.Name, h.Value)
		upgrade = upgrade || strings.EqualFold(h.Name, "Upgrade")
	}
	if upgrade {
		text.WriteString("Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	} else {
		text.WriteString("Connection: close\r\n")
	}
	if q.Body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(q.Body))
	}
	text.WriteString("\r\n" + q.Body)
	io.WriteString(conn, text.String())
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.ToUpper(q.Method)})
	if err != nil {
		// Some gateways hang up on bytes that are no HTTP at all.
		return answer{status: http.StatusBadRequest, header: http.Header{}}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// differences compares the client's answer and the upstream's request with the expected ones.
func differences(w authztest.State, x authztest.Expect, q authztest.Question, got answer, asked bool) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if !asked {
		if got.status < 400 {
			wrong("got %d without asking", got.status)
		} else if x.Status == http.StatusOK {
			wrong("the gateway answered %d by itself, want the upstream's answer", got.status)
		}
		return list
	}
	for _, name := range x.Ended {
		if !w.Ended(name) {
			wrong("session %s has not ended", name)
		}
	}
	for _, name := range x.Alive {
		if w.Ended(name) {
			wrong("session %s has ended", name)
		}
	}
	if x.Status == anyDenial {
		if got.status < 400 || got.status > 499 {
			wrong("got %d %.100s, want a denial", got.status, got.body)
		}
		return list
	}
	if x.Status != http.StatusOK {
		if got.status != x.Status {
			wrong("got %d %.100s, want %d %s", got.status, got.body, x.Status, x.Reason)
		}
		if q.Method != http.MethodHead && authztest.ReasonIn(got.body) != x.Reason {
			wrong("got %.100s, want %s", got.body, x.Reason)
		}
		if x.ClearsCookie != nil && (got.header.Get("Set-Cookie") != "") != *x.ClearsCookie {
			wrong("got Set-Cookie %q", got.header.Get("Set-Cookie"))
		}
		if x.Outage && got.header.Get("Retry-After") == "" {
			wrong("got no Retry-After")
		}
		return list
	}
	if got.status == http.StatusSwitchingProtocols || q.Method == http.MethodHead && got.status == http.StatusOK {
		return list // the echo has no body to show the request
	}
	var seen e2e.Echoed
	if got.status != http.StatusOK || json.Unmarshal([]byte(got.body), &seen) != nil {
		wrong("got %d %.100s, want the upstream's answer", got.status, got.body)
		return list
	}
	return append(list, seenProblems(w.Now(), x, q, seen)...)
}

// seenProblems compares the request that the upstream saw with the expected one.
func seenProblems(now time.Time, x authztest.Expect, q authztest.Question, seen e2e.Echoed) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if x.Claims != nil || x.Token != nil {
		if token := x.Token == nil || *x.Token; (seen.Claims != nil) != token {
			wrong("a token reached the upstream: %v, want %v", seen.Claims != nil, token)
		}
	}
	if authorization := strings.Join(seen.Headers["Authorization"], ""); seen.Claims == nil && authorization != "" {
		wrong("the upstream got Authorization %q, which is no token", authorization)
	}
	for name, want := range x.Claims {
		value, there := seen.Claims[name]
		if offset, ok := want.(int); ok && (name == "iat" || name == "exp") {
			want = now.Unix() + int64(offset) // the corpus counts from the clock
		}
		a, _ := json.Marshal(value)
		b, _ := json.Marshal(want)
		if number, ok := value.(float64); ok { // which JSON would write as 1.7e+09
			a, _ = json.Marshal(int64(number))
		}
		if absent := want == "absent"; absent && there || !absent && string(a) != string(b) {
			wrong("claim %s is %s, want %s", name, a, b)
		}
	}
	if cookie := strings.Join(seen.Headers["Cookie"], "; "); x.Cookie != nil && cookie != *x.Cookie {
		wrong("the upstream got Cookie %q, want %q", cookie, *x.Cookie)
	}
	for _, name := range x.Removed {
		if v := seen.Headers[http.CanonicalHeaderKey(name)]; v != nil && !(name == "authorization" && seen.Claims != nil) {
			wrong("the upstream got %s", name)
		}
	}
	for _, name := range x.Kept {
		sent := slices.ContainsFunc(q.Headers, func(h authztest.Header) bool { return strings.EqualFold(h.Name, name) })
		if sent && seen.Headers[http.CanonicalHeaderKey(name)] == nil {
			wrong("the upstream did not get %s", name)
		}
	}
	return list
}
