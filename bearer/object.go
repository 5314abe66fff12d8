package bearer

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxMembers bounds the members of one object. Tokens have up to 15, keys up to 7.
const maxMembers = 48

// An object is the members of a JSON object; names and values are parts of its text.
type object struct {
	members [maxMembers]struct{ name, value string }
	n       int
}

// read takes a JSON object apart. It refuses a name that is there twice, since two readers would take
// different values (RFC 7515 §4, RFC 7519 §4), and a name with an escape. It allocates nothing. The
// bytes and the text are the same.
func (o *object) read(raw []byte, text string) bool {
	o.n = 0
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return false
	}
	at := space(text, 0)
	if text[at] != '{' {
		return false
	}
	for at = space(text, at+1); text[at] != '}'; at = space(text, at) {
		if text[at] == ',' {
			at = space(text, at+1)
		}
		end := after(text, at)
		name := text[at+1 : end-1]
		at = space(text, space(text, end)+1) // the colon
		end = after(text, at)
		if o.n == maxMembers || strings.IndexByte(name, '\\') >= 0 || o.get(name) != "" {
			return false
		}
		o.members[o.n].name, o.members[o.n].value = name, text[at:end]
		o.n++
		at = end
	}
	return true
}

// get is the JSON text of a member's value, "" if it is not there.
func (o *object) get(name string) string {
	for i := range o.n {
		if o.members[i].name == name {
			return o.members[i].value
		}
	}
	return ""
}

// text is the value of a member that is a JSON string, "" for anything else.
func (o *object) text(name string) string {
	s, _ := unquote(o.get(name))
	return s
}

// unquote is the value of a JSON string. Only one with escapes costs a copy.
func unquote(value string) (string, bool) {
	if value == "" || value[0] != '"' {
		return "", false
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	var s string
	err := json.Unmarshal([]byte(value), &s)
	return s, err == nil
}

// seconds is a member that is a NumericDate (RFC 7519 §2), cut to whole seconds.
func (o *object) seconds(name string) (int64, bool) {
	value := o.get(name)
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > -1<<53 && n < 1<<53 {
		return n, true
	}
	f, err := strconv.ParseFloat(value, 64)
	if value == "" || err != nil || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(math.Floor(f)), true
}

// holds reports whether a member is a string, or a list with one, of this value (RFC 7519 §4.1.3).
func (o *object) holds(name, want string) bool {
	value := o.get(name)
	if value == "" || value[0] != '[' {
		s, ok := unquote(value)
		return ok && s == want
	}
	for at := space(value, 1); value[at] != ']'; at = space(value, at) {
		if value[at] == ',' {
			at = space(value, at+1)
		}
		end := after(value, at)
		if s, ok := unquote(value[at:end]); ok && s == want {
			return true
		}
		at = end
	}
	return false
}

// space is the first place from here on that is no white space.
func space(text string, at int) int {
	for text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r' {
		if at++; at == len(text) {
			return at
		}
	}
	return at
}

// after is the place after the value that begins here, in a valid JSON text.
func after(text string, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
			if depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
	}
	return at
}
