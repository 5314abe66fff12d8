package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz"
	"barong/authz/authztest"
	"barong/e2e"
)

// TestCorpus replays the decision corpus through a real Envoy with the shipped file: the
// authorizer is the one that barong serve runs, over each case's own accounts and clock.
//
// Envoy is a client on loopback and itself normalises paths, so a case that names another peer
// is left out, and a step may say what becomes of it behind Envoy. A denial that Envoy makes
// by itself, without asking, is as good as Barong's.
func TestCorpus(t *testing.T) {
	files, err := authztest.Load(filepath.Join(root(t), "authz", "testdata", "check"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("the corpus is empty")
	}
	p, switchboard := gate(t)
	keys, err := authztest.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	var asked, alone, left int
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			if f.Envoy != nil && f.Envoy.Skip != "" {
				left += len(f.Cases)
				return
			}
			for _, c := range f.Cases {
				w, err := authztest.NewWorld(f, keys)
				if err != nil {
					t.Fatal(err)
				}
				switchboard.asks(t, w)
				for i, step := range c.All() {
					if step.Envoy != nil && step.Envoy.Skip != "" || step.Request.Peer != "" {
						left++
						break
					}
					if err := w.Begin(step); err != nil {
						t.Fatal(err)
					}
					q, err := f.Question(step.Request, w.Now())
					if err != nil {
						t.Fatal(err)
					}
					before := switchboard.questions()
					got := send(t, p, q)
					wasAsked := switchboard.questions() > before
					if wasAsked {
						asked++
					} else {
						alone++
					}
					for _, problem := range differences(step, q, got, wasAsked) {
						t.Errorf("%s: step %d (%s %s): %s", c.Name, i+1, q.Method, q.Target, problem)
					}
				}
			}
		})
	}
	t.Logf("%d steps were asked about, %d Envoy answered by itself, %d left out", asked, alone, left)
}

// asks makes a the front of a server over w, configured as its file says.
func (a *authorizer) asks(t *testing.T, w *authztest.World) {
	t.Helper()
	s, err := authz.New(authz.Parts{
		Rules: w.Rules(), Feed: w.Feed(), Sessions: w.Sessions, Accounts: w.Accounts,
		Tokens: w.Tokens(), Nonces: w, Activities: w, Now: w.Now,
	}, settings(t, w.File.Settings))
	if err != nil {
		t.Fatal(err)
	}
	g := authz.NewGRPC(s, authz.GRPCConfig{Workers: 1})
	pipe := bufconn.Listen(1 << 16)
	go g.Serve(pipe)
	conn, err := grpc.NewClient("passthrough:authz", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is under way that would be worth waiting for
		g.Shutdown(ctx, 0)
	})
	a.answers(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = authv3.NewAuthorizationClient(conn)
}

// settings are the shipped ones with those of a file, trusting Envoy's own address.
func settings(t *testing.T, set authztest.Settings) authz.Config {
	t.Helper()
	c := authz.DefaultConfig()
	override(&c.CSRFProtection, set.CSRFProtection)
	override(&c.SessionMaskV4, set.SessionMaskV4)
	override(&c.SessionMaskV6, set.SessionMaskV6)
	override(&c.SessionAbsolute, (*time.Duration)(set.SessionAbsolute))
	override(&c.NonceLifetime, (*time.Duration)(set.NonceLifetime))
	overrideSet(&c.RBACDeniedStatus, set.RBACDeniedStatus)
	overrideSet(&c.OutageAnswer, set.OutageAnswer)
	overrideSet(&c.SessionName, set.SessionName)
	overrideSet(&c.Replay, authz.Replay(set.Replay))
	overrideSet(&c.Gateway, set.Gateway)
	if set.APIKeyForbidden != nil {
		c.APIKeyForbidden = set.APIKeyForbidden
	}
	c.ForwardCredentials, c.AuditRequired = set.ForwardCredentials, set.AuditRequired
	c.Metadata, c.Origins = set.DynamicMetadata, set.AllowedOrigins
	c.GatewayNetworks = parsed(set.GatewayNetworks)
	c.TrustedProxies = parsed(set.TrustedProxies)
	if c.TrustedProxies == nil {
		c.TrustedProxies = parsed([]string{"127.0.0.0/8", "::1/128"})
	}
	own, err := e2e.OwnAddresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		c.TrustedProxies = append(c.TrustedProxies, netip.PrefixFrom(a.WithZone(""), a.BitLen()))
	}
	return c
}

func parsed(list []string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func override[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func overrideSet[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
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
		// Envoy hangs up on what is no HTTP at all.
		return answer{status: http.StatusBadRequest, header: http.Header{}}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// differences compares what the client and the upstream got with what the step expects.
func differences(step authztest.Step, q authztest.Question, got answer, asked bool) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	want, why := step.Expect.Status, step.Expect.Reason
	if step.Envoy != nil && step.Envoy.Status != 0 {
		want, why = step.Envoy.Status, step.Envoy.Reason
	}
	if want == 0 {
		want = http.StatusOK
	}
	if !asked {
		if got.status < 400 {
			wrong("got %d without asking", got.status)
		} else if want == http.StatusOK && got.status != http.StatusNotFound {
			// 404 is a component that the shipped file has no route for.
			wrong("Envoy answered %d by itself, want %d", got.status, want)
		}
		return list
	}
	if want != http.StatusOK {
		if got.status != want {
			wrong("got %d %.100s, want %d %s", got.status, got.body, want, why)
		}
		if q.Method != http.MethodHead && why != "" && got.body != reason(why) {
			wrong("got %.100s, want %s", got.body, why)
		}
		if step.Expect.ClearsCookie != nil && (got.header.Get("Set-Cookie") != "") != *step.Expect.ClearsCookie {
			wrong("got Set-Cookie %q", got.header.Get("Set-Cookie"))
		}
		return list
	}
	if got.status == http.StatusSwitchingProtocols || q.Method == http.MethodHead && got.status == http.StatusOK {
		return list
	}
	var seen e2e.Echoed
	if got.status != http.StatusOK || json.Unmarshal([]byte(got.body), &seen) != nil {
		wrong("got %d %.100s, want the upstream's answer", got.status, got.body)
		return list
	}
	x := step.Expect
	if x.Claims != nil || x.Token != nil {
		if token := x.Token == nil || *x.Token; (seen.Claims != nil) != token {
			wrong("a token reached the upstream: %v, want %v", seen.Claims != nil, token)
		}
	}
	for name, value := range x.Claims {
		if name == "iat" || name == "exp" || value == "absent" {
			continue // compared where the clock is known
		}
		a, _ := json.Marshal(seen.Claims[name])
		b, _ := json.Marshal(value)
		if string(a) != string(b) {
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
