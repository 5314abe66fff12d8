package authz

import (
	"context"
	"errors"
	"net"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// GRPCConfig shapes the gRPC listener; the zero value works.
type GRPCConfig struct {
	// Generated reads and writes with protobuf-go instead of wire.go and encode.go.
	Generated bool
	// MaxConnectionAge asks connections to come again after this time, so that load spreads
	// over replicas; 0 never does. Requests under way have Grace (default 10 s) to end.
	MaxConnectionAge, Grace time.Duration
	// Workers are goroutines kept for requests; 0 is 64 for each processor. A request that
	// finds none free gets a new goroutine, whose stack must grow first: a sixth of its cost.
	Workers int
	// Options are added last, transport credentials for example.
	Options []grpc.ServerOption
}

const (
	// maxQuestion is the largest message that is read: headers of 64 KiB and a body of 16 KiB
	// with room to spare. A larger one is the one question that gets an RPC error.
	maxQuestion         = 256 << 10
	workersPerProcessor = 64
	// fastestPing is how often a client may ping. Envoy's connection keepalive goes down to
	// 10 s; a server that thinks it too often closes the connection.
	fastestPing = 5 * time.Second
)

// GRPC is the gRPC listener: Envoy's Authorization service and grpc.health.v1. Its health is
// NOT_SERVING until SetReady says otherwise.
type GRPC struct {
	server *grpc.Server
	health healthService
}

// healthService ends its watches when the server leaves: a watch never ends by itself, and a
// graceful stop would wait for it.
type healthService struct {
	*health.Server
	leaving chan struct{}
}

// Watch implements grpc.health.v1.
func (h healthService) Watch(in *healthv1.HealthCheckRequest, stream healthv1.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	w := watchStream{Health_WatchServer: stream, ctx: ctx, told: make(chan bool, 1)}
	go func() {
		select {
		case <-h.leaving:
		case <-ctx.Done():
			return
		}
		for serving := true; serving; { // until it has heard the last word
			select {
			case serving = <-w.told:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return h.Server.Watch(in, w)
}

// watchStream has a context that ends sooner than the stream's own, and keeps the status that
// was last sent.
type watchStream struct {
	healthv1.Health_WatchServer
	ctx  context.Context
	told chan bool // whether SERVING; the newest only
}

func (w watchStream) Context() context.Context { return w.ctx }

func (w watchStream) Send(m *healthv1.HealthCheckResponse) error {
	err := w.Health_WatchServer.Send(m)
	select {
	case <-w.told:
	default:
	}
	w.told <- m.GetStatus() == healthv1.HealthCheckResponse_SERVING
	return err
}

// NewGRPC makes the gRPC side of s. Close it with Shutdown.
func NewGRPC(s *Server, c GRPCConfig) *GRPC {
	g := &GRPC{
		server: grpc.NewServer(serverOptions(c)...),
		health: healthService{health.NewServer(), make(chan struct{})},
	}
	g.server.RegisterService(serviceDesc(s.check), nil)
	healthv1.RegisterHealthServer(g.server, g.health)
	g.SetReady(false)
	return g
}

func serverOptions(c GRPCConfig) []grpc.ServerOption {
	if c.Grace <= 0 {
		c.Grace = 10 * time.Second
	}
	if c.Workers <= 0 {
		c.Workers = workersPerProcessor * runtime.GOMAXPROCS(0)
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec(c.Generated)),
		grpc.MaxRecvMsgSize(maxQuestion),
		grpc.NumStreamWorkers(uint32(c.Workers)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: fastestPing, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: c.MaxConnectionAge, MaxConnectionAgeGrace: c.Grace,
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
	}
	return append(options, c.Options...)
}

// check answers Envoy. It never fails: an RPC error would be an outage in Envoy's eyes.
func (s *Server) check(ctx context.Context, q *checkCall) *checkReply {
	a := q.replyWith(responseOptions{outageAsDenied: s.OutageAnswer == "deny"})
	s.conclude(ctx, &q.request, &a.decision, q.err)
	return a
}

// Serve answers on l until Shutdown. It returns nil then.
func (g *GRPC) Serve(l net.Listener) error {
	if err := g.server.Serve(batchListener{l}); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// SetReady sets the answer of health checks, for the server and for the Authorization service.
func (g *GRPC) SetReady(ready bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthv1.HealthCheckResponse_SERVING
	}
	g.health.SetServingStatus("", status)
	g.health.SetServingStatus(serviceName, status)
}

// WatchReady asks ready, with a time limit of every, again and again, and hands its answer to
// health checks until ctx ends: ready returns nil when the policy is loaded and the stores
// that decisions need can be reached.
func (g *GRPC) WatchReady(ctx context.Context, every time.Duration, ready func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, every)
		err := ready(once)
		cancel()
		if ctx.Err() != nil {
			return
		}
		g.SetReady(err == nil)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Shutdown first says NOT_SERVING for good, waits delay so that health checks see it, then
// asks connections to leave (GOAWAY) and lets requests under way end. When ctx ends before
// that it cuts them off and returns ctx's error. Call it once.
func (g *GRPC) Shutdown(ctx context.Context, delay time.Duration) error {
	g.health.Server.Shutdown()
	if delay > 0 {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
	}
	close(g.health.leaving)
	done := make(chan struct{})
	go func() {
		g.server.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		g.server.Stop()
		<-done
		return ctx.Err()
	}
}
