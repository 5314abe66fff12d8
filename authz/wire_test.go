package authz

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// socketPeer is a source that connects from address.
func socketPeer(address string) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: address,
				PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 41234}},
		}},
	}
}

// realistic is Envoy's question about a browser's request.
func realistic() *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      socketPeer("127.0.0.1"),
		Destination: socketPeer("10.0.0.2"),
		Request: &authv3.AttributeContext_Request{
			Time: &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 5},
			Http: &authv3.AttributeContext_HttpRequest{
				Id: "1234567890123456789", Method: "GET", Host: "example.com", Scheme: "https",
				Path:     "/api/v2/peatio/market/orders?market=btcusd&limit=100",
				Protocol: "HTTP/1.1", Size: -1,
				Headers: map[string]string{
					":authority": "example.com", ":method": "GET", ":scheme": "https",
					":path":           "/api/v2/peatio/market/orders?market=btcusd&limit=100",
					"accept":          "application/json",
					"accept-language": "en-US,en;q=0.5", "accept-encoding": "gzip, deflate, br",
					"user-agent":        "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101",
					"cookie":            "theme=dark; _barong_session=0123456789abcdef0123456789abcdef; lang=en",
					"x-csrf-token":      "0123456789abcdef0123",
					"x-forwarded-for":   "203.0.113.9,127.0.0.1",
					"x-forwarded-proto": "https", "x-request-id": "8b6b1f80-4a2b-4b43-9c3e-1f9a3a6a5e11",
					"x-auth-device": "phone",
				},
			},
		},
		MetadataContext: &corev3.Metadata{},
	}}
}

// everything has every field of the tree set, so that no shape is left out.
func everything(t testing.TB) *authv3.CheckRequest {
	value, err := structpb.NewStruct(map[string]any{
		"null": nil, "number": 1.5, "text": "x", "yes": true,
		"list": []any{"a", map[string]any{"deep": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	any, err := anypb.New(value)
	if err != nil {
		t.Fatal(err)
	}
	metadata := &corev3.Metadata{
		FilterMetadata:      map[string]*structpb.Struct{"f": value, "g": nil},
		TypedFilterMetadata: map[string]*anypb.Any{"a": any},
	}
	m := realistic()
	a := m.Attributes
	a.Source.Service, a.Source.Principal, a.Source.Certificate = "s", "p", "c"
	a.Source.Labels = map[string]string{"k": "v", "": ""}
	s := a.Source.Address.GetSocketAddress()
	s.ResolverName, s.NetworkNamespaceFilepath, s.Ipv4Compat, s.Protocol = "r", "n", true, 1
	a.Destination.Address = &corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{
		EnvoyInternalAddress: &corev3.EnvoyInternalAddress{EndpointId: "e",
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: "l"}},
	}}
	a.ContextExtensions = map[string]string{"virtual_host": "x"}
	a.MetadataContext, a.RouteMetadataContext = metadata, metadata
	a.TlsSession = &authv3.AttributeContext_TLSSession{Sni: "example.com"}
	h := a.Request.Http
	h.Query, h.Fragment, h.Body, h.RawBody = "q", "f", "body", []byte("\xff raw")
	h.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "Cookie", RawValue: []byte("a=\xff")}, {Key: "x-csrf-token", Value: "one"},
		{Key: "x-csrf-token", Value: "two"}, {Key: "X-Auth-Other", Value: "z"},
	}}
	return m
}

// marshalProto is proto.Marshal in a fixed order of map entries.
func marshalProto(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return b
}

// sameAsGenerated compares decode with the generated code on one message.
func sameAsGenerated(t testing.TB, msg []byte) {
	t.Helper()
	var m authv3.CheckRequest
	wantErr := proto.Unmarshal(msg, &m)
	var got request
	gotErr := got.decode(msg)
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("decode(%x) = %v, the generated code says %v", msg, gotErr, wantErr)
	}
	want := fromProto(&m)
	if wantErr != nil {
		want = request{}
	}
	got.extra, want.extra = append([]string(nil), got.extra...), append([]string(nil), want.extra...)
	got.scratch = nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("decode(%x)\n got %+v\nwant %+v", msg, got, want)
	}
}

