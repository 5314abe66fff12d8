package authz

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz/authztest"
	"barong/internal/config"
	"barong/internal/token"
)

const corpus = "testdata/check"

// TestCorpusOnDecide, …OverGRPC and …OverForwardAuth replay every file of the corpus on the
// decision itself and in the words of each protocol.
func TestCorpusOnDecide(t *testing.T) {
	replay(t, func(t *testing.T, s *Server) asker {
		return func(q authztest.Question) authztest.Answer {
			var r request
			d := decision{}
			m := authztest.CheckRequest(q)
			r = fromProto(m)
			s.conclude(t.Context(), &r, &d, nil)
			return ofDecision(&r, &d)
		}
	})
}

func TestCorpusOverGRPC(t *testing.T) {
	for name, generated := range map[string]bool{"own codec": false, "generated codec": true} {
		t.Run(name, func(t *testing.T) {
			replay(t, func(t *testing.T, s *Server) asker {
				client := authv3.NewAuthorizationClient(dialServer(t, s, GRPCConfig{Generated: generated}))
				return func(q authztest.Question) authztest.Answer {
					m, err := client.Check(t.Context(), authztest.CheckRequest(q))
					if err != nil {
						t.Fatalf("Check failed, which is never the answer: %v", err)
					}
					return authztest.OfResponse(q, m)
				}
			})
		})
	}
}

func TestCorpusOverForwardAuth(t *testing.T) {
	replay(t, func(t *testing.T, s *Server) asker {
		h := s.Forward()
		return func(q authztest.Question) authztest.Answer {
			req := httpRequest(t, q)
			req.RequestURI = forwardPrefix + q.Target
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return ofHTTP(q, w.Result())
		}
	})
}

// An asker puts one question to a server.
type asker func(authztest.Question) authztest.Answer

func replay(t *testing.T, open func(*testing.T, *Server) asker) {
	t.Helper()
	files, err := authztest.Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	keys := signingKeys(t)
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			for _, c := range f.Cases {
				t.Run(c.Name, func(t *testing.T) { replayCase(t, f, c, keys, open) })
			}
		})
	}
}

func replayCase(t *testing.T, f *authztest.File, c authztest.Case, keys *token.Keys, open func(*testing.T, *Server) asker) {
	w, err := authztest.NewWorld(f, keys)
	if err != nil {
		t.Fatal(err)
	}
	s := worldServer(t, w)
	ask := open(t, s)
	for i, step := range c.All() {
		if err := w.Begin(step); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
		q, err := f.Question(step.Request, w.Now())
		if err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
		for _, problem := range step.Expect.Problems(w, q, ask(q)) {
			t.Errorf("step %d (%s %s): %s", i+1, q.Method, q.Target, problem)
		}
	}
}

// signingKeys are shared by all worlds of a test: making them takes a while.
func signingKeys(t testing.TB) *token.Keys {
	t.Helper()
	keys, err := authztest.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// worldServer is a Server over a world, configured as its file says.
func worldServer(t testing.TB, w *authztest.World) *Server {
	t.Helper()
	s, err := New(Parts{
		Rules: w.Rules(), Feed: w.Feed(), Sessions: w.Sessions, Accounts: w.Accounts, Keys: w.Keys,
		Tokens: w.Tokens(), Nonces: w, Activities: w, Now: w.Now,
	}, configOf(w.File.Applied))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shipped is the configuration of the default settings.
func shipped() Config { return configOf(config.Default()) }

// configOf is the configuration that the settings make, as package configured has it.
func configOf(s config.Settings) Config {
	return Config{
		RBACDeniedStatus: s.Decision.RBACDeniedStatus, OutageAnswer: s.Decision.OutageAnswer,
		ForwardCredentials: s.Decision.ForwardCredentials, Metadata: s.Decision.DynamicMetadata,
		CSRFProtection: s.Decision.CSRFProtection, Origins: s.Decision.Origins, WebsocketPaths: s.Decision.WebsocketPaths,
		PolicyMaxStale: s.Policy.MaxStale, CacheMaxStale: s.Decision.CacheMaxStale, Deadline: s.Decision.Deadline,
		AuditRequired: s.Audit.Required,
		SessionName:   s.Session.Name, SecureCookie: true, SessionAbsolute: s.Session.Absolute,
		SessionMaskV4: s.Session.MaskV4, SessionMaskV6: s.Session.MaskV6,
		NonceLifetime: s.APIKey.NonceLifetime, Replay: Replay(s.APIKey.Replay), APIKeyForbidden: s.APIKey.Forbidden,
		ScopeEnforce:      s.APIKey.ScopeEnforce,
		PartyPerComponent: s.Token.Party == "component",
		TrustedProxies:    s.Client.TrustedProxies, Gateway: s.Client.Gateway, GatewayNetworks: s.Client.GatewayNetworks,
	}
}

// httpRequest is a question as an HTTP server reads it, but for the request target.
func httpRequest(t testing.TB, q authztest.Question) *http.Request {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%s / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: http\r\n", q.Method, q.Host)
	for _, h := range q.Headers {
		fmt.Fprintf(&text, "%s: %s\r\n", h.Name, h.Value)
	}
	fmt.Fprintf(&text, "Content-Length: %d\r\n\r\n%s", len(q.Body), q.Body)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
	if err != nil {
		t.Fatalf("read request: %v", err)
	}
	req.RemoteAddr = net.JoinHostPort(q.Peer, "40000")
	return req
}

func ofDecision(r *request, d *decision) authztest.Answer {
	a := authztest.Answer{
		Status: d.status, Reason: d.reason, Detail: d.detail, Outage: d.outage, Bearer: d.bearer,
		ClearsCookie: d.clearCookie != "",
	}
	if d.allowed() {
		a.Removed = d.removals()
		switch d.upstreamCookie() {
		case cookieKeep:
			a.Cookie = r.cookie
		case cookieReplace:
			a.Cookie = d.cookieValue
		}
	}
	return a
}

func ofHTTP(q authztest.Question, res *http.Response) authztest.Answer {
	a := authztest.Answer{Status: res.StatusCode, Bearer: res.Header.Get("Authorization")}
	if res.StatusCode != http.StatusOK {
		var body bytes.Buffer
		body.ReadFrom(res.Body)
		a.Reason, a.Detail = authztest.ReasonIn(body.String()), authztest.DetailIn(body.String())
		a.Outage = a.Reason == reasonUnavailable
		a.ClearsCookie = res.Header.Get("Set-Cookie") != ""
		return a
	}
	a.Removed = strings.Split(res.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ",")
	a.Cookie = q.SentCookie()
	if slices.Contains(a.Removed, "cookie") {
		a.Cookie = ""
	}
	if c := res.Header.Get("Cookie"); c != "" {
		a.Cookie = c
	}
	return a
}

// dialServer serves s over a connection in memory and returns a client's end of it.
func dialServer(t testing.TB, s *Server, c GRPCConfig) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := NewGRPC(s, c)
	g.SetReady(true)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx, 0); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return conn
}
