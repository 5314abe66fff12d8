package authz

import (
	"context"
	"fmt"
	"sync"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A checkCall is one Check on its way through gRPC: the request, the memory that it
// aliases, and the place for the answer. Calls are reused: nobody may look at one, or
// at a string of its request, after the answer was encoded. In particular no stats
// handler and no trace may keep gRPC's payloads.
type checkCall struct {
	request request
	// err is set when the message was no CheckRequest; request is then empty. Envoy would
	// read an RPC error as an outage of ours, so Server.conclude denies it instead.
	err error

	reply  checkReply
	out    []byte     // the encoded answer, until gRPC has sent it
	buffer mem.Buffer // the message, which request aliases
	home   *sync.Pool
}

// A checkReply is a decision with the options to encode it. It lives in its call.
type checkReply struct {
	decision decision
	options  responseOptions
	call     *checkCall
}

// replyWith is the place for the answer. Its decision is empty but for the capacity of remove.
func (q *checkCall) replyWith(o responseOptions) *checkReply {
	a := &q.reply
	a.call, a.options = q, o
	a.decision = decision{remove: a.decision.remove[:0]}
	return a
}

// read decodes a message, which q keeps until it forgets it. gRPC reads twice when a client
// sends two messages for one question, and then fails the call.
func (q *checkCall) read(data mem.BufferSlice) {
	q.forget()
	q.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool()) // one buffer is not copied
	q.failed(q.request.decode(q.buffer.ReadOnlyData()))
}

// readGenerated is read with the generated code.
func (q *checkCall) readGenerated(data mem.BufferSlice) {
	q.forget()
	m := new(authv3.CheckRequest)
	if err := proto.Unmarshal(data.Materialize(), m); err != nil {
		q.failed(err)
		return
	}
	q.request = fromProto(m)
}

func (q *checkCall) failed(err error) {
	if err != nil {
		q.err = fmt.Errorf("read CheckRequest: %w", err)
	}
}

// write encodes the answer. Its result holds q, which goes back to its pool when gRPC frees
// the result.
func (q *checkCall) write() mem.BufferSlice {
	q.out = appendResponse(q.out[:0], &q.reply.decision, q.reply.options)
	q.forget()
	if mem.IsBelowBufferPoolingThreshold(cap(q.out)) {
		// gRPC counts no references of small buffers, so this one must not be reused.
		out := q.out
		q.out = nil
		q.recycle()
		return mem.BufferSlice{mem.SliceBuffer(out)}
	}
	return mem.BufferSlice{mem.NewBuffer(&q.out, q)}
}

// writeGenerated is write with the generated code.
func (q *checkCall) writeGenerated() (mem.BufferSlice, error) {
	b, err := proto.Marshal(toProto(&q.reply.decision, q.reply.options))
	q.release()
	if err != nil {
		return nil, fmt.Errorf("write CheckResponse: %w", err)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Put takes q.out back; with Get it makes q the mem.BufferPool of its own buffer.
func (q *checkCall) Put(*[]byte) { q.recycle() }

// Get is never called.
func (q *checkCall) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// forget lets go of the message and of everything that aliases it.
func (q *checkCall) forget() {
	q.request.reset()
	q.err = nil
	clear(q.reply.decision.remove)
	q.reply.decision = decision{remove: q.reply.decision.remove[:0]}
	if q.buffer != nil {
		q.buffer.Free()
		q.buffer = nil
	}
}

// release forgets the message and gives q back to its pool, without an answer.
func (q *checkCall) release() {
	q.forget()
	q.recycle()
}

func (q *checkCall) recycle() {
	if cap(q.out) > maxKept {
		q.out = nil
	}
	if q.out == nil {
		q.out = make([]byte, 0, usualAnswer)
	}
	if q.home != nil {
		q.home.Put(q)
	}
}

const (
	usualScratch = 512
	usualAnswer  = 2 << 10  // more than an answer takes, and more than gRPC's threshold
	maxKept      = 16 << 10 // an answer that grew beyond is not kept
)

// newCheckCalls makes the pool of a service.
func newCheckCalls() *sync.Pool {
	pool := new(sync.Pool)
	pool.New = func() any {
		return &checkCall{home: pool, out: make([]byte, 0, usualAnswer),
			request: request{scratch: make([]byte, 0, usualScratch)}}
	}
	return pool
}

// A codec reads questions and writes answers, and leaves everything else (health,
// reflection) to gRPC's own. It is for grpc.ForceServerCodecV2.
type codec struct {
	encoding.CodecV2
	generated bool // questions and answers too
}

// newCodec is the codec for serviceDesc: with wire.go and encode.go, or, where an operator
// wants it, with the generated code. Both answer a message that they cannot read.
func newCodec(generated bool) encoding.CodecV2 {
	return codec{encoding.GetCodecV2(grpcproto.Name), generated}
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch a, ok := v.(*checkReply); {
	case !ok:
		return c.CodecV2.Marshal(v)
	case c.generated:
		return a.call.writeGenerated()
	default:
		return a.call.write(), nil
	}
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch q, ok := v.(*checkCall); {
	case !ok:
		return c.CodecV2.Unmarshal(data, v)
	case c.generated:
		q.readGenerated(data)
	default:
		q.read(data)
	}
	return nil
}

// A checker decides one question. The answer is q.replyWith's; the question is not used
// after it returns.
type checker func(ctx context.Context, q *checkCall) *checkReply

const (
	serviceName = "envoy.service.auth.v3.Authorization"
	checkMethod = "/" + serviceName + "/Check"
)

// serviceDesc describes Envoy's Authorization service for a server whose codec is
// newCodec's. Register it with a nil implementation.
func serviceDesc(check checker) *grpc.ServiceDesc {
	pool := newCheckCalls()
	info := &grpc.UnaryServerInfo{FullMethod: checkMethod}
	handle := func(_ any, ctx context.Context, read func(any) error, wrap grpc.UnaryServerInterceptor) (any, error) {
		q := pool.Get().(*checkCall)
		if err := read(q); err != nil {
			q.release()
			return nil, err
		}
		if wrap == nil {
			return check(ctx, q), nil
		}
		// After an error q may still be in someone's hands: it is left to the collector.
		return wrap(ctx, q, info, func(ctx context.Context, _ any) (any, error) {
			return check(ctx, q), nil
		})
	}
	return &grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: handle}},
		Metadata:    "envoy/service/auth/v3/external_auth.proto",
	}
}
