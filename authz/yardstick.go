package authz

import (
	"context"
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// NewYardstick makes a server that decides nothing and allows everything, for make bench:
// the cost of Check before any of our work. With generated it is the obvious server, of
// grpc-go's defaults and protobuf-go; without, it has our codec and server options. bearer
// is the token that it answers.
func NewYardstick(generated bool, bearer string) *grpc.Server {
	if generated {
		s := grpc.NewServer()
		authv3.RegisterAuthorizationServer(s, allowAll{bearer: bearer})
		return s
	}
	s := grpc.NewServer(serverOptions(GRPCConfig{})...)
	s.RegisterService(serviceDesc(func(_ context.Context, q *checkCall) *checkReply {
		a := q.replyWith(responseOptions{})
		a.decision.status, a.decision.bearer = http.StatusOK, bearer
		return a
	}), nil)
	return s
}

type allowAll struct {
	authv3.UnimplementedAuthorizationServer
	bearer string
}

func (a allowAll) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "authorization", Value: a.bearer}}},
		}},
	}, nil
}
