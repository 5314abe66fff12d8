package authz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz/authztest"
	"barong/internal/audit"
	"barong/internal/token"
)

const corpus = "testdata/check"

// TestCorpusOnDecide, …OverGRPC and …OverForwardAuth replay every file of the corpus on the
// decision itself and in the words of each protocol.
func TestCorpusOnDecide(t *testing.T) {
	replay(t, func(t *testing.T, s *Server) asker {
		return func(q authztest.Question) answered {
			var r request
			d := decision{}
			m := checkRequest(q)
			r = fromProto(m)
			s.answer(t.Context(), &r, &d, nil)
			return ofDecision(&r, &d)
		}
	})
}

func TestCorpusOverGRPC(t *testing.T) {
	for name, generated := range map[string]bool{"own codec": false, "generated codec": true} {
		t.Run(name, func(t *testing.T) {
			replay(t, func(t *testing.T, s *Server) asker {
				client := authv3.NewAuthorizationClient(dialServer(t, s, GRPCConfig{Generated: generated}))
				return func(q authztest.Question) answered {
					m, err := client.Check(t.Context(), checkRequest(q))
					if err != nil {
						t.Fatalf("Check failed, which is never the answer: %v", err)
					}
					return ofResponse(q, m)
				}
			})
		})
	}
}

func TestCorpusOverForwardAuth(t *testing.T) {
	replay(t, func(t *testing.T, s *Server) asker {
		h := s.Forward()
		return func(q authztest.Question) answered {
			req := httpRequest(t, q)
			req.RequestURI = forwardPrefix + q.Target
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return ofHTTP(q, w.Result())
		}
	})
}

// An asker puts one question to a server.
type asker func(authztest.Question) answered

// answered is an answer in words that all protocols share.
type answered struct {
	status       int
	reason       string
	outage       bool
	bearer       string
	cookie       string // what the upstream gets
	removed      []string
	clearsCookie bool
}

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
		for _, problem := range problems(w, step.Expect, q, ask(q)) {
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
		Rules: w.Rules(), Feed: w.Feed(), Sessions: w.Sessions, Accounts: w.Accounts,
		Tokens: w.Tokens(), Nonces: w, Activities: w, Now: w.Now,
	}, configOf(t, w.File.Settings))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func configOf(t testing.TB, set authztest.Settings) Config {
	t.Helper()
	c := DefaultConfig()
	override(&c.CSRFProtection, set.CSRFProtection)
	override(&c.SessionMaskV4, set.SessionMaskV4)
	override(&c.SessionMaskV6, set.SessionMaskV6)
	override(&c.SessionAbsolute, (*time.Duration)(set.SessionAbsolute))
	override(&c.NonceLifetime, (*time.Duration)(set.NonceLifetime))
	if set.RBACDeniedStatus != 0 {
		c.RBACDeniedStatus = set.RBACDeniedStatus
	}
	if set.OutageAnswer != "" {
		c.OutageAnswer = set.OutageAnswer
	}
	if set.SessionName != "" {
		c.SessionName = set.SessionName
	}
	if set.Replay != "" {
		c.Replay = Replay(set.Replay)
	}
	if set.APIKeyForbidden != nil {
		c.APIKeyForbidden = set.APIKeyForbidden
	}
	if set.Gateway != "" {
		c.Gateway = set.Gateway
	}
	c.ForwardCredentials, c.AuditRequired = set.ForwardCredentials, set.AuditRequired
	c.Metadata, c.Origins = set.DynamicMetadata, set.AllowedOrigins
	for _, p := range set.TrustedProxies {
		c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
	}
	for _, p := range set.GatewayNetworks {
		c.GatewayNetworks = append(c.GatewayNetworks, netip.MustParsePrefix(p))
	}
	return c
}

