package authz

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// serveChecks runs a service in memory, with health beside it, and dials it.
func serveChecks(t testing.TB, desc *grpc.ServiceDesc, options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(options...)
	server.RegisterService(desc, nil)
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:checks",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo answers with the question as it understood it, so that a mix-up between requests shows.
func echo(config *parseConfig) checker {
	return func(_ context.Context, q *checkCall) *checkReply {
		a := q.replyWith(responseOptions{})
		d := &a.decision
		if d.status, d.reason = q.request.parse(config); d.status != 0 {
			return a
		}
		r := &q.request
		d.status, d.bearer = 200, r.path
		d.cookie, d.cookieValue = r.stripOwn(sessionName)
		d.remove = append(d.remove, r.extra...)
		return a
	}
}

// variants are the two ways to serve Check.
func variants(check checker) map[string]func(t testing.TB, more ...grpc.ServerOption) *grpc.ClientConn {
	return map[string]func(t testing.TB, more ...grpc.ServerOption) *grpc.ClientConn{
		"our codec": func(t testing.TB, more ...grpc.ServerOption) *grpc.ClientConn {
			return serveChecks(t, serviceDesc(check), append(more, grpc.ForceServerCodecV2(newCodec(false)))...)
		},
		"generated code": func(t testing.TB, more ...grpc.ServerOption) *grpc.ClientConn {
			return serveChecks(t, serviceDesc(check), append(more, grpc.ForceServerCodecV2(newCodec(true)))...)
		},
	}
}

func TestCheckOverGRPC(t *testing.T) {
	for name, serve := range variants(echo(testParseConfig(t, nil, "none"))) {
		t.Run(name, func(t *testing.T) {
			conn := serve(t)
			client := authv3.NewAuthorizationClient(conn)

			// Many at once, of sizes that come in one buffer and in many: every answer must
			// be that of its own question.
			var wait sync.WaitGroup
			for worker := range 8 {
				wait.Go(func() {
					for i := range 40 {
						m := realistic()
						h := m.Attributes.Request.Http
						h.Path = fmt.Sprintf("/api/v2/%%70eatio/%d/%d", worker, i)
						h.Headers["cookie"] = fmt.Sprintf("a=%d; _barong_session=x; b=%d", worker, i)
						h.Body = strings.Repeat("b", i*2000)
						got, err := client.Check(t.Context(), m)
						if err != nil {
							t.Errorf("Check: %v", err)
							return
						}
						set := setHeaders(got.GetOkResponse().GetHeaders())
						path, cookie := fmt.Sprintf("api/v2/peatio/%d/%d", worker, i), fmt.Sprintf("a=%d; b=%d", worker, i)
						if set["authorization"] != path || set["cookie"] != cookie ||
							got.GetOkResponse().GetHeadersToRemove()[0] != "x-auth-device" {
							t.Errorf("got %v, want %s and %s", got, path, cookie)
						}
					}
				})
			}
			wait.Wait()

			got, err := client.Check(t.Context(), &authv3.CheckRequest{})
			if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != 405 {
				t.Errorf("no attributes: %v, %v, want a denial with 405", got, err)
			}
			status, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
			if err != nil || status.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Errorf("health: %v, %v", status, err)
			}
		})
	}
}

// A message that cannot be read is denied: an RPC error would count as our outage.
func TestUnreadableMessageIsDenied(t *testing.T) {
	for name, serve := range variants(fakeServer(t, &fakes{w: small(t)}, nil).check) {
		t.Run(name, func(t *testing.T) {
			conn := serve(t)
			got := new(authv3.CheckResponse)
			// Unknown fields of an Empty reach the wire as they are.
			m := new(emptypb.Empty)
			m.ProtoReflect().SetUnknown(wireHTTP(wirePart(2, []byte("\xff"))))
			if err := conn.Invoke(t.Context(), checkMethod, m, got); err != nil {
				t.Fatalf("RPC error %v", err)
			}
			no := got.GetDeniedResponse()
			if no.GetStatus().GetCode() != 400 || no.GetBody() != `{"errors":["authz.invalid_request"]}` {
				t.Errorf("got %v, want 400 authz.invalid_request", got)
			}
		})
	}
}

func TestInterceptorSeesCheck(t *testing.T) {
	for name, serve := range variants(echo(testParseConfig(t, nil, "none"))) {
		t.Run(name, func(t *testing.T) {
			seen := ""
			refuse := fmt.Errorf("refused")
			var result error
			conn := serve(t, grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				seen = info.FullMethod
				if result != nil {
					return nil, result
				}
				return next(ctx, req)
			}))
			client := authv3.NewAuthorizationClient(conn)
			if _, err := client.Check(t.Context(), realistic()); err != nil || seen != "/envoy.service.auth.v3.Authorization/Check" {
				t.Errorf("got %v, method %q", err, seen)
			}
			result = refuse
			if _, err := client.Check(t.Context(), realistic()); err == nil {
				t.Error("the interceptor's error was lost")
			}
			result = nil
			if _, err := client.Check(t.Context(), realistic()); err != nil {
				t.Errorf("after an error: %v", err)
			}
		})
	}
}

