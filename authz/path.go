package authz

import (
	"strings"
	"unicode/utf8"
)

// maxPath is how many bytes of path are looked at; longer ones are refused.
const maxPath = 8 << 10

// canonical brings a request target (origin-form: "/path?query") to the one string that
// every rule sees (D5): without the query, without the slashes at its ends, with unreserved
// characters decoded and all other escapes in upper-case hex. The short forms of Barong's own API get their long one,
// see fold.
//
// It refuses (ok is false) whatever upstreams are known to read in more than one way,
// and guesses nothing:
//
//   - targets that do not start with a single slash: absolute-form, "*", none
//   - an empty path, and one above maxPath bytes, as sent or in canonical form
//   - '#', a blank, a control byte or DEL, in the query as well: no request target has them
//     (RFC 9112 §3.2), and the rest after a '#' is path to one reader and nothing to another
//   - in the path any other byte that RFC 3986 does not let it hold as it is, and ';': quotes,
//     brackets, '\', '^', '|', non-ASCII; '/', '\', ';', a control byte and DEL also escaped
//   - "//", and "." or ".." as a segment, however they are escaped
//   - a '%' without two hex digits, and "%25" followed by two (double encoding)
//   - escaped bytes that are not UTF-8 (an overlong '/' is one)
//   - escaped letters that are another case of an ASCII one (İ, ı, ſ and the Kelvin sign): upstreams
//     that fold case serve "admın" as "admin", of which DROP rows know the ASCII letters only
//   - api/v2/barong/barong and api/v2/barong/auth, and all below: a proxy that rewrites
//     prefixes would fold them a second time
//
// A query keeps the characters that browsers and curl send although RFC 3986 has them escaped
// (quotes, brackets, '|', non-ASCII): no rule looks at a query, and no reader ends it there.
//
// The path aliases target where it can; otherwise it lies in the scratch memory, which is
// given back longer. The time is linear.
func canonical(target string, scratch []byte) (path, query string, rest []byte, ok bool) {
	if target == "" || target[0] != '/' {
		return "", "", scratch, false
	}
	i, asSent := 1, true
scan:
	for ; i < len(target) && i <= maxPath; i++ {
		c := target[i]
		if plain(c) {
			continue
		}
		switch {
		case c == '/':
		case c == '?':
			if query = target[i+1:]; !soundQuery(query) {
				return "", "", scratch, false
			}
			break scan
		case c == '%':
			asSent = false
		default:
			return "", "", scratch, false
		}
	}
	path = target[1:i]
	if i > maxPath {
		return "", "", scratch, false
	}
	if !asSent {
		start := len(scratch)
		if scratch, ok = appendDecoded(scratch, path); !ok || !sound(scratch[start:]) {
			return "", "", scratch, false
		}
		path = text(scratch[start:])
	}
	if path, ok = segments(path); !ok {
		return "", "", scratch, false
	}
	path, scratch = longForm(path, scratch)
	return path, query, scratch, len(path) < maxPath
}

// Bits of the ASCII characters that a path may hold as they are, apart from '/' and '%'
// (RFC 3986 pchar without ';'): lo is 0 to 63, hi is 64 to 127.
const (
	digits   uint64 = 0x3ff << '0'
	letters  uint64 = 0x3ffffff<<('A'-64) | 0x3ffffff<<('a'-64)
	pchar1   uint64 = 1<<'-' | 1<<'.' | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'('
	pchar2   uint64 = 1<<')' | 1<<'*' | 1<<'+' | 1<<',' | 1<<'=' | 1<<':'
	plainLow        = digits | pchar1 | pchar2
	plainHi         = letters | 1<<('_'-64) | 1<<('~'-64) | 1<<('@'-64)

	unreservedLow = digits | 1<<'-' | 1<<'.'
	unreservedHi  = letters | 1<<('_'-64) | 1<<('~'-64)
)

func plain(c byte) bool {
	if c < 64 {
		return plainLow>>c&1 != 0
	}
	return c < 128 && plainHi>>(c-64)&1 != 0
}

func unreserved(c byte) bool {
	if c < 64 {
		return unreservedLow>>c&1 != 0
	}
	return c < 128 && unreservedHi>>(c-64)&1 != 0
}