func TestDecodeReadsWhatEnvoySends(t *testing.T) {
	var r request
	if err := r.decode(marshalProto(t, realistic())); err != nil {
		t.Fatal(err)
	}
	want := request{
		method: "GET", target: "/api/v2/peatio/market/orders?market=btcusd&limit=100",
		host: "example.com", scheme: "https",
		userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101",
		cookie:    "theme=dark; _barong_session=0123456789abcdef0123456789abcdef; lang=en",
		csrf:      "0123456789abcdef0123", forwardedFor: "203.0.113.9,127.0.0.1",
		requestID: "8b6b1f80-4a2b-4b43-9c3e-1f9a3a6a5e11",
		peer:      netip.MustParseAddr("127.0.0.1"),
		hasCSRF:   true, hasCookie: true, extra: []string{"x-auth-device"},
	}
	r.scratch = nil
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// Each header must land in its own field: the generated side shares the mapping.
func TestDecodeHeaderFields(t *testing.T) {
	h := &authv3.AttributeContext_HttpRequest{Headers: map[string]string{
		"cookie": "1", "x-csrf-token": "2", "x-auth-apikey": "3", "x-auth-nonce": "4",
		"x-auth-signature": "5", "origin": "6", "x-forwarded-for": "7",
		"cf-connecting-ip": "8", "true-client-ip": "9", "x-request-id": "10",
		"content-type": "11", "upgrade": "12", "user-agent": "13",
		"access-control-request-method": "14", "x-auth-token": "15", "http2-settings": "16",
		"access-control-request-methods": "no", "x-authority": "no", "authorization": "no",
	}}
	want := request{
		cookie: "1", csrf: "2", apiKey: "3", nonce: "4", signature: "5", origin: "6",
		forwardedFor: "7", cfConnectingIP: "8", trueClientIP: "9", requestID: "10",
		contentType: "11", upgrade: "12", userAgent: "13",
		hasCookie: true, hasCSRF: true, hasAPIKey: true, hasNonce: true, hasSignature: true,
		hasOrigin: true, hasRequestMethod: true, hasHTTP2Settings: true, extra: []string{"x-auth-token"},
	}
	for _, upper := range []bool{false, true} {
		m := proto.Clone(h).(*authv3.AttributeContext_HttpRequest)
		if upper {
			m.Headers = map[string]string{}
			for k, v := range h.Headers {
				m.Headers[strings.ToUpper(k)] = v
			}
			want.extra = []string{"X-AUTH-TOKEN"}
		}
		var r request
		if err := r.decode(marshalProto(t, askHTTP(m))); err != nil {
			t.Fatal(err)
		}
		r.scratch = nil
		if !reflect.DeepEqual(r, want) {
			t.Errorf("upper case %v:\n got %+v\nwant %+v", upper, r, want)
		}
	}
}

func askHTTP(h *authv3.AttributeContext_HttpRequest) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: h}}}
}

// Pieces of hand-made messages.
func wirePart(num protowire.Number, content ...[]byte) []byte {
	b := protowire.AppendTag(nil, num, protowire.BytesType)
	return protowire.AppendBytes(b, bytes.Join(content, nil))
}

func wireHTTP(fields ...[]byte) []byte { return wirePart(1, wirePart(4, wirePart(2, fields...))) }

func wireEntry(name, value string) []byte {
	return wirePart(3, wirePart(1, []byte(name)), wirePart(2, []byte(value)))
}

func wireListed(name, value string) []byte {
	return wirePart(13, wirePart(1, wirePart(1, []byte(name)), wirePart(3, []byte(value))))
}

