package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"barong/internal/param"
)

// Limits of the data of one activity (FX-36).
const (
	maxData    = 8 << 10 // bytes of the whole JSON object
	maxPath    = 1024    // bytes of the path in it
	maxText    = 255     // bytes of one value
	maxName    = 64      // bytes of a member's name
	maxMembers = 96      // members kept apart, the rest is counted as truncated
	maxValues  = 8       // values of one member
	// truncation marks a cut.
	truncation = "…"
)

// Params is the content of a request. Nothing of it is kept beyond the call.
type Params struct {
	Query       string // raw, after the question mark
	ContentType string
	Body        []byte // may be cut anywhere
	Cut         bool   // the body goes on beyond Body
	UserAgent   string
}

// Mask makes the data of an activity: a JSON object of at most 8 KiB that holds
//
//	path       the canonical path
//	<name>     values of members that are safe to keep (uid, state, role, …): a scalar, or a
//	           list when the member came more than once or was a list
//	members    names of all other members, sorted; their values are never kept (FX-34)
//	note       "Detected suspicious browser" when the User-Agent is no known browser (AZ-167)
//	truncated, malformed, unparsed, cut  true when something was too much, broken, of a
//	           content type that is not read, or when the body goes on beyond the given part
//	body_bytes, body_sha256  length and hash of the given part of such a body
//	<extra>    pairs of name and value given by the caller, such as kid; none for empty values
//
// and the uid that the request is about: the first non-empty of uid and user_uid (AZ-165), ""
// for none and for a body that could not be read whole. Each is the one that handlers act on
// (package param): the last of equal members, and the body's before the query's. A member whose
// name is one of the above is written as "param.<name>". Query, JSON, form and multipart bodies
// are read for every method (FX-36); a body without a content type is read by its looks, since
// gateways drop the header, and a form that looks like JSON both ways. It never fails: whatever
// is sent, a row is written (FX-33).
func Mask(p Params, path string, extra ...string) (data, targetUID string) {
	m := members{exempt: keyAndCodeAreSafe(path)}
	m.form(p.Query)
	m.body(p.ContentType, p.Body)
	query, err := param.Form(p.Query)
	m.malformed = m.malformed || err != nil

	o := object{b: append(make([]byte, 0, 256), '{')}
	o.text("path", path, maxPath)
	for i := 0; i+1 < len(extra); i += 2 {
		if extra[i+1] != "" {
			o.text(extra[i], extra[i+1], maxText)
		}
	}
	if !KnownBrowser(p.UserAgent) {
		o.text("note", "Detected suspicious browser", maxText)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"malformed", m.malformed}, {"unparsed", m.unparsed}, {"cut", p.Cut}} {
		if flag.set {
			o.raw(flag.name, "true")
		}
	}
	if unread := m.malformed || m.unparsed || p.Cut; unread && len(p.Body) > 0 {
		sum := sha256.Sum256(p.Body)
		o.raw("body_bytes", strconv.Itoa(len(p.Body)))
		o.text("body_sha256", hex.EncodeToString(sum[:]), maxText)
	}
	reserved := []string{"path", "note", "members", "folded", "truncated", "malformed", "unparsed",
		"cut", "body_bytes", "body_sha256"}
	for _, kept := range m.kept {
		name := kept.name
		if slices.Contains(reserved, name) || slices.Contains(extra, name) {
			name = "param." + name
		}
		for len(kept.values) > 0 && !o.raw(name, kept.json()) {
			m.truncated = true
			kept.values = kept.values[:len(kept.values)-1]
		}
	}
	m.truncated = !o.names(m.names) || m.truncated
	if m.truncated {
		o.raw("truncated", "true")
	}
	if p.Cut || m.unread {
		return string(append(o.b, '}')), ""
	}
	return string(append(o.b, '}')), target(m.tree, query)
}