// A question must leave nothing of one request to the next.
func TestQuestionForgets(t *testing.T) {
	pool := newCheckCalls()
	q := pool.Get().(*checkCall)
	q.read(mem.BufferSlice{mem.SliceBuffer(marshalProto(t, everything(t)))})
	a := q.replyWith(responseOptions{outageAsDenied: true})
	a.decision = *usualAllow()
	out := q.write()
	if out.Len() == 0 || q.buffer != nil || q.request.method != "" || q.request.cookie != "" ||
		len(q.request.extra) != 0 || q.reply.decision.bearer != "" || q.reply.decision.who != nil {
		t.Errorf("left behind: %+v", q)
	}
	for _, s := range [][]string{q.request.extra[:cap(q.request.extra)], q.reply.decision.remove[:cap(q.reply.decision.remove)]} {
		for _, s := range s {
			if s != "" {
				t.Errorf("left behind: %q", s)
			}
		}
	}
	out.Free()
}

// A message in many buffers is put together; its buffers are freed exactly once.
func TestQuestionJoinsBuffers(t *testing.T) {
	msg := marshalProto(t, realistic())
	var data mem.BufferSlice
	freed := 0
	for i := 0; i < len(msg); i += 100 {
		piece := make([]byte, 2048)[:copy(make([]byte, 100), msg[i:min(i+100, len(msg))])]
		copy(piece, msg[i:])
		data = append(data, mem.NewBuffer(&piece, countingPool{&freed}))
	}
	q := newCheckCalls().Get().(*checkCall)
	q.read(data)
	data.Free()
	if freed != len(data) {
		t.Errorf("%d of %d buffers freed", freed, len(data))
	}
	if q.err != nil || q.request.host != "example.com" {
		t.Errorf("got %+v, %v", q.request, q.err)
	}
	one := append(make([]byte, 0, 4096), msg...)
	freed = 0
	data = mem.BufferSlice{mem.NewBuffer(&one, countingPool{&freed})}
	q = newCheckCalls().Get().(*checkCall)
	q.read(data)
	data.Free()
	if freed != 0 {
		t.Error("the buffer was freed while the request aliases it")
	}
	q.replyWith(responseOptions{}).decision = *usualAllow()
	q.write().Free()
	if freed != 1 {
		t.Errorf("the buffer was freed %d times, want once", freed)
	}
}

type countingPool struct{ freed *int }

func (countingPool) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (p countingPool) Put(*[]byte)     { *p.freed++ }

func TestCodecAllocations(t *testing.T) {
	msg := marshalProto(t, realistic())
	data := mem.BufferSlice{mem.SliceBuffer(msg)}
	pool := newCheckCalls()
	c := newCodec(false)
	d := usualAllow()
	n := testing.AllocsPerRun(200, func() {
		q := pool.Get().(*checkCall)
		if err := c.Unmarshal(data, q); err != nil {
			t.Fatal(err)
		}
		a := q.replyWith(responseOptions{})
		remove := a.decision.remove
		a.decision = *d
		a.decision.remove = append(remove, d.remove...)
		out, err := c.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		out.Free()
	})
	// gRPC's own list of one buffer; a collection may empty a pool now and then.
	if n > 2 && !poolsAreLossy {
		t.Errorf("%v allocations a Check, want at most 2", n)
	}
}

func BenchmarkCheckCodec(b *testing.B) {
	msg := marshalProto(b, realistic())
	data := mem.BufferSlice{mem.SliceBuffer(msg)}
	d := usualAllow()
	d.metadata = false
	b.Run("ours", func(b *testing.B) {
		pool, c := newCheckCalls(), newCodec(false)
		b.ReportAllocs()
		for b.Loop() {
			q := pool.Get().(*checkCall)
			c.Unmarshal(data, q)
			a := q.replyWith(responseOptions{})
			remove := a.decision.remove
			a.decision = *d
			a.decision.remove = append(remove, d.remove...)
			out, _ := c.Marshal(a)
			out.Free()
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := new(authv3.CheckRequest)
			if err := proto.Unmarshal(msg, m); err != nil {
				b.Fatal(err)
			}
			fromProto(m)
			if _, err := proto.Marshal(toProto(d, responseOptions{})); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// gRPC decodes twice into one question when a client sends two messages for one call.
func TestTwoMessagesForOneQuestion(t *testing.T) {
	for name, serve := range variants(echo(testParseConfig(t, nil, "none"))) {
		t.Run(name, func(t *testing.T) {
			conn := serve(t)
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, checkMethod)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := stream.SendMsg(realistic()); err != nil {
					t.Fatal(err)
				}
			}
			stream.CloseSend()
			if err := stream.RecvMsg(new(authv3.CheckResponse)); err == nil {
				t.Error("two messages got an answer")
			}
			if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), realistic()); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