func wireSource(address ...[]byte) []byte { return wirePart(1, wirePart(1, wirePart(1, address...))) }

// wireMetadata is attributes.metadata_context.filter_metadata with one Struct that has one
// member, value.
func wireMetadata(value []byte) []byte {
	return wirePart(1, wirePart(11, wirePart(1, wirePart(2, wirePart(1, wirePart(2, value))))))
}

func wireGroup(num protowire.Number, depth int, content []byte) []byte {
	var b []byte
	for range depth {
		b = protowire.AppendTag(b, num, protowire.StartGroupType)
	}
	b = append(b, content...)
	for range depth {
		b = protowire.AppendTag(b, num, protowire.EndGroupType)
	}
	return b
}

// wireCases are messages on which a hand-written decoder easily differs.
func wireCases(t testing.TB) map[string][]byte {
	varint := func(num protowire.Number) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), 7)
	}
	socket := func(a string) []byte { return wirePart(1, wirePart(2, []byte(a))) }
	full := marshalProto(t, everything(t))
	cases := map[string][]byte{
		"nothing":                        nil,
		"what Envoy sends":               marshalProto(t, realistic()),
		"every field of the tree":        full,
		"the last scalar wins":           wireHTTP(wirePart(2, []byte("GET")), wirePart(2, []byte("PUT"))),
		"the last map entry wins":        wireHTTP(wireEntry("cookie", "a"), wireEntry("cookie", "b")),
		"an entry without a value":       wireHTTP(wirePart(3, wirePart(1, []byte("cookie")))),
		"an entry without a key":         wireHTTP(wirePart(3, wirePart(2, []byte("x")))),
		"an entry with fields twice":     wireHTTP(wirePart(3, wirePart(1, []byte("a")), wirePart(2, []byte("x")), wirePart(1, []byte("cookie")), wirePart(2, []byte("y")))),
		"an entry with unknown fields":   wireHTTP(wirePart(3, varint(9), wirePart(1, []byte("cookie")), wirePart(7, []byte("\xff")))),
		"a map entry that is a number":   wireHTTP(varint(3)),
		"a method that is a number":      wireHTTP(varint(2)),
		"attributes twice are merged":    append(wireHTTP(wirePart(2, []byte("GET"))), wireHTTP(wirePart(4, []byte("/a")))...),
		"spellings: lower-case last":     wireHTTP(wireEntry("Cookie", "a"), wireEntry("cookie", "b")),
		"spellings: lower-case first":    wireHTTP(wireEntry("cookie", "b"), wireEntry("Cookie", "a")),
		"spellings: none is lower-case":  wireHTTP(wireEntry("COOKIE", "b"), wireEntry("CookiE", "a")),
		"list after map":                 wireHTTP(wireEntry("cookie", "a"), wireListed("cookie", "b")),
		"list before map":                wireHTTP(wireListed("cookie", "b"), wireEntry("cookie", "a")),
		"list twice":                     wireHTTP(wireListed("cookie", "b"), wireListed("COOKIE", "a")),
		"an address of three kinds":      wireSource(socket("1.2.3.4"), wirePart(2), wirePart(3)),
		"pipe, then socket":              wireSource(wirePart(2, wirePart(1, []byte("@/p"))), socket("1.2.3.4")),
		"socket, pipe, empty socket":     wireSource(socket("1.2.3.4"), wirePart(2), wirePart(1)),
		"socket twice is merged":         wireSource(socket("1.2.3.4"), wirePart(1, varint(3))),
		"pipe with the wrong type":       wireSource(socket("1.2.3.4"), varint(2)),
		"an address that is none":        wireSource(socket("example.com")),
		"a v4-mapped address":            wireSource(socket("::ffff:1.2.3.4")),
		"a scoped address":               wireSource(socket("fe80::1%eth0")),
		"UTF-8: method":                  wireHTTP(wirePart(2, []byte("\xff"))),
		"UTF-8: id":                      wireHTTP(wirePart(1, []byte("\xff"))),
		"UTF-8: header name":             wireHTTP(wireEntry("\xff", "")),
		"UTF-8: header value":            wireHTTP(wireEntry("accept", "\xff")),
		"UTF-8: listed name":             wireHTTP(wireListed("\xff", "")),
		"UTF-8: raw value may be bytes":  wireHTTP(wireListed("cookie", "\xff")),
		"UTF-8: listed value may not":    wireHTTP(wirePart(13, wirePart(1, wirePart(2, []byte("\xff"))))),
		"UTF-8: raw body may be bytes":   wireHTTP(wirePart(12, []byte("\xff"))),
		"UTF-8: body may not":            wireHTTP(wirePart(11, []byte("\xff"))),
		"UTF-8: unknown fields may":      wireHTTP(wirePart(99, []byte("\xff"))),
		"UTF-8: destination principal":   wirePart(1, wirePart(2, wirePart(4, []byte("\xff")))),
		"UTF-8: metadata member":         wireMetadata(wirePart(3, []byte("\xff"))),
		"UTF-8: type of an Any":          wirePart(1, wirePart(11, wirePart(2, wirePart(2, wirePart(1, []byte("\xff")))))),
		"UTF-8: value of an Any may":     wirePart(1, wirePart(11, wirePart(2, wirePart(2, wirePart(2, []byte("\xff")))))),
		"UTF-8: extension key":           wirePart(1, wirePart(10, wirePart(1, []byte("\xff")))),
		"UTF-8: sni":                     wirePart(1, wirePart(12, wirePart(1, []byte("\xff")))),
		"a group is skipped":             append(wireGroup(9, 3, varint(1)), wireHTTP(wirePart(2, []byte("GET")))...),
		"a group in place of attributes": wireGroup(1, 1, wirePart(4)),
		"a group that does not end":      protowire.AppendTag(nil, 9, protowire.StartGroupType),
		"a group that ends as another":   {9<<3 | 3, 8<<3 | 4},
		"an end without a group":         {9<<3 | 4},
		"an end inside attributes":       wirePart(1, []byte{9<<3 | 4}),
		"field number 0":                 {0, 0},
		"field number too large":         protowire.AppendVarint(protowire.AppendVarint(nil, (1<<29)<<3), 1),
		"the largest field number":       protowire.AppendVarint(protowire.AppendVarint(nil, (1<<29-1)<<3), 1),
		"a large number in a group":      append(append([]byte{9<<3 | 3}, protowire.AppendVarint(protowire.AppendVarint(nil, (1<<31-1)<<3), 1)...), 9<<3|4),
		"wire type 6":                    {1<<3 | 6, 0},
		"wire type 7 in http":            wireHTTP([]byte{2<<3 | 7}),
		"a tag in more bytes than due":   {0x8a, 0x80, 0x00, 0},
		"a varint of eleven bytes":       append([]byte{3 << 3}, bytes.Repeat([]byte{0x80}, 11)...),
		"a length beyond the end":        {1<<3 | 2, 5, 0},
		"a length that overflows":        append([]byte{1<<3 | 2}, protowire.AppendVarint(nil, 1<<63)...),
		"a length in two bytes":          {1<<3 | 2, 0x80, 0x00},
		"junk inside a timestamp":        wirePart(1, wirePart(4, wirePart(1, []byte{0}))),
		"the deepest nesting":            wireMetadata(wireNest(4996, nil)),
		"nested one too deep":            wireMetadata(wireNest(4997, nil)),
		"nested far too deep":            wireMetadata(wireNest(20000, nil)),
		"the deepest group":              wireGroup(9, 10001, nil),
		"a group one too deep":           wireGroup(9, 10002, nil),
	}
	for i := range full {
		cases[fmt.Sprintf("cut after %d bytes", i)] = full[:i]
	}
	return cases
}

