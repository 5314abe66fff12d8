//go:build !race

package authz

// The race detector allocates, too, and makes sync.Pool drop values: these tests are not built
// with it.

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/test/bufconn"

	"barong/authz/authztest"
	"barong/internal/apikey"
)

// TestWarmDecisionAllocatesNothing holds parse and decide of a warm session and a warm API
// key at 0 allocations.
func TestWarmDecisionAllocatesNothing(t *testing.T) {
	for _, name := range []string{"by session", "by API key", "by a bound API key", "anonymous on a pass path"} {
		t.Run(name, func(t *testing.T) {
			w := small(t)
			s := worldServer(t, w)
			s.Uses = apikey.NewUses(nil, nil)
			fresh := asked(t, w, name)
			var r request
			var d decision
			ask := func() {
				extra, scratch, remove := r.extra, r.scratch, d.remove
				r, d = fresh, decision{remove: remove[:0]}
				r.extra, r.scratch = extra[:0], scratch[:0]
				s.conclude(t.Context(), &r, &d, nil)
			}
			ask()
			if !d.allowed() {
				t.Fatalf("got %d %q (%v), want an allow", d.status, d.reason, d.cause)
			}
			if n := testing.AllocsPerRun(1000, ask); n != 0 {
				t.Errorf("parse and decide allocate %v times, want 0", n)
			}
		})
	}
}

// TestWholeCheckAllocations holds a whole Check, over a connection in memory and with metrics
// and the decision log on, to the allocations of gRPC itself for a server that does nothing but
// read the question and answer yes: neither more allocations nor noticeably more bytes.
func TestWholeCheckAllocations(t *testing.T) {
	w := small(t)
	s := worldServer(t, w)
	s.Metrics = NewMetrics(prometheus.NewRegistry())
	s.Log = NewDecisionLog(io.Discard, jsonLines, 1000, 0, nil)
	q, err := w.File.Question(authztest.Request{Path: "/api/v2/peatio/market/orders", Session: "home"}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	message, err := encoding.GetCodecV2("proto").Marshal(authztest.CheckRequest(q))
	if err != nil {
		t.Fatal(err)
	}
	raw := message.Materialize()
	bearer := "Bearer " + strings.Repeat("x", 480)
	idle := func(_ context.Context, q *checkCall) *checkReply {
		a := q.replyWith(responseOptions{})
		a.decision.status, a.decision.bearer = http.StatusOK, bearer
		return a
	}
	idleAllocs, idleBytes := costOfCheck(t, idle, raw)
	allocs, bytes := costOfCheck(t, s.check, raw)
	t.Logf("a whole Check: %.1f allocations, %.0f bytes; of an idle server %.1f, %.0f", allocs, bytes, idleAllocs, idleBytes)
	if allocs > idleAllocs+1 {
		t.Errorf("a whole Check allocates %.1f times, an idle server %.1f: deciding must add none", allocs, idleAllocs)
	}
	if bytes > idleBytes+512 {
		t.Errorf("a whole Check allocates %.0f bytes, an idle server %.0f", bytes, idleBytes)
	}
}

// costOfCheck counts the allocations of one Check on both sides together.
func costOfCheck(t *testing.T, check checker, raw []byte) (allocs, bytes float64) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.ForceServerCodecV2(newCodec(false)), grpc.NumStreamWorkers(2))
	server.RegisterService(serviceDesc(check), nil)
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var reply []byte
	ask := func() {
		if err := conn.Invoke(t.Context(), checkMethod, raw, &reply, grpc.ForceCodecV2(rawCodec{})); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		ask()
	}
	// The best of some rounds: whatever else runs only adds.
	const rounds, calls = 5, 500
	allocs, bytes = math.Inf(1), math.Inf(1)
	for range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			ask()
		}
		runtime.ReadMemStats(&after)
		allocs = min(allocs, float64(after.Mallocs-before.Mallocs)/calls)
		bytes = min(bytes, float64(after.TotalAlloc-before.TotalAlloc)/calls)
	}
	return allocs, bytes
}
