package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"barong/internal/rest/resttest"
)

// HostileValues sends values that nobody should send in each declared parameter of an operation, in
// the path, the query and bodies of each kind, while every other parameter is plausible; and bodies
// that are none. The client holds the answers to the document, so that every refusal is a declared one;
// none may be a failure of ours.
func HostileValues(t *testing.T, c *resttest.Client, op resttest.Operation, plausible map[string]any) {
	t.Helper()
	h := attack{t, c, op, plausible}
	for _, p := range op.Params {
		h.parameter(p)
	}
	h.bodies()
}

// Plausible is a value that a parameter takes, by its name and its type.
func Plausible(p resttest.Param) any {
	switch {
	case strings.HasSuffix(p.Name, "password"):
		return Password
	case p.Name == "algorithm":
		return "HS256"
	case p.Name == "scope":
		return "trade"
	case p.Name == "topic":
		return "all"
	case p.Name == "country":
		return "MLT"
	case p.Name == "data", p.Name == "metadata":
		return `{"a":1}`
	case len(p.Schema.Enum) > 0:
		return p.Schema.Enum[0]
	case p.Schema.Default != nil:
		return p.Schema.Default
	case p.Schema.Format == "date":
		return "1990-01-01"
	case p.Schema.Type.Is("integer"):
		return int64(1)
	case p.Schema.Type.Is("boolean"):
		return false
	case p.Schema.Type.Is("array"):
		return []string{"a-part"}
	}
	return "a-" + strings.ReplaceAll(p.Name, "_", "-")
}

// attack is on one operation; values are the plausible ones of its parameters.
type attack struct {
	t      *testing.T
	c      *resttest.Client
	op     resttest.Operation
	values map[string]any
}

const big = 100 << 10

// texts are hostile ones; those that URLs and headers cannot hold as they are get escaped there.
func texts() map[string]string {
	return map[string]string{
		"empty": "", "blank": " \t\n", "NUL": "a\x00b", "invalid UTF-8": "a\xff\xfeb", "half a letter": "\xd0",
		"a surrogate": "\xed\xa0\x80", "long": strings.Repeat("a", big), "long and wide": strings.Repeat("ї", big/2),
		"control bytes": "\x01\x1b[2J\x7f", "turned around": "\u202etxt.exe", "lines": "a\r\nSet-Cookie: a=b",
		"a format": "%s%n%d", "a template": "{{.}}${jndi:x}", "SQL": "' OR 1=1 --", "a path": "../../etc/passwd",
		"a huge number": strings.Repeat("9", 400), "minus": "-1", "exponent": "1e999", "hex": "0x10", "a fraction": "0.5",
		"least": "-9223372036854775808", "most": "9223372036854775807", "one more": "9223372036854775808",
		"no number": "NaN", "a boolean": "true", "null": "null", "a date that is none": "0000-00-00", "far away": "99999-12-31",
		"a combining letter": "e\u0301\u0301", "emoji": "👩‍👩‍👧‍👧", "brackets": "[]", "an object": "{}", "data": "data:;base64,!!",
	}
}

// jsonValues are JSON texts of hostile values.
func jsonValues() map[string]string {
	deep := func(open, shut string) string { return strings.Repeat(open, 20000) + strings.Repeat(shut, 20000) }
	all := map[string]string{
		"a number": "1", "a negative number": "-1", "a fraction": "0.5", "a huge number": "1" + strings.Repeat("0", 400),
		"an exponent": "1e400", "true": "true", "false": "false", "null": "null", "a list": `["a"]`, "an empty list": "[]",
		"a list of lists": `[[["a"]]]`, "a list of all": `[1,null,true,{},[],"\u0000"]`, "an object": `{"a":1}`, "an empty object": "{}",
		"a deep list": deep("[", "]"), "a deep object": strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000),
		"a long list": "[" + strings.Repeat(`"a",`, 20000) + `"a"]`, "an escaped NUL": `"a\u0000b"`, "half a surrogate": `"\ud800"`,
		"bytes": "\"a\xffb\"", "a NUL": "\"a\x00b\"", "a broken escape": `"\u12"`,
	}
	for name, text := range texts() {
		encoded, _ := json.Marshal(text) // texts can be encoded; broken UTF-8 becomes U+FFFD
		all["text: "+name] = string(encoded)
	}
	return all
}

func (h attack) parameter(p resttest.Param) {
	h.t.Helper()
	for name, text := range texts() {
		switch p.In {
		case "header":
			if !strings.ContainsAny(text, "\x00\r\n") { // net/http refuses those
				h.send(p.Name+" "+name, h.c.With(p.Name, text), h.target(), "application/json", h.json(""))
			}
		case "path":
			if strings.Trim(text, ". \t\n") != "" { // else it is another path
				target, _ := h.op.Request("/api/v2", h.with(p.Name, text))
				h.send(p.Name+" "+name, h.c, target, "application/json", h.json(""))
			}
		default:
			h.pairs(p.Name, "plain "+name, p.Name, text)
		}
	}
	if p.In == "path" || p.In == "header" {
		return
	}
	key, _ := json.Marshal(p.Name) // a text can be encoded
	for name, text := range jsonValues() {
		h.send("JSON "+p.Name+" "+name, h.c, h.target(p.Name), "application/json", h.jsonWith(p.Name, text))
	}
	for _, text := range []string{"", "a\x00b", "a\xffb", strings.Repeat("a", 4<<10)} {
		name := fmt.Sprintf("%.8q", text)
		h.pairs(p.Name, "as a list "+name, p.Name+"[]", text)
		h.pairs(p.Name, "as an object "+name, p.Name+"[a]", text)
		h.pairs(p.Name, "twice "+name, p.Name, "a", p.Name, text)
		h.pairs(p.Name, "in all forms "+name, p.Name, text, p.Name+"[]", text, p.Name+"[a][b]", text, p.Name+"[", text, "["+p.Name+"]", text)
		h.multipart(p.Name, text, false)
		h.multipart(p.Name, text, true)
	}
	for _, text := range []string{`"b"`, "null", "[]", "{}"} {
		h.send("JSON "+p.Name+" twice "+text, h.c, h.target(p.Name), "application/json",
			strings.TrimSuffix(h.jsonWith(p.Name, `"first"`), "}")+","+string(key)+":"+text+"}")
	}
}