func TestDecodeEqualsGeneratedCode(t *testing.T) {
	for name, msg := range wireCases(t) {
		t.Run(name, func(t *testing.T) { sameAsGenerated(t, msg) })
	}
}

// The nesting limit must be where the generated code has it, for lists and for maps.
func TestDecodeDepth(t *testing.T) {
	refused := 0
	for n := 4990; n < 5003; n++ {
		for _, bottom := range [][]byte{nil, wirePart(5), wirePart(5, wirePart(1)),
			wirePart(5, protowire.AppendTag(nil, 1, protowire.VarintType), []byte{1})} {
			v := wireNest(n, bottom)
			sameAsGenerated(t, wireMetadata(v))
			var r request
			if r.decode(wireMetadata(v)) != nil {
				refused++
			}
		}
	}
	if refused == 0 || refused == 13*4 {
		t.Errorf("%d of 52 refused: the limit was not crossed", refused)
	}
}

// wireNest is bottom, a Value, in n lists.
func wireNest(n int, bottom []byte) []byte {
	sizes := []int{len(bottom)}
	for range n {
		list := protowire.SizeTag(1) + protowire.SizeBytes(sizes[len(sizes)-1])
		sizes = append(sizes, list, protowire.SizeTag(6)+protowire.SizeBytes(list))
	}
	var b []byte
	for i := len(sizes) - 1; i > 0; i -= 2 {
		b = protowire.AppendVarint(append(b, 6<<3|2), uint64(sizes[i-1]))
		b = protowire.AppendVarint(append(b, 1<<3|2), uint64(sizes[i-2]))
	}
	return append(b, bottom...)
}

