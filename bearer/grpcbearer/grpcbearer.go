// Package grpcbearer has the interceptors of package bearer for servers of gRPC. The token is the metadata
// authorization; claims are in the context of the call (bearer.FromContext).
package grpcbearer

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"barong/bearer"
)

// Unary lets only calls with a token that is taken through; others end in Unauthenticated, or in
// Unavailable if there are no keys.
func Unary(v *bearer.Verifier) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := verified(ctx, v)
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// Stream is Unary for streams. The token is verified when the stream begins: a stream that must not
// outlive it ends itself at Claims.Expires.
func Stream(v *bearer.Verifier) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := verified(s.Context(), v)
		if err != nil {
			return err
		}
		return next(srv, &stream{s, ctx})
	}
}

// A stream is one with another context.
type stream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // the interface hands contexts on so
}

// Context has the claims.
func (s *stream) Context() context.Context { return s.ctx }

func verified(ctx context.Context, v *bearer.Verifier) (context.Context, error) {
	lines := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(lines) != 1 {
		return nil, status.Error(codes.Unauthenticated, "jwt.decode_and_verify")
	}
	c, err := v.VerifyHeader(ctx, lines[0])
	switch {
	case errors.Is(err, bearer.ErrRefused):
		return nil, status.Error(codes.Unauthenticated, "jwt.decode_and_verify")
	case err != nil:
		return nil, status.Error(codes.Unavailable, "jwt.unavailable")
	}
	return bearer.NewContext(ctx, c), nil
}
