package e2e_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// An authorizer answers as a test wants and remembers the questions: Envoy's behaviour with the
// shipped file is tested without Barong's.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	addr   string
	server *grpc.Server

	mu     sync.Mutex
	answer *authv3.CheckResponse
	asked  []*authv3.CheckRequest
	next   authv3.AuthorizationClient // answers instead of answer, when set
}

func (a *authorizer) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	next, answer := a.next, a.answer
	a.mu.Unlock()
	if next != nil {
		return next.Check(ctx, r)
	}
	return answer, nil
}

// answers sets the next answers and forgets the questions so far.
func (a *authorizer) answers(r *authv3.CheckResponse) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.asked = r, nil
}

// question is the one request asked since answers.
func (a *authorizer) question(t testing.TB) *authv3.AttributeContext {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asked) != 1 {
		t.Fatalf("the authorizer was asked %d times, want once", len(a.asked))
	}
	return a.asked[0].GetAttributes()
}

func (a *authorizer) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

func startAuthorizer(t testing.TB) *authorizer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &authorizer{addr: l.Addr().String(), answer: pass()}
	a.server = grpc.NewServer(grpc.KeepaliveEnforcementPolicy(
		keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	authv3.RegisterAuthorizationServer(a.server, a)
	healthv1.RegisterHealthServer(a.server, health.NewServer())
	go a.server.Serve(l)
	t.Cleanup(a.server.Stop)
	return a
}

// pass allows without a token, as a pass rule does.
func pass() *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{
		OkResponse: &authv3.OkHttpResponse{HeadersToRemove: []string{"authorization", "jwtuid", "jwtrole"}}}}
}

// allow sets headers at the upstream and removes others.
func allow(set map[string]string, remove ...string) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{HeadersToRemove: remove}
	for k, v := range set {
		ok.Headers = append(ok.Headers, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: k, Value: v},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return &authv3.CheckResponse{Status: &status.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

// deny answers with a raw status number and a reason.
func deny(code int32, reason string) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(code)},
			Headers: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: "content-type", Value: "application/json"},
					AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
				{Header: &corev3.HeaderValue{Key: "cache-control", Value: "no-store"},
					AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
			},
			Body: `{"errors":["` + reason + `"]}`,
		}},
	}
}