func FuzzDecode(f *testing.F) {
	for name, msg := range wireCases(f) {
		if !strings.HasPrefix(name, "cut") && len(msg) < 4096 {
			f.Add(msg)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		sameAsGenerated(t, msg)
		// The same bytes where they matter most.
		sameAsGenerated(t, wireHTTP(msg))
		sameAsGenerated(t, wireHTTP(wirePart(3, msg), wirePart(13, wirePart(1, msg))))
		sameAsGenerated(t, wireSource(msg))
	})
}

// TestShapes compares the tables of skim with the descriptors of the generated code.
func TestShapes(t *testing.T) {
	seen := map[shapeName]protoreflect.FullName{}
	var visit func(s shapeName, d protoreflect.MessageDescriptor)
	visit = func(s shapeName, d protoreflect.MessageDescriptor) {
		if was, ok := seen[s]; ok {
			if was != d.FullName() && s != shapeTexts {
				t.Errorf("shape %d stands for %s and for %s", s, was, d.FullName())
			}
			return
		}
		seen[s] = d.FullName()
		var strings, nested, maps uint16
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if f.Number() >= 14 {
				t.Fatalf("%s: number does not fit", f.FullName())
			}
			bit := uint16(1) << f.Number()
			switch f.Kind() {
			case protoreflect.StringKind:
				strings |= bit
			case protoreflect.MessageKind:
				nested |= bit
				if f.IsMap() {
					maps |= bit
				}
				visit(shapes[s].message[f.Number()], f.Message())
			case protoreflect.GroupKind:
				t.Errorf("%s is a group", f.FullName())
			}
		}
		if got := shapes[s]; got.strings != strings || got.nested != nested || got.maps != maps {
			t.Errorf("%s: strings %b nested %b maps %b, want %b %b %b", d.FullName(),
				got.strings, got.nested, got.maps, strings, nested, maps)
		}
	}
	visit(shapeAttributes, (&authv3.AttributeContext{}).ProtoReflect().Descriptor())
	if len(seen) != len(shapes) {
		t.Errorf("%d of %d shapes are used", len(seen), len(shapes))
	}
	if fields := (&authv3.CheckRequest{}).ProtoReflect().Descriptor().Fields(); fields.Len() != 1 {
		t.Errorf("CheckRequest has %d fields, check reads one", fields.Len())
	}
}
