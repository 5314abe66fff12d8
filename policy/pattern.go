package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrEmptyPattern says that a path pattern has nothing in it but slashes.
var ErrEmptyPattern = errors.New("path is empty")

// Path matching (option path_matching). Segment is design D5's; Prefix is the reference's
// plain string prefix.
const (
	MatchSegment = "segment"
	MatchPrefix  = "prefix"
)

// CanonicalPattern brings the path of a permission or route row into the form in which
// request paths are compared: no slash at either end, single slashes, unreserved characters
// decoded, other bytes percent-encoded in upper-case hex. One `*` at the end, which means a raw
// prefix, stays, and with it a slash before it. It does not fold (see Fold).
//
// Signs that no canonical request path can hold are an error: a dot segment, `;`, `\`, `?`, `#`,
// white space, control bytes, an encoded slash, backslash, NUL or percent sign, a star
// elsewhere than at the end. A path that has nothing left gives ErrEmptyPattern. A canonical
// argument is returned as it is, without allocating (FX-2, FX-3, FX-55).
func CanonicalPattern(path string) (string, error) {
	text, star := strings.CutSuffix(strings.TrimSpace(path), "*")
	if !plain(text) {
		var err error
		if text, err = rewrite(text); err != nil {
			return "", err
		}
	}
	text = strings.TrimPrefix(text, "/")
	if !star {
		text = strings.TrimSuffix(text, "/")
		if text == "" {
			return "", ErrEmptyPattern
		}
	}
	for rest := text; rest != ""; {
		segment, after, more := strings.Cut(rest, "/")
		// A segment that a star cuts short is not whole.
		if (segment == "." || segment == "..") && (more || !star) {
			return "", fmt.Errorf("path has the dot segment %q", segment)
		}
		rest = after
	}
	if !star {
		return text, nil
	}
	// The common case is that nothing was changed but a leading slash, if that.
	if whole := strings.TrimPrefix(strings.TrimSpace(path), "/"); len(whole) == len(text)+1 &&
		whole[:len(text)] == text {
		return whole, nil
	}
	return text + "*", nil
}

// plain says whether nothing in the text needs rewriting: only characters that stand for
// themselves and single slashes.
func plain(text string) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '/':
			if i > 0 && text[i-1] == '/' {
				return false
			}
		case !literal(c):
			return false
		}
	}
	return true
}

// literal says whether a byte stands for itself in a path: RFC 3986 pchar without the
// semicolon, which design D5 refuses, and the star, which is ours.
func literal(c byte) bool {
	return word(c) || strings.IndexByte(".~!$&'()+,=:@", c) >= 0
}

// word is the class of bytes that continue a name: [A-Za-z0-9_-] (design D5).
func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '-'
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool { return word(c) || c == '.' || c == '~' }

func rewrite(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("path is not UTF-8")
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '/':
			if len(b) == 0 || b[len(b)-1] != '/' {
				b = append(b, c)
			}
		case literal(c):
			b = append(b, c)
		case c >= utf8.RuneSelf:
			b = append(b, '%', hex[c>>4], hex[c&15])
		case c == '*':
			return "", errors.New("path has a star before its end")
		case c == '%':
			if i+2 >= len(text) || unhex(text[i+1]) < 0 || unhex(text[i+2]) < 0 {
				return "", errors.New("path has a percent sign without two hex digits")
			}
			d := byte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
			switch {
			case unreserved(d):
				b = append(b, d)
			case d < ' ', d == 0x7f, d == '/', d == '\\', d == '%', d == ';':
				return "", fmt.Errorf("path has %%%02X, which no request path may have", d)
			default:
				b = append(b, '%', hex[d>>4], hex[d&15])
			}
		default:
			return "", fmt.Errorf("path has %q, which no request path may have", c)
		}
	}
	return string(b), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

const (
	root = "api/v2/"
	own  = "api/v2/barong/"
)

// groups are the API groups of this service, which are reachable under three prefixes.
func groups() [5]string {
	return [5]string{"identity", "resource", "admin", "management", "public"}
}

func ours(segment string) bool {
	switch segment {
	case "identity", "resource", "admin", "management", "public":
		return true
	}
	return false
}

// Fold turns api/v2/<group>… and api/v2/auth/<group>… into api/v2/barong/<group>…, where group
// is one of identity, resource, admin, management and public as a whole segment (design D5).
// Any other path comes back as it is, with false. The path must be canonical. Only a path that
// is folded costs an allocation. Folding twice does nothing more.
func Fold(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, root)
	if !ok {
		return path, false
	}
	rest = strings.TrimPrefix(rest, "auth/")
	group := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		group = rest[:i]
	}
	if !ours(group) {
		return path, false
	}
	return own + rest, true
}

// bound is the continuation after a pattern in a path with which the two match. The order matters:
// a continuation that satisfies a stricter bound satisfies the looser ones.
type bound uint8

const (
	anything  bound = iota // raw prefix
	nonWord                // the end, or a byte outside [A-Za-z0-9_-]
	slash                  // the end, or a slash
	numBounds = 3
)

// bounds says how strict a bound each byte satisfies. It is never written to.
var bounds = func() (b [256]bound) {
	for c := range b {
		if !word(byte(c)) {
			b[c] = nonWord
		}
	}
	b['/'] = slash
	return b
}()

// follows says how strict a bound the place after n bytes of the path satisfies.
func follows(path string, n int) bound {
	if n == len(path) {
		return slash
	}
	return bounds[path[n]]
}

// A spelling is a text that paths are compared with, and the continuation that it needs.
type spelling struct {
	text  string
	bound bound
}

func (s spelling) matches(path string) bool {
	return strings.HasPrefix(path, s.text) && follows(path, len(s.text)) >= s.bound
}

// spell is the meaning of a canonical pattern: rows that deny or audit have a wider bound than
// rows that allow.
func spell(pattern, matching string, deny bool) spelling {
	text, star := strings.CutSuffix(pattern, "*")
	switch {
	case star || matching == MatchPrefix:
		return spelling{text, anything}
	case deny:
		return spelling{text, nonWord}
	}
	return spelling{text, slash}
}

// spellings appends all texts by which a row is found, given that request paths are folded:
// its own, its folded one, and, when a row that denies or audits covers a prefix that folding
// takes away (api/v2/auth, api/v2/a*), the groups that were under it.
func spellings(to []spelling, s spelling, deny bool) []spelling {
	to = append(to, s)
	if folded, ok := Fold(s.text); ok {
		return append(to, spelling{folded, s.bound})
	}
	// Longer than the longest prefix that folding takes away.
	if !deny || len(s.text) >= len(root)+len("auth/management") {
		return to
	}
	for _, g := range groups() {
		if (s.matches(root+g) || s.matches(root+"auth/"+g)) && !s.matches(own+g) {
			to = append(to, spelling{own + g, slash})
		}
	}
	return to
}
