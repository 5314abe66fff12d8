package grpcbearer_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"barong/bearer"
	"barong/bearer/bearertest"
	"barong/bearer/grpcbearer"
)

// health answers serving only to calls whose claims it sees.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (health) answer(ctx context.Context) (*grpc_health_v1.HealthCheckResponse, error) {
	if c, ok := bearer.FromContext(ctx); !ok || c.UID != "ID1" {
		return nil, status.Error(codes.Internal, "no claims")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (h health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return h.answer(ctx)
}

func (h health) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	a, err := h.answer(s.Context())
	if err != nil {
		return err
	}
	return s.Send(a)
}

func TestInterceptorsLetOnlyVerifiedCallsThrough(t *testing.T) {
	i := bearertest.New(t)
	v := i.Verifier(t, bearer.Config{})
	i.SetAway(true)
	server := grpc.NewServer(grpc.UnaryInterceptor(grpcbearer.Unary(v)), grpc.StreamInterceptor(grpcbearer.Stream(v)))
	grpc_health_v1.RegisterHealthServer(server, health{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := grpc_health_v1.NewHealthClient(conn)
	calls := map[string]func(context.Context) error{
		"unary": func(ctx context.Context) error {
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		},
		"stream": func(ctx context.Context) error {
			s, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		},
	}
	good := "Bearer " + i.Token(t, "ID1")
	try := func(name string, want codes.Code, lines ...string) {
		t.Helper()
		for kind, call := range calls {
			ctx := t.Context()
			for _, line := range lines {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", line)
			}
			if err := call(ctx); status.Code(err) != want {
				t.Errorf("%s, %s: got %v, want %v", name, kind, err, want)
			}
		}
	}
	try("without keys", codes.Unavailable, good)
	i.SetAway(false)
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	try("a token", codes.OK, good)
	try("none", codes.Unauthenticated)
	try("two", codes.Unauthenticated, good, good)
	try("a forged one", codes.Unauthenticated, "Bearer a.b.c")
}