// pairs sends names and values in place of a parameter, once in the query and once in a form.
func (h attack) pairs(param, name string, pairs ...string) {
	h.t.Helper()
	text, sep := encoded(pairs), "?"
	target := h.target(param)
	if strings.Contains(target, "?") {
		sep = "&"
	}
	h.send("query "+param+" "+name, h.c, target+sep+text, "application/json", h.json(param))
	rest := h.form(param)
	if rest != "" {
		rest += "&"
	}
	h.send("form "+param+" "+name, h.c, target, "application/x-www-form-urlencoded", rest+text)
}

// bodies sends bodies that are no parameters at all.
func (h attack) bodies() {
	h.t.Helper()
	for name, body := range map[string]string{
		"half": `{"a":`, "two": `{} {}`, "text": `"a"`, "a list": `[{"a":1}]`, "null": `null`, "a number": `1`, "BOM": "\ufeff{}",
		"not JSON": "<xml/>", "bytes": "\xff\xfe", "NUL": "\x00", "deep": strings.Repeat("[", big), "deep objects": strings.Repeat(`{"a":`, big/5),
		"long": `"` + strings.Repeat("a", big) + `"`, "many members": `{` + strings.Repeat(`"a":1,`, big/6) + `"a":1}`, "a comment": `{/*a*/}`,
		"one quote": `{'a':1}`, "a trailing comma": `{"a":1,}`, "a form": "a=1&b=2", "a broken form": "%zz=%", "boundaries": "--b\r\n--b\r\n--b--",
	} {
		for _, media := range []string{"", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"} {
			h.send("body "+name+" as "+media, h.c, h.target(), media, body)
		}
	}
	for _, media := range []string{
		"application/json; charset=utf-16", "multipart/form-data", "multipart/mixed; boundary=b", "text/plain", "application/xml", "image/png",
		";", "a/b; c=\"", "\xff/\xff", "application/json, text/plain", "multipart/form-data; boundary=" + strings.Repeat("b", 200),
	} {
		h.send("as "+media, h.c, h.target(), media, h.json("")+" ")
	}
}

// target is the path and the query of the plausible values, without one of the query.
func (h attack) target(without ...string) string {
	target, _ := h.op.Request("/api/v2", h.without(without...))
	return target
}

func (h attack) with(name string, v any) map[string]any {
	values := maps.Clone(h.values)
	values[name] = v
	return values
}

// without leaves values out, but for those of the path.
func (h attack) without(names ...string) map[string]any {
	values := maps.Clone(h.values)
	for _, p := range h.op.Params {
		if p.In != "path" && slices.Contains(names, p.Name) {
			delete(values, p.Name)
		}
	}
	return values
}

// json is the body of the plausible values, without one; "" if there are none.
func (h attack) json(without string) string {
	_, body := h.op.Request("", h.without(without))
	if body == nil {
		return ""
	}
	text, _ := json.Marshal(body) // plausible values can be encoded
	return string(text)
}

// jsonWith is json with one member more, whose value is text.
func (h attack) jsonWith(name, text string) string {
	key, _ := json.Marshal(name) // a text can be encoded
	rest := strings.TrimSuffix(strings.TrimPrefix(h.json(name), "{"), "}")
	if rest != "" {
		rest += ","
	}
	return "{" + rest + string(key) + ":" + text + "}"
}

func (h attack) form(without string) string {
	_, body := h.op.Request("", h.without(without))
	form := url.Values{}
	for name, v := range body {
		form.Set(name, fmt.Sprint(v))
	}
	return form.Encode()
}

// multipart sends a value as text or as a file.
func (h attack) multipart(param, text string, file bool) {
	h.t.Helper()
	var body bytes.Buffer // takes everything
	m := multipart.NewWriter(&body)
	if file {
		part, _ := m.CreateFormFile(param, "a\".png")
		_, _ = part.Write([]byte(text))
	} else {
		_ = m.WriteField(param, text)
	}
	_, rest := h.op.Request("", h.without(param))
	for other, v := range rest {
		_ = m.WriteField(other, fmt.Sprint(v))
	}
	_ = m.Close()
	h.send(fmt.Sprintf("multipart %s, file %t, %.8q", param, file, text), h.c, h.target(param), m.FormDataContentType(), body.String())
}

func encoded(pairs []string) string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(out, "&")
}

func (h attack) send(name string, c *resttest.Client, target, media, body string) {
	h.t.Helper()
	a := c.Send(h.t, h.op.Method, target, media, body)
	if a.Status >= http.StatusInternalServerError {
		h.t.Errorf("%s, %.120q: got %d %.300s", h.op, name, a.Status, a.Body)
	}
	if a.Status == http.StatusTooManyRequests {
		h.t.Fatalf("%s: %.120q was not looked at: %d %s", h.op, name, a.Status, a.Body)
	}
}