func override[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// problems compares an answer with what was expected.
func problems(w *authztest.World, x authztest.Expect, q authztest.Question, got answered) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	want := x.Status
	if want == 0 {
		want = http.StatusOK
	}
	if got.status != want || got.reason != x.Reason {
		wrong("got %d %q, want %d %q", got.status, got.reason, want, x.Reason)
	}
	if got.outage != x.Outage {
		wrong("told as an outage: %v, want %v", got.outage, x.Outage)
	}
	if want != http.StatusOK && got.bearer != "" {
		wrong("a denial carries a token")
	}
	token := x.Token
	if token == nil && x.Claims != nil {
		yes := true
		token = &yes
	}
	if token != nil && (got.bearer != "") != *token {
		wrong("a token was given: %v, want %v", got.bearer != "", *token)
	}
	if got.status == http.StatusOK && got.bearer == "" && !slices.Contains(got.removed, "authorization") {
		wrong("the client's own Authorization reaches the upstream")
	}
	if slices.Contains(got.removed, "authorization") && got.bearer != "" {
		wrong("authorization is set and removed")
	}
	if x.Claims != nil && got.bearer != "" {
		list = append(list, claimProblems(x.Claims, got.bearer, w.Now())...)
	}
	if x.Cookie != nil && got.cookie != *x.Cookie {
		wrong("the upstream gets Cookie %q, want %q", got.cookie, *x.Cookie)
	}
	for _, name := range x.Removed {
		if !slices.Contains(got.removed, name) {
			wrong("%s is not removed, only %q", name, got.removed)
		}
	}
	for _, name := range x.Kept {
		if slices.Contains(got.removed, name) {
			wrong("%s is removed", name)
		}
	}
	if x.ClearsCookie != nil && got.clearsCookie != *x.ClearsCookie {
		wrong("the session cookie is deleted: %v, want %v", got.clearsCookie, *x.ClearsCookie)
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
	rows := w.Activities()
	if x.Activities != nil {
		if len(rows) != len(*x.Activities) {
			wrong("%d activities, want %d: %+v", len(rows), len(*x.Activities), rows)
		} else {
			for i, want := range *x.Activities {
				list = append(list, activityProblems(want, rows[i])...)
			}
		}
	}
	return list
}

func activityProblems(want authztest.Activity, got audit.Activity) (list []string) {
	compare := func(name, got string, want *string) {
		if want != nil && got != *want {
			list = append(list, fmt.Sprintf("activity: %s is %q, want %q", name, got, *want))
		}
	}
	compare("actor", got.ActorUID, want.Actor)
	compare("ref", got.ActorRef, want.Ref)
	compare("target", got.TargetUID, want.Target)
	compare("category", got.Category, want.Category)
	compare("topic", got.Topic, want.Topic)
	compare("action", got.Action, want.Action)
	compare("result", got.Result, want.Result)
	compare("ip", got.IP, want.IP)
	compare("country", got.IPCountry, want.Country)
	compare("user agent", got.UserAgent, want.UserAgent)
	for _, text := range want.Data {
		if !strings.Contains(got.Data, text) {
			list = append(list, fmt.Sprintf("activity: data %s lacks %s", got.Data, text))
		}
	}
	for _, text := range want.NoData {
		if strings.Contains(got.Data, text) {
			list = append(list, fmt.Sprintf("activity: data %s holds %s", got.Data, text))
		}
	}
	return list
}

// claimProblems compares the claims of a token with those expected. The signature is
// package token's to prove. iat and exp are relative to the world's clock in seconds.
func claimProblems(want map[string]any, bearer string, now time.Time) (list []string) {
	compact, ok := strings.CutPrefix(bearer, "Bearer ")
	parts := strings.Split(compact, ".")
	if !ok || len(parts) != 3 {
		return []string{fmt.Sprintf("token %q is not Bearer and a compact JWS", bearer)}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return []string{fmt.Sprintf("claims: %v", err)}
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		return []string{fmt.Sprintf("claims: %v", err)}
	}
	for name, value := range want {
		actual, present := got[name]
		if value == "absent" {
			if present {
				list = append(list, fmt.Sprintf("claim %s is %v, want none", name, actual))
			}
			continue
		}
		if n, ok := actual.(float64); ok && (name == "iat" || name == "exp") {
			actual = n - float64(now.Unix())
		}
		a, _ := json.Marshal(actual)
		b, _ := json.Marshal(value)
		if !present || !bytes.Equal(a, b) {
			list = append(list, fmt.Sprintf("claim %s is %s, want %s", name, a, b))
		}
	}
	return list
}

// checkRequest is a question as Envoy asks it over gRPC.
func checkRequest(q authztest.Question) *authv3.CheckRequest {
	headers := map[string]string{}
	for _, h := range q.Headers {
		name := strings.ToLower(h.Name)
		if old, ok := headers[name]; ok {
			separator := ","
			if name == "cookie" {
				separator = "; "
			}
			headers[name] = old + separator + h.Value
			continue
		}
		headers[name] = h.Value
	}
	m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{
				Address: q.Peer, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 40000},
			},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: q.Method, Path: q.Target, Host: q.Host, Scheme: "https", Protocol: "HTTP/1.1",
			Headers: headers,
		}},
	}}
	m.Attributes.Request.Http.RawBody = []byte(q.Body)
	return m
}

