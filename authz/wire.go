package authz

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The reading half of the wire: envoy.service.auth.v3.CheckRequest without the generated
// code, which spends a third of a decision's CPU on a map that nobody keeps.
//
// The rule is equality with the generated code: decode fails on exactly the messages on
// which proto.Unmarshal fails, and reads the same values from all others (generated.go
// holds the other side, FuzzDecode compares the two). Repeated scalars: the last one
// wins; repeated submessages are merged; unknown fields and fields of another wire type
// are skipped; strings must be UTF-8.
//
// Headers come as a map, or as a list when Envoy's encode_raw_headers is on. Should a
// message carry both, the list wins, name by name. Names are compared without ASCII case:
// of several spellings in the map the byte-wise greatest counts, which is the lower-case
// one that Envoy sends (a map has no order to go by); in the list the last one counts. A
// header that occurs more than once in the list, where Envoy joins nothing, is marked:
// see request.repeat.

var (
	errWire  = errors.New("not a protobuf message of this shape")
	errUTF8  = errors.New("a string that is not UTF-8")
	errDepth = errors.New("nested too deep")
)

// An addressKind is the member of envoy.config.core.v3.Address that is set.
type addressKind uint8

const (
	addressNone addressKind = iota
	addressSocket
	addressPipe
	addressInternal
)

// A reading is the state of one decode.
type reading struct {
	*request
	headers headers
	from    addressKind
	address string // of the socket
	raw     string // raw_body
}

// decode reads a CheckRequest into r. Of its earlier content r keeps only the capacity of
// its slices. The strings of r alias msg, which must not change while they are in use.
// It allocates only to grow extra, and takes time linear in len(msg) (with a logarithm
// for x-auth-* headers). After an error r is empty.
func (r *request) decode(msg []byte) error {
	r.reset()
	d := reading{request: r}
	if err := d.check(msg); err != nil {
		r.reset()
		return err
	}
	d.headers.fill(r)
	if d.raw != "" {
		r.body = d.raw
	}
	switch d.from {
	case addressSocket:
		r.peer = parseAddress(d.address)
	case addressPipe:
		r.peerPipe = true
	}
	return nil
}

// Each of the following reads one message type. The types that hold nothing for us are
// checked by skim, with the nesting that the generated code would still allow.

const depthOfRoot = protowire.DefaultRecursionLimit - 1

func (d *reading) check(b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.num == 1 && f.bytes {
			if err := d.attributes(f.val, depthOfRoot-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *reading) attributes(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case f.num == 1 && f.bytes:
			err = d.source(f.val, depth-1)
		case f.num == 4 && f.bytes:
			err = d.question(f.val, depth-1)
		default:
			err = shapes[shapeAttributes].skim(f, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) source(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.num == 1 && f.bytes {
			err = d.sourceAddress(f.val, depth-1)
		} else {
			err = shapes[shapePeer].skim(f, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) sourceAddress(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.bytes {
			switch f.num {
			case 1:
				if d.from != addressSocket { // the same member again would be merged
					d.from, d.address = addressSocket, ""
				}
				if err := d.socketAddress(f.val, depth-1); err != nil {
					return err
				}
				continue
			case 2:
				d.from = addressPipe
			case 3:
				d.from = addressInternal
			}
		}
		if err := shapes[shapeAddress].skim(f, depth); err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) socketAddress(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if err := shapes[shapeSocketAddress].skim(f, depth); err != nil {
			return err
		}
		if f.num == 2 && f.bytes {
			d.address = text(f.val)
		}
	}
	return nil
}

func (d *reading) question(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.num == 2 && f.bytes {
			err = d.http(f.val)
		} else {
			err = shapes[shapeRequest].skim(f, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) http(b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if !f.bytes {
			continue
		}
		switch f.num {
		case 3: // headers
			var name, value string
			name, value, _, err = pair(f.val)
			if err == nil {
				d.headers.fromMap(d.request, name, value)
			}
		case 13: // header_map
			err = d.headerMap(f.val)
		case 12: // raw_body
			d.raw = text(f.val)
		case 2:
			d.method, err = checked(f.val)
		case 4:
			d.target, err = checked(f.val)
		case 5:
			d.host, err = checked(f.val)
		case 6:
			d.scheme, err = checked(f.val)
		case 11:
			d.body, err = checked(f.val)
		case 1, 7, 8, 10: // id, query, fragment, protocol
			_, err = checked(f.val)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) headerMap(b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.num != 1 || !f.bytes {
			continue
		}
		name, value, raw, err := pair(f.val)
		if err != nil {
			return err
		}
		if raw != "" {
			value = raw
		}
		d.headers.fromList(d.request, name, value)
	}
	return nil
}

// pair reads an entry of a map of strings (which has no third field) or a HeaderValue.
// A missing part is empty.
func pair(b []byte) (key, value, raw string, err error) {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return "", "", "", err
		}
		b = rest
		if !f.bytes {
			continue
		}
		switch f.num {
		case 1:
			key, err = checked(f.val)
		case 2:
			value, err = checked(f.val)
		case 3:
			raw = text(f.val)
		}
		if err != nil {
			return "", "", "", err
		}
	}
	return key, value, raw, nil
}

// A field is one field of a message as it stands on the wire.
type field struct {
	num   protowire.Number
	bytes bool   // length-delimited, with val its content
	val   []byte // aliases the message
}

// next splits the first field from a message that is not empty.
func next(b []byte) (f field, rest []byte, err error) {
	tag, n := uint64(b[0]), 1
	if tag >= 0x80 {
		if tag, n = protowire.ConsumeVarint(b); n < 0 {
			return f, nil, errWire
		}
	}
	num, typ := tag>>3, protowire.Type(tag&7)
	if num < uint64(protowire.MinValidNumber) || num > uint64(protowire.MaxValidNumber) {
		return f, nil, errWire
	}
	f.num = protowire.Number(num)
	b = b[n:]
	if typ != protowire.BytesType {
		if n = protowire.ConsumeFieldValue(f.num, typ, b); n < 0 {
			return f, nil, errWire
		}
		return f, b[n:], nil
	}
	f.bytes = true
	if len(b) > 0 && int(b[0]) < 0x80 && int(b[0]) < len(b) {
		end := 1 + int(b[0])
		f.val = b[1:end:end]
		return f, b[end:], nil
	}
	if f.val, n = protowire.ConsumeBytes(b); n < 0 {
		return f, nil, errWire
	}
	return f, b[n:], nil
}

// checked is the value of a string field.
func checked(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", errUTF8
	}
	return text(b), nil
}

// text is b as a string that shares its memory.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// parseAddress reads an IP address without port; v4-mapped ones are unmapped and a zone
// is dropped (D13). Anything else gives the zero Addr.
func parseAddress(s string) netip.Addr {
	host, zone, scoped := strings.Cut(s, "%") // ParseAddr would allocate for a zone
	a, err := netip.ParseAddr(host)
	if err != nil || scoped && (zone == "" || a.Is4()) {
		return netip.Addr{}
	}
	return a.Unmap()
}
