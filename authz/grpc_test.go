package authz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz/authztest"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

// TestGRPCNeverAnswersAnError: garbage is a denial, in both codecs the same; only a message
// over the limit is an RPC error.
func TestGRPCNeverAnswersAnError(t *testing.T) {
	for name, generated := range map[string]bool{"own codec": false, "generated codec": true} {
		t.Run(name, func(t *testing.T) {
			conn := dialServer(t, worldServer(t, small(t)), GRPCConfig{Generated: generated})
			var answers [2][]byte
			for i, message := range [][]byte{{0xff, 0xff, 0xff}, {}} {
				err := conn.Invoke(t.Context(), checkMethod, message, &answers[i], grpc.ForceCodecV2(rawCodec{}))
				if err != nil {
					t.Errorf("message %x: got RPC error %v, want a denial", message, err)
				}
				if bytes.Equal(answers[i], []byte(statusOK)) || len(answers[i]) == 0 {
					t.Errorf("message %x: got %x", message, answers[i])
				}
			}
			huge := make([]byte, maxQuestion+1)
			err := conn.Invoke(t.Context(), checkMethod, huge, &answers[0], grpc.ForceCodecV2(rawCodec{}))
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a message over the limit: got %v, want %v", err, codes.ResourceExhausted)
			}
		})
	}
}

// TestOutageOverGRPC: error_response by default, denied_response with outage_answer=deny
// (design D20).
func TestOutageOverGRPC(t *testing.T) {
	for answer, asError := range map[string]bool{"error": true, "deny": false} {
		w := small(t)
		s := fakeServer(t, &fakes{w: w, age: func() time.Duration { return time.Hour }},
			func(c *Config, _ *Parts) { c.OutageAnswer = answer })
		client := authv3.NewAuthorizationClient(dialServer(t, s, GRPCConfig{}))
		q, err := w.File.Question(w.File.Cases[0].Request, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		m, err := client.Check(t.Context(), authztest.CheckRequest(q))
		if err != nil {
			t.Fatal(err)
		}
		if (m.GetErrorResponse() != nil) != asError || (m.GetDeniedResponse() != nil) == asError {
			t.Errorf("outage_answer=%s: got %v", answer, m)
		}
		a := authztest.OfResponse(q, m)
		if a.Status != http.StatusServiceUnavailable || a.Reason != reasonUnavailable {
			t.Errorf("outage_answer=%s: got %d %q", answer, a.Status, a.Reason)
		}
	}
}

func TestHealthFollowsReadinessAndSaysGoodbyeFirst(t *testing.T) {
	listener := bufconn.Listen(1 << 16)
	g := NewGRPC(worldServer(t, small(t)), GRPCConfig{})
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func(service string) healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		m, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return m.GetStatus()
	}
	for _, service := range []string{"", serviceName} {
		if got := ask(service); got != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%q before it is ready: got %v", service, got)
		}
	}

	ready := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		g.WatchReady(ctx, 10*time.Millisecond, func(ctx context.Context) error {
			select {
			case err := <-ready:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	ready <- nil
	eventually(t, func() bool { return ask("") == healthv1.HealthCheckResponse_SERVING })
	ready <- errors.New("database gone")
	eventually(t, func() bool { return ask(serviceName) == healthv1.HealthCheckResponse_NOT_SERVING })
	cancel()
	<-watched

	g.SetReady(true)
	stream, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("got %v, %v; want SERVING", m, err)
	}
	// The watch hears the last word and is ended: it does not hold the shutdown up.
	stop, cancelStop := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancelStop()
	done := make(chan error, 1)
	go func() { done <- g.Shutdown(stop, 0) }()
	if m, err := stream.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("got %v, %v; want NOT_SERVING before the end", m, err)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown with an open watch: got %v, want none", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// TestAnswersAreNotMixedUp: many clients at once, over reused memory, each get the answer to
// their own question. Run with -race.
func TestAnswersAreNotMixedUp(t *testing.T) {
	var users, sessions strings.Builder
	const clients = 16
	for i := range clients {
		fmt.Fprintf(&users, "{uid: ID%d},", i)
		fmt.Fprintf(&sessions, "{name: s%d, user: ID%d},", i, i)
	}
	f, err := authztest.Parse("many", []byte(`
about: many users
rules: [AZ-30]
policy: {permissions: ["member ACCEPT ALL api/v2/peatio"]}
accounts:
  users: [`+users.String()+`]
  sessions: [`+sessions.String()+`]
cases: [{name: n, request: {path: /x}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	w, err := authztest.NewWorld(f, signingKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	s := worldServer(t, w)
	s.Metrics = NewMetrics(prometheus.NewRegistry())
	s.Log = NewDecisionLog(io.Discard, jsonLines, 1, 0, nil)
	client := authv3.NewAuthorizationClient(dialServer(t, s, GRPCConfig{}))
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := range 50 {
				r := authztest.Request{
					Path:    fmt.Sprintf("/api/v2/peatio/x?%s", strings.Repeat("q", (i*n)%300)),
					Cookies: fmt.Sprintf("a=%d; _barong_session={s%d}; b=%d", i, i, n),
				}
				q, err := f.Question(r, w.Now())
				if err != nil {
					t.Error(err)
					return
				}
				m, err := client.Check(t.Context(), authztest.CheckRequest(q))
				if err != nil {
					t.Error(err)
					return
				}
				got := authztest.OfResponse(q, m)
				x := authztest.Expect{Claims: map[string]any{"uid": fmt.Sprintf("ID%d", i)}}
				for _, p := range x.Problems(w, q, got) {
					t.Errorf("client %d: %s", i, p)
				}
				if want := fmt.Sprintf("a=%d; b=%d", i, n); got.Cookie != want {
					t.Errorf("client %d: the upstream gets Cookie %q, want %q", i, got.Cookie, want)
				}
			}
		})
	}
	all.Wait()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen within 5 s")
		}
	}
}