// httpRequest is a question as an HTTP server reads it, but for the request target.
func httpRequest(t testing.TB, q authztest.Question) *http.Request {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%s / HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Host)
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

func ofDecision(r *request, d *decision) answered {
	a := answered{
		status: d.status, reason: d.reason, outage: d.outage, bearer: d.bearer,
		clearsCookie: d.clearCookie != "",
	}
	if d.allowed() {
		a.removed = d.removals()
		switch d.upstreamCookie() {
		case cookieKeep:
			a.cookie = r.cookie
		case cookieReplace:
			a.cookie = d.cookieValue
		}
	}
	return a
}

func ofResponse(q authztest.Question, m *authv3.CheckResponse) answered {
	denied := m.GetDeniedResponse()
	a := answered{outage: m.GetErrorResponse() != nil}
	if a.outage {
		denied = m.GetErrorResponse()
	}
	if denied == nil {
		if m.GetStatus().GetCode() != 0 {
			a.status = int(m.GetStatus().GetCode())
			return a
		}
		a.status = http.StatusOK
		a.removed = m.GetOkResponse().GetHeadersToRemove()
		a.cookie = sentCookie(q)
		if slices.Contains(a.removed, "cookie") {
			a.cookie = ""
		}
		for _, h := range m.GetOkResponse().GetHeaders() {
			switch h.GetHeader().GetKey() {
			case "authorization":
				a.bearer = h.GetHeader().GetValue()
			case "cookie":
				a.cookie = h.GetHeader().GetValue()
			}
		}
		return a
	}
	a.status, a.reason = int(denied.GetStatus().GetCode()), reasonIn(denied.GetBody())
	if a.reason == reasonUnavailable {
		a.outage = true // outage_answer=deny says it the other way
	}
	for _, h := range denied.GetHeaders() {
		a.clearsCookie = a.clearsCookie || h.GetHeader().GetKey() == "set-cookie"
	}
	return a
}

func ofHTTP(q authztest.Question, res *http.Response) answered {
	a := answered{status: res.StatusCode, bearer: res.Header.Get("Authorization")}
	if res.StatusCode != http.StatusOK {
		var body bytes.Buffer
		body.ReadFrom(res.Body)
		a.reason = reasonIn(body.String())
		a.outage = a.reason == reasonUnavailable
		a.clearsCookie = res.Header.Get("Set-Cookie") != ""
		return a
	}
	a.removed = strings.Split(res.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ",")
	a.cookie = sentCookie(q)
	if slices.Contains(a.removed, "cookie") {
		a.cookie = ""
	}
	if c := res.Header.Get("Cookie"); c != "" {
		a.cookie = c
	}
	return a
}

func sentCookie(q authztest.Question) string {
	var all []string
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, "cookie") {
			all = append(all, h.Value)
		}
	}
	return strings.Join(all, "; ")
}

// reasonIn is the code in a denial's body, which must have exactly one shape.
func reasonIn(body string) string {
	reason, ok := strings.CutPrefix(body, `{"errors":["`)
	reason, ok2 := strings.CutSuffix(reason, `"]}`)
	if !ok || !ok2 {
		return "not a denial: " + body
	}
	return reason
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
