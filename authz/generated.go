package authz

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// The wire in terms of the generated code. BARONG_GRPC_CODEC=generated answers with it, for
// operators that trust it more than wire.go and pay for it. The tests of wire.go and
// encode.go take it for the truth.

// fromProto is decode for a message that the generated code has read. The strings of the
// request are those of m.
func fromProto(m *authv3.CheckRequest) request {
	attributes := m.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	r := request{
		method: http.GetMethod(),
		target: http.GetPath(),
		host:   http.GetHost(),
		scheme: http.GetScheme(),
		body:   http.GetBody(),
	}
	if raw := http.GetRawBody(); len(raw) > 0 {
		r.body = string(raw)
	}
	switch a := attributes.GetSource().GetAddress().GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		r.peer = parseAddress(a.SocketAddress.GetAddress())
	case *corev3.Address_Pipe:
		r.peerPipe = true
	}

	// In the order of the names, so that of several spellings the greatest comes last.
	names := make([]string, 0, len(http.GetHeaders()))
	for name := range http.GetHeaders() {
		names = append(names, name)
	}
	slices.Sort(names)
	var all headers
	for _, name := range names {
		all.fromMap(&r, name, http.GetHeaders()[name])
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := h.GetValue()
		if raw := h.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		all.fromList(&r, h.GetKey(), value)
	}
	all.fill(&r)
	return r
}

// toProto is appendResponse in the generated types.
func toProto(d *decision, o responseOptions) *authv3.CheckResponse {
	m := new(authv3.CheckResponse)
	if d.allowed() {
		m.Status = new(rpcstatus.Status)
		m.HttpResponse = &authv3.CheckResponse_OkResponse{OkResponse: allowToProto(d)}
	} else {
		code, status := d.outcome()
		m.Status = &rpcstatus.Status{Code: int32(code)}
		denied := &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)},
			Headers: []*corev3.HeaderValueOption{
				header("content-type", "application/json"),
				header("cache-control", "no-store"),
			},
			Body: denialBody(d.reason, d.detail),
		}
		if d.clearCookie != "" {
			denied.Headers = append(denied.Headers, header("set-cookie", d.clearCookie))
		}
		if temporary(status) {
			denied.Headers = append(denied.Headers, header("retry-after", retryAfter))
		}
		if d.outage && !o.outageAsDenied {
			m.HttpResponse = &authv3.CheckResponse_ErrorResponse{ErrorResponse: denied}
		} else {
			m.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied}
		}
	}
	if d.metadata {
		m.DynamicMetadata = metadataToProto(d)
	}
	return m
}

func allowToProto(d *decision) *authv3.OkHttpResponse {
	ok := new(authv3.OkHttpResponse)
	if d.bearer != "" {
		ok.Headers = append(ok.Headers, header("authorization", d.bearer))
	}
	if d.upstreamCookie() == cookieReplace {
		ok.Headers = append(ok.Headers, header("cookie", d.cookieValue))
	}
	ok.HeadersToRemove = d.removals()
	return ok
}

func metadataToProto(d *decision) *structpb.Struct {
	fields := map[string]*structpb.Value{
		"snapshot": structpb.NewNumberValue(float64(d.snapshot)),
	}
	set := func(key, value string) {
		if value != "" {
			fields[key] = structpb.NewStringValue(value)
		}
	}
	if d.who != nil {
		set("uid", d.who.UID)
		set("role", d.who.Role)
	}
	set("reason", d.reason)
	set("decision", d.id)
	return &structpb.Struct{Fields: fields}
}

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