// target is the uid that a handler finds in the body, else the query. A name in another case
// counts where there is none in the usual one: some upstreams take it.
func target(body, query map[string]any) string {
	names := [...]string{"uid", "user_uid"}
	text := func(v any) string {
		s, _ := param.Text(v)
		return cut(strings.TrimSpace(s), maxText)
	}
	for _, name := range names {
		v, sent := body[name]
		if !sent {
			v = query[name]
		}
		if uid := text(v); uid != "" {
			return uid
		}
	}
	for _, name := range names {
		for _, tree := range []map[string]any{body, query} {
			for _, other := range slices.Sorted(maps.Keys(tree)) {
				if uid := text(tree[other]); uid != "" && strings.EqualFold(other, name) {
					return uid
				}
			}
		}
	}
	return ""
}

// keptNames are members whose values describe the action and its target, and are no secret. Key
// and code are left out unless the path is about labels or restrictions, where they name a label
// and a status; so is value.
func keptName(name string, exempt bool) bool {
	switch name {
	case "id", "uid", "user_uid", "owner_uid", "service_account_uid", "kid", "state", "role",
		"level", "scope", "category", "topic", "action", "verb", "path",
		"page", "limit", "ordering", "order_by", "from", "to", "range", "field", "extended",
		"currency", "currency_id", "market", "market_id", "member_uid", "enabled", "reason":
		return true
	case "key", "code", "value":
		return exempt
	}
	return false
}

// masked reports whether a name holds a word that no kept name may contain (FX-34); it guards
// the list above.
func masked(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{
		"password", "secret", "token", "otp", "totp", "code", "key", "signature",
		"authorization", "csrf", "number", "dob", "address",
	} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// keyAndCodeAreSafe reports whether the path is about labels or restrictions.
func keyAndCodeAreSafe(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "labels" || segment == "restrictions" {
			return true
		}
	}
	return false
}

// member is one kept member and its values as JSON.
type member struct {
	name   string
	values []string
}

func (m *member) json() string {
	if len(m.values) == 1 {
		return m.values[0]
	}
	return "[" + strings.Join(m.values, ",") + "]"
}

// members collects the members of a request, from all its places.
type members struct {
	exempt                         bool
	kept                           []*member
	names                          []string // of the others
	truncated, malformed, unparsed bool

	tree   map[string]any // of the body, as handlers read it
	unread bool           // there is a body of which no handler makes a tree
}

// add takes a member; value is JSON, "" when it is no scalar. Case is ignored, as some
// upstreams do.
func (m *members) add(name, value string) {
	if !plainName(name) {
		m.name(name)
		return
	}
	lower := strings.ToLower(name)
	label := m.exempt && (lower == "key" || lower == "code")
	if value == "" || !keptName(lower, m.exempt) || masked(lower) && !label {
		m.name(name)
		return
	}
	for _, kept := range m.kept {
		if kept.name != name {
			continue
		}
		if slices.Contains(kept.values, value) {
			return
		}
		if len(kept.values) == maxValues {
			m.truncated = true
			return
		}
		kept.values = append(kept.values, value)
		return
	}
	if len(m.kept) == maxMembers {
		m.truncated = true
		return
	}
	fresh := &member{name: name, values: []string{value}}
	if lower == "uid" || lower == "user_uid" { // first, where there is always room
		m.kept = slices.Insert(m.kept, 0, fresh)
		return
	}
	m.kept = append(m.kept, fresh)
}

// name notes that a member was there. A name that looks like no name may itself be a secret (a
// body read the wrong way), so only its presence is noted.
func (m *members) name(name string) {
	if !plainName(name) {
		name = "?"
	}
	at, found := slices.BinarySearch(m.names, name)
	switch {
	case found:
	case len(m.names) == maxMembers:
		m.truncated = true
	default:
		m.names = slices.Insert(m.names, at, name)
	}
}

func plainName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '_' || c == '-' || c == '.' || c == '[' || c == ']') {
			return false
		}
	}
	return true
}

// form reads name=value pairs as browsers write them.
func (m *members) form(text string) {
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value = unescape(value)
		m.add(unescape(name), quote(value))
	}
}

