package authz

import (
	"encoding/binary"
	"math"
	"net/http"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The writing half of the wire: envoy.service.auth.v3.CheckResponse, appended by hand from
// chunks that are mostly constant. toProto (generated.go) says the same in the generated
// types; FuzzAppendResponse holds the two together.
//
// On allow (design D12, FX-8):
//
//	status          0
//	ok_response     headers            authorization, cookie      (overwritten)
//	                headers_to_remove  authorization when no token is given, cookie when
//	                                   nothing of it may stay, for components the caller's
//	                                   credentials, and always names of another caller,
//	                                   method or path than was judged (forbidden, FX-1)
//
// On denial:
//
//	status          16 for 401, otherwise 7; 14 for an outage
//	denied_response status, content-type, cache-control, set-cookie, retry-after, body
//	error_response  the same, for an outage
//
// dynamic_metadata is a Struct of uid, role, reason, decision (strings, when there are
// any) and snapshot (a number).

// responseOptions holds the operator's choices about answers.
type responseOptions struct {
	// outageAsDenied answers an outage as denied_response instead of error_response, which
	// failure_mode_allow would turn into an allow.
	outageAsDenied bool
}

// Numbers of google.rpc.Code.
const (
	codePermissionDenied = 7
	codeUnavailable      = 14
	codeUnauthenticated  = 16
)

// overwrite is HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD. The older field append stays
// unset: in these messages that means false, and Envoy refuses both together elsewhere.
const overwrite = 2

// outcome is the pair of statuses that a denial has: the number for google.rpc.Status and
// the one for HTTP. A status that is no denial is sent as 403: whatever went wrong, it
// must not look like an allow (FX-23).
func (d *decision) outcome() (code, status int) {
	status = d.status
	switch {
	case d.outage:
		if status < 400 || status > 599 {
			status = http.StatusServiceUnavailable
		}
		return codeUnavailable, status
	case status < 400 || status > 599:
		status = http.StatusForbidden
	}
	if status == http.StatusUnauthorized {
		return codeUnauthenticated, status
	}
	return codePermissionDenied, status
}

// temporary reports whether a denial with that status carries retry-after.
func temporary(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// upstreamCookie is the fate of the Cookie header. A value that a proto string cannot
// hold is removed rather than let Envoy refuse the whole answer.
func (d *decision) upstreamCookie() cookieFate {
	if d.cookie == cookieReplace && !utf8.ValidString(d.cookieValue) {
		return cookieRemove
	}
	return d.cookie
}

// removable reports whether a name in d.remove is to be listed: never the token's (Envoy
// removes after it sets), and none that a proto string cannot hold.
func removable(name string) bool {
	return name != "" && name != "authorization" && utf8.ValidString(name)
}

// Field numbers, as tags of length-delimited fields.
const (
	tagStatus         = 1<<3 | 2 // CheckResponse.status
	tagDenied         = 2<<3 | 2
	tagOK             = 3<<3 | 2
	tagMetadata       = 4<<3 | 2
	tagError          = 5<<3 | 2
	tagHTTPStatus     = 1<<3 | 2 // DeniedHttpResponse.status
	tagHeaders        = 2<<3 | 2 // of DeniedHttpResponse and OkHttpResponse
	tagBody           = 3<<3 | 2
	tagRemove         = 5<<3 | 2
	tagFirst          = 1<<3 | 2 // header of HeaderValueOption; a pair's key; a map's entry
	tagSecond         = 2<<3 | 2 // a pair's value
	tagString         = 3<<3 | 2 // Value.string_value
	tagNumber         = 2<<3 | 1 // Value.number_value
	tagAppendAction   = 3 << 3
	tagCode           = 1 << 3 // of Status and HttpStatus
	statusOK          = "\x0a\x00"
	removeToken       = "\x2a\x0dauthorization"
	removeCookie      = "\x2a\x06cookie"
	jsonHead, jsonEnd = `{"errors":["`, `"]}`
	jsonDetail        = `"],"detail":`
)

// denialHeaders are those that every denial carries.
var denialHeaders = string(appendHeader(appendHeader(nil,
	"content-type", "application/json"), "cache-control", "no-store"))

// appendResponse appends the CheckResponse of d to b. It allocates only when b must grow.
func appendResponse(b []byte, d *decision, o responseOptions) []byte {
	if d.allowed() {
		b = append(b, statusOK...)
		at := 0
		b, at = open(b, tagOK)
		b = appendAllow(b, d)
		b = shut(b, at)
	} else {
		b = appendDenial(b, d, o)
	}
	if d.metadata {
		at := 0
		b, at = open(b, tagMetadata)
		b = appendMetadata(b, d)
		b = shut(b, at)
	}
	return b
}

// appendAllow appends the fields of OkHttpResponse.
func appendAllow(b []byte, d *decision) []byte {
	cookie := d.upstreamCookie()
	if d.bearer != "" {
		b = appendHeader(b, "authorization", d.bearer)
	}
	if cookie == cookieReplace {
		b = appendHeader(b, "cookie", d.cookieValue)
	}
	if d.bearer == "" {
		b = append(b, removeToken...)
	}
	if cookie == cookieRemove {
		b = append(b, removeCookie...)
	}
	if d.component {
		b = append(b, removeComponents...)
	}
	for _, name := range d.remove {
		if removable(name) {
			b = appendText(b, tagRemove, name)
		}
	}
	return append(b, removeAlways...)
}

func appendDenial(b []byte, d *decision, o responseOptions) []byte {
	code, status := d.outcome()
	b = append(b, tagStatus, 2, tagCode, byte(code))
	tag := byte(tagDenied)
	if d.outage && !o.outageAsDenied {
		tag = tagError
	}
	b, at := open(b, tag)
	b = append(b, tagHTTPStatus, 3, tagCode)
	b = protowire.AppendVarint(b, uint64(status)) // two bytes: 400 to 599
	b = append(b, denialHeaders...)
	if d.clearCookie != "" {
		b = appendHeader(b, "set-cookie", d.clearCookie)
	}
	if temporary(status) {
		b = appendHeader(b, "retry-after", retryAfter)
	}
	b = append(b, tagBody)
	if d.detail == "" {
		b = protowire.AppendVarint(b, uint64(len(jsonHead)+len(d.reason)+len(jsonEnd)))
		b = append(append(append(b, jsonHead...), d.reason...), jsonEnd...)
	} else {
		b = protowire.AppendVarint(b, uint64(len(jsonHead)+len(d.reason)+len(jsonDetail)+len(d.detail)+1))
		b = append(append(append(append(b, jsonHead...), d.reason...), jsonDetail...), d.detail...)
		b = append(b, '}')
	}
	return shut(b, at)
}

// appendMetadata appends the fields of the Struct.
func appendMetadata(b []byte, d *decision) []byte {
	if d.who != nil {
		b = appendMember(b, "uid", d.who.UID)
		b = appendMember(b, "role", d.who.Role)
	}
	b = appendMember(b, "reason", d.reason)
	b = appendMember(b, "decision", d.id)

	const key = "snapshot"
	b = append(b, tagFirst, byte(2+len(key)+2+9))
	b = appendText(b, tagFirst, key)
	b = append(b, tagSecond, 9, tagNumber)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(d.snapshot)))
}

