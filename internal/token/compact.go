package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
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

// namesOnce reports whether no object in a valid JSON text has two members of one name.
func namesOnce(raw []byte) bool {
	type level struct {
		names map[string]bool // nil in a list
		name  bool            // a name comes next
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	levels := []level{{}}
	for {
		t, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		in := &levels[len(levels)-1]
		if name, isText := t.(string); isText && in.name {
			if in.names[name] {
				return false
			}
			in.names[name], in.name = true, false
			continue
		}
		switch t {
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
			continue
		}
		in.name = in.names != nil // after this value
		switch t {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}, name: true})
		case json.Delim('['):
			levels = append(levels, level{})
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