func control(c byte) bool { return c < 0x20 || c == 0x7f }

// soundQuery reports whether nothing in a query could be taken for its end.
func soundQuery(q string) bool {
	for i := 0; i < len(q); i++ {
		if c := q[i]; c <= ' ' || c == '#' || c == 0x7f {
			return false
		}
	}
	return true
}

// appendDecoded appends p, of plain characters, slashes and escapes, with unreserved
// characters decoded once and every other escape in upper case. It is false for an escape that
// is not one and for an escaped slash, backslash, semicolon or control byte: some upstreams decode
// first and cut parameters (`;…`) out of each segment then.
func appendDecoded(b []byte, p string) ([]byte, bool) {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c != '%' {
			b = append(b, c)
			continue
		}
		c, ok := escape(p[i:])
		if !ok || c == '/' || c == '\\' || c == ';' || control(c) {
			return b, false
		}
		i += 2
		if unreserved(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b, true
}

// sound reports of a path from appendDecoded whether its escapes are UTF-8, none of them would
// become another escape when decoded, and none another case of an ASCII letter.
func sound(b []byte) bool {
	s := text(b)
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		var run [utf8.UTFMax]byte // the escaped non-ASCII bytes from here
		n := 0
		for j := i; n < len(run); j += 3 {
			v, ok := escape(s[j:])
			if !ok || v < utf8.RuneSelf {
				break
			}
			run[n] = v
			n++
		}
		if n > 0 {
			r, size := utf8.DecodeRune(run[:n])
			if r == utf8.RuneError && size == 1 || foldsToASCII(r) {
				return false
			}
			i += 3*size - 1
			continue
		}
		if v, _ := escape(s[i:]); v == '%' && i+5 <= len(s) && isHex(s[i+3]) && isHex(s[i+4]) {
			return false
		}
		i += 2
	}
	return true
}

// foldsToASCII reports whether r, beyond ASCII, has an ASCII letter as its upper or lower case.
func foldsToASCII(r rune) bool {
	switch r {
	case 'İ', 'ı', 'ſ', '\u212a': // the Kelvin sign
		return true
	}
	return false
}

// escape reads the %XX that s may start with.
func escape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' || !isHex(s[1]) || !isHex(s[2]) {
		return 0, false
	}
	return nibble(s[1])<<4 | nibble(s[2]), true
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// segments drops one trailing slash. It is false for a path without segments, and when
// one is empty or a dot segment.
func segments(p string) (string, bool) {
	for rest := p; ; {
		segment, after, more := cutByte(rest, '/')
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
		if !more || after == "" {
			p = p[:len(p)-(len(rest)-len(segment))]
			return p, !shortAgain(p)
		}
		rest = after
	}
}

// ownAPI is where Barong's own API lives.
const ownAPI = "api/v2/barong/"

// shortAgain reports whether longForm would change a path that it has made.
func shortAgain(p string) bool {
	rest, own := strings.CutPrefix(p, ownAPI)
	if !own {
		return false
	}
	first, _, _ := cutByte(rest, '/')
	return first == "barong" || first == "auth"
}

// longForm gives api/v2/<group> and api/v2/auth/<group> their long form, api/v2/barong/<group>,
// where group is one of the five of Barong's API (D5). It leaves all other paths alone.
func longForm(p string, scratch []byte) (string, []byte) {
	rest, ok := strings.CutPrefix(p, "api/v2/")
	if !ok {
		return p, scratch
	}
	rest = strings.TrimPrefix(rest, "auth/")
	group, _, _ := cutByte(rest, '/')
	switch group {
	case "identity", "resource", "admin", "management", "public":
	default:
		return p, scratch
	}
	start := len(scratch)
	scratch = append(append(scratch, ownAPI...), rest...)
	return text(scratch[start:]), scratch
}

// withoutSuffix is a canonical path without the last dot suffix of its last segment, for
// rules that compare whole paths (FX-5): "a/b.json" gives "a/b". A segment that is
// nothing but a suffix stays.
func withoutSuffix(p string) string {
	dot := strings.LastIndexByte(p, '.')
	if dot <= 0 || dot == len(p)-1 || p[dot-1] == '/' || strings.IndexByte(p[dot:], '/') >= 0 {
		return p
	}
	return p[:dot]
}