// appendMember appends a string member of a Struct, unless it is empty.
func appendMember(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	inner := sizeText(value)
	b = append(b, tagFirst)
	b = protowire.AppendVarint(b, uint64(sizeText(key)+1+protowire.SizeBytes(inner)))
	b = appendText(b, tagFirst, key)
	b = append(b, tagSecond)
	b = protowire.AppendVarint(b, uint64(inner))
	return appendText(b, tagString, value)
}

// appendHeader appends a HeaderValueOption as a field headers.
func appendHeader(b []byte, name, value string) []byte {
	inner := sizeText(name) + sizeText(value)
	b = append(b, tagHeaders)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(inner)+2))
	b = append(b, tagFirst)
	b = protowire.AppendVarint(b, uint64(inner))
	b = appendText(b, tagFirst, name)
	b = appendText(b, tagSecond, value)
	return append(b, tagAppendAction, overwrite)
}

func appendText(b []byte, tag byte, s string) []byte {
	b = append(b, tag)
	b = protowire.AppendVarint(b, uint64(len(s)))
	return append(b, s...)
}

// sizeText is the size of the field that appendText appends.
func sizeText(s string) int { return 1 + protowire.SizeBytes(len(s)) }

// open starts a length-delimited field of unknown length; shut, given the position that
// open returned, ends it.
func open(b []byte, tag byte) ([]byte, int) {
	b = append(b, tag, 0)
	return b, len(b)
}

func shut(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[1:size]...) // room
	copy(b[at+size-1:], b[at:at+n])
	copy(b[at-1:], length[:size])
	return b
}
