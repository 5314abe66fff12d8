package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Faults of the text of a token, in the words that a MailError has.
const (
	notThreeParts = "segments"
	notEncoded    = "encoding"
	notAlgorithm  = "algorithm"
	notVerified   = "raised"
)

// A compact is a token in compact serialization (RFC 7515 §3.1) that was taken apart. Whether its
// signature is right is not known yet.
type compact struct {
	header, payload map[string]json.RawMessage
	signed          string // the text under the signature
	signature       []byte
}

// parseCompact takes a token of at most so many bytes apart. A token has one spelling: three parts
// of the base64url alphabet without padding, white space or stray bits, and JSON objects that
// name each member once. Every kind of token comes in by here, so that none can be accepted
// again in other letters. word names the fault, "" for none.
func parseCompact(text string, most int) (t compact, word string) {
	if strings.Count(text, ".") != 2 {
		return t, notThreeParts
	}
	if len(text) > most {
		return t, notEncoded
	}
	last := strings.LastIndexByte(text, '.')
	t.signed = text[:last]
	header, payload, _ := strings.Cut(t.signed, ".")
	var encoded bool
	if t.signature, encoded = decodePart(text[last+1:]); !encoded {
		return compact{}, notEncoded
	}
	if t.header, encoded = decodeObject(header); !encoded {
		return compact{}, notEncoded
	}
	if t.payload, encoded = decodeObject(payload); !encoded {
		return compact{}, notEncoded
	}
	return t, ""
}

// open returns the members of a token's payload if it was signed by the key that its kid
// names, for this use and in any of the key's states, with that key's own algorithm; else the
// word for the fault.
func (s *keySet) open(token, use string, most int) (payload map[string]json.RawMessage, word string) {
	t, word := parseCompact(token, most)
	if word != "" {
		return nil, word
	}
	algorithm := text(t.header["alg"])
	switch algorithm {
	case RS256, ES256, EdDSA:
	default:
		return nil, notAlgorithm
	}
	key := s.byKid[text(t.header["kid"])]
	if key == nil || key.Use != use || t.header["crit"] != nil { // RFC 7515 §4.1.11: nothing is understood
		return nil, notVerified
	}
	if algorithm != key.Algorithm {
		return nil, notAlgorithm
	}
	if key.method.Verify(t.signed, t.signature, key.public) != nil {
		return nil, notVerified
	}
	return t.payload, ""
}

// decodePart reads base64url without padding (RFC 7515 §2) in its one spelling: the library
// alone skips line ends, in strict mode too.
func decodePart(part string) ([]byte, bool) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return raw, err == nil
}

// decodeObject reads a part that is a JSON object.
func decodeObject(part string) (map[string]json.RawMessage, bool) {
	raw, ok := decodePart(part)
	if !ok {
		return nil, false
	}
	return object(raw)
}

// object reads one JSON object in UTF-8, in which and below which no name is there twice: of two, each
// reader would take another (RFC 7515 §4, RFC 7519 §4).
func object(raw []byte) (members map[string]json.RawMessage, ok bool) {
	if !utf8.Valid(raw) || json.Unmarshal(raw, &members) != nil || members == nil || !namesOnce(raw) {
		return nil, false
	}
	return members, true
}

// namesOnce reports whether no object in a valid JSON text has two members of one name. It reads names
// alone, and copies no value: a value may be a file.
func namesOnce(raw []byte) bool {
	var open []map[string]bool // the names of each object around this place; nil for a list
	name := false              // a name comes next
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{':
			open, name = append(open, map[string]bool{}), true
		case '[':
			open, name = append(open, nil), false
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			name = len(open) > 0 && open[len(open)-1] != nil
		case '"':
			end := endOfString(raw, i)
			if name {
				one, names := text(raw[i:end]), open[len(open)-1]
				if names[one] {
					return false
				}
				names[one], name = true, false
			}
			i = end - 1
		}
	}
	return true
}

// endOfString is the place after the string that begins at a place of a valid JSON text.
func endOfString(raw []byte, begin int) int {
	for end := begin + 1; ; end++ {
		end += bytes.IndexByte(raw[end:], '"')
		escapes := 0
		for raw[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 { // of "\\\"" the last is escaped
			return end + 1
		}
	}
}

// member is the value of a member, and whether it is of the type wanted; null and missing members
// are its zero value.
func member[T any](of map[string]json.RawMessage, name string) (v T, ok bool) {
	raw := of[name]
	return v, raw == nil || json.Unmarshal(raw, &v) == nil
}

// text is a JSON string's value, "" for anything else.
func text(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// texts is the value of aud (RFC 7519 §4.1.3): a string or a list of strings; nil for
// anything else.
func texts(raw json.RawMessage) (list []string) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// NumericDate is the time of a claim such as exp (RFC 7519 §2), cut to whole seconds; false for
// anything that is no number, or beyond any date.
func NumericDate(raw json.RawMessage) (time.Time, bool) {
	var n *float64
	if json.Unmarshal(raw, &n) != nil || n == nil || math.Abs(*n) >= 1<<53 {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(*n)), 0).UTC(), true
}