// unescape decodes as much as can be decoded and leaves the rest as it is.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// body reads a body by its content type.
func (m *members) body(contentType string, body []byte) {
	if len(body) == 0 {
		return
	}
	media, args, err := mime.ParseMediaType(contentType)
	if err != nil { // none, but lenient readers may take it for one
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	text := strings.TrimLeft(string(body), " \t\r\n")
	looksJSON := strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"),
		media == "" && looksJSON:
		m.tree, err = param.JSON(body)
		m.json(text)
	case media == "" || media == "application/x-www-form-urlencoded":
		m.tree, err = param.Form(string(body))
		m.form(string(body))
		if looksJSON {
			m.json(text)
		}
	case media == "multipart/form-data":
		err = m.multipart(body, args["boundary"])
	default:
		m.unparsed, m.unread = true, true
		return
	}
	if err != nil {
		m.malformed, m.unread = true, true
	}
}

// multipart reads the values of a form, and the names of its files.
func (m *members) multipart(body []byte, boundary string) error {
	form, err := multipart.NewReader(bytes.NewReader(body), boundary).ReadForm(int64(len(body)))
	if err != nil {
		return err
	}
	defer form.RemoveAll() // nothing: a body this small stays in memory
	m.tree = param.Multipart(form)
	for _, name := range slices.Sorted(maps.Keys(form.Value)) {
		for _, value := range form.Value[name] {
			m.add(name, quote(value))
		}
	}
	for name := range form.File {
		m.name(name)
	}
	return nil
}

// json reads the members of an object one by one, so that a body cut in the middle still gives
// those before the cut.
func (m *members) json(text string) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		m.malformed = true
		return
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			m.malformed = true
			return
		}
		text, _ := name.(string)
		var value any
		if err := dec.Decode(&value); err != nil {
			m.name(text)
			m.malformed = true
			return
		}
		m.value(text, value)
	}
	if _, err := dec.Token(); err != nil {
		m.malformed = true
		return
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		m.malformed = true
	}
}

func (m *members) value(name string, v any) {
	switch v := v.(type) {
	case string:
		m.add(name, quote(v))
	case json.Number:
		m.add(name, quoteNumber(v))
	case bool:
		m.add(name, strconv.FormatBool(v))
	case nil:
		m.add(name, "null")
	case []any:
		for _, item := range v {
			switch item := item.(type) {
			case []any, map[string]any:
				m.add(name, "")
			default:
				m.value(name, item)
			}
		}
		if len(v) == 0 {
			m.name(name)
		}
	default: // an object
		m.add(name, "")
	}
}

// quoteNumber keeps short numbers as they are.
func quoteNumber(n json.Number) string {
	if len(n) > 32 {
		return quote(n.String())
	}
	return n.String()
}

// quote makes a JSON string of at most maxText bytes of s.
func quote(s string) string {
	return encode(cut(s, maxText))
}

// encode makes a JSON string that needs no more room than it must: < > & stay as they are.
func encode(s string) string {
	if plainText(s) {
		return `"` + s + `"`
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always has an encoding, and a Builder takes all
	return strings.TrimSuffix(b.String(), "\n")
}

func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// cut shortens s to at most n bytes of valid UTF-8 without NUL, with a mark at the end.
func cut(s string, n int) string {
	short := len(s) > n
	if short {
		s = s[:n-len(truncation)]
		for len(s) > 0 { // not in the middle of a character
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	s = clean(s)
	if short {
		s += truncation
	}
	return s
}

// clean removes NUL and broken UTF-8, which some databases refuse in text.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "?")
	}
	return s
}

// object builds a JSON object within maxData, leaving room for its end.
type object struct{ b []byte }

const objectEnd = `,"truncated":true}`

func (o *object) text(name, value string, most int) bool {
	return o.raw(name, encode(cut(value, most)))
}

func (o *object) raw(name, value string) bool {
	quoted := encode(name)
	if len(o.b)+len(quoted)+len(value)+2+len(objectEnd) > maxData && name != "truncated" {
		return false
	}
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, quoted...)
	o.b = append(o.b, ':')
	o.b = append(o.b, value...)
	return true
}

// names writes as many of them as fit.
func (o *object) names(all []string) bool {
	const around = len(`,"members":[]`)
	if len(all) == 0 {
		return true
	}
	fit, size := 0, len(o.b)+around+len(objectEnd)
	for fit < len(all) && size+len(all[fit])+3 <= maxData { // plain names need no escaping
		size += len(all[fit]) + 3
		fit++
	}
	b, _ := json.Marshal(all[:fit])
	return o.raw("members", string(b)) && fit == len(all)
}
