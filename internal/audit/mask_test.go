package audit

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"barong/internal/hostile"
)

const browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"

// unread is the record of a body that could not be read.
func unread(body string) string {
	return fmt.Sprintf(`"body_bytes":%d,"body_sha256":"%x"`, len(body), sha256.Sum256([]byte(body)))
}

const multipartBody = "--x\r\nContent-Disposition: form-data; name=\"uid\"\r\n\r\nID1\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"otp_code\"\r\n\r\n123456\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\nadmin\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"proof\"; filename=\"a.pdf\"\r\n\r\nuid=ID3\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"uid\"\r\n\r\nID2\r\n--x--\r\n"

func TestMask(t *testing.T) {
	const path = "api/v2/barong/admin/users/role"
	for name, c := range map[string]struct {
		p      Params
		path   string
		extra  []string
		want   string
		target string
	}{
		"a path alone": {Params{}, path, nil, `{"path":"api/v2/barong/admin/users/role"}`, ""},
		"values of the list, names of the rest (FX-34)": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":"ID1","role":"admin","first_name":"Ann","level":3,"otp":true}`)}, path, nil,
			`{"path":"` + path + `","uid":"ID1","role":"admin","level":3,"members":["first_name","otp"]}`, "ID1"},
		"a form body of any method (FX-36)": {
			Params{ContentType: "application/x-www-form-urlencoded; charset=utf-8", Body: []byte("uid=ID1&password=hunter2&state=banned%21")}, path, nil,
			`{"path":"` + path + `","uid":"ID1","state":"banned!","members":["password"]}`, "ID1"},
		"query and body, the body first, as handlers do": {
			Params{Query: "user_uid=ID2&uid=ID1", ContentType: "application/json", Body: []byte(`{"uid":"ID3"}`)}, path, nil,
			`{"path":"` + path + `","uid":["ID1","ID3"],"user_uid":"ID2"}`, "ID3"},
		"an empty uid does not hide the next (FX-33)": {
			Params{Query: "uid=&user_uid=+ID2"}, path, nil,
			`{"path":"` + path + `","user_uid":" ID2","uid":""}`, "ID2"},
		"a null uid is none": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":null,"user_uid":"ID2"}`)}, path, nil,
			`{"path":"` + path + `","user_uid":"ID2","uid":null}`, "ID2"},
		"another case hides nothing": {
			Params{ContentType: "application/json", Body: []byte(`{"UID":"ID1","Password":"hunter2"}`)}, path, nil,
			`{"path":"` + path + `","UID":"ID1","members":["Password"]}`, "ID1"},
		"a repeated member": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":"ID1","uid":"ID2","uid":"ID1"}`)}, path, nil,
			`{"path":"` + path + `","uid":["ID1","ID2"]}`, "ID1"},
		"of repeated members the last": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":"ID1","uid":"ID2"}`)}, path, nil,
			`{"path":"` + path + `","uid":["ID1","ID2"]}`, "ID2"},
		"key and code of other paths are masked": {
			Params{Query: "key=abc&code=123456&value=x"}, path, nil,
			`{"path":"` + path + `","members":["code","key","value"]}`, ""},
		"key, value of a label are kept": {
			Params{Query: "key=email&value=verified&code=1"}, "api/v2/barong/admin/users/labels", nil,
			`{"path":"api/v2/barong/admin/users/labels","key":"email","value":"verified","code":"1"}`, ""},
		"code of a restriction is kept": {
			Params{ContentType: "application/json", Body: []byte(`{"scope":"ip","value":"192.0.2.1","code":434}`)}, "api/v2/barong/admin/restrictions", nil,
			`{"path":"api/v2/barong/admin/restrictions","scope":"ip","value":"192.0.2.1","code":434}`, ""},
		"other members with such words stay masked on labels": {
			Params{Query: "key_secret=a&promo_code=b&apikey=c"}, "api/v2/barong/admin/users/labels", nil,
			`{"path":"api/v2/barong/admin/users/labels","members":["apikey","key_secret","promo_code"]}`, ""},
		"a JSON body cut in the middle": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":"ID1","state":"ban`)}, path, nil,
			`{"path":"` + path + `","malformed":true,` + unread(`{"uid":"ID1","state":"ban`) + `,"uid":"ID1","members":["state"]}`, ""},
		"a form cut in the middle": {
			Params{ContentType: "application/x-www-form-urlencoded", Body: []byte(`uid=ID1&x=`), Cut: true}, path, nil,
			`{"path":"` + path + `","cut":true,` + unread(`uid=ID1&x=`) + `,"uid":"ID1","members":["x"]}`, ""},
		"a JSON body without content type (AZ-170)": {
			Params{Body: []byte(` {"uid":"ID1","x":"a&uid=ID2&"}`)}, path, nil,
			`{"path":"` + path + `","uid":"ID1","members":["x"]}`, "ID1"},
		"a form that begins like JSON is read both ways": {
			Params{ContentType: "application/x-www-form-urlencoded", Body: []byte(`{"a":1}&uid=ID1`)}, path, nil,
			`{"path":"` + path + `","malformed":true,` + unread(`{"a":1}&uid=ID1`) + `,"uid":"ID1","members":["?","a"]}`, "ID1"},
		"a form without content type": {
			Params{Body: []byte("user_uid=ID1")}, path, nil, `{"path":"` + path + `","user_uid":"ID1"}`, "ID1"},
		"multipart": {
			Params{ContentType: "multipart/form-data; boundary=x", Body: []byte(multipartBody)}, path, nil,
			`{"path":"` + path + `","uid":["ID1","ID2"],"role":"admin","members":["otp_code","proof"]}`, "ID2"},
		"multipart that breaks off": {
			Params{ContentType: "multipart/form-data; boundary=x", Body: []byte("--x\r\nuid=ID1")}, path, nil,
			`{"path":"` + path + `","malformed":true,` + unread("--x\r\nuid=ID1") + `}`, ""},
		"a content type that nobody reads": {
			Params{ContentType: "text/plain", Body: []byte("uid=ID1"), Query: "uid=ID2"}, path, nil,
			`{"path":"` + path + `","unparsed":true,` + unread("uid=ID1") + `,"uid":"ID2"}`, ""},
		"a parameter named like a member of ours": {
			Params{Query: "path=api/v2/x&kid=abc&note=n"}, path, []string{"kid", "0011", "request_id", ""},
			`{"path":"` + path + `","kid":"0011","param.path":"api/v2/x","param.kid":"abc","members":["note"]}`, ""},
		"lists of scalars, no objects": {
			Params{ContentType: "application/json", Body: []byte(`{"scope":["trade",1,true,null],"id":{"secret":1},"state":[["x"]],"role":[]}`)}, path, nil,
			`{"path":"` + path + `","scope":["trade",1,true,null],"members":["id","role","state"]}`, ""},
		"JSON that is no object": {
			Params{ContentType: "application/json", Body: []byte(`["uid"]`)}, path, nil, `{"path":"` + path + `","malformed":true,` + unread(`["uid"]`) + `}`, ""},
		"something after the object": {
			Params{ContentType: "application/json", Body: []byte(`{"uid":"ID1"} {"uid":"ID2"}`)}, path, nil,
			`{"path":"` + path + `","malformed":true,` + unread(`{"uid":"ID1"} {"uid":"ID2"}`) + `,"uid":"ID1"}`, ""},
		"a name that is a document is not told": {
			Params{Query: url.QueryEscape(`{"password":"hunter2"}`)}, path, nil, `{"path":"` + path + `","members":["?"]}`, ""},
		"a scalar as a name (FX-33)": {Params{Query: "0=0&%zz=%zz&=&&"}, path, nil, `{"path":"` + path + `","malformed":true,"members":["0","?"]}`, ""},
		"NUL and broken UTF-8":       {Params{Query: "state=a%00b%ff"}, path, nil, `{"path":"` + path + `","state":"a?b?"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.p.UserAgent = browser
			data, target := Mask(c.p, c.path, c.extra...)
			if diff := cmp.Diff(c.want, data); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			if target != c.target {
				t.Errorf("target %q, want %q", target, c.target)
			}
		})
	}
}

// AZ-167.
func TestSuspiciousBrowserIsNoted(t *testing.T) {
	for agent, want := range map[string]bool{
		"Chromium/126.0": false, "Edge/18.17763": false, "EdgA/120.0": false, "Gecko/20100101": false,
		"Mozilla/5.0 (Linux; U; Android 1.5; de-; HTC Magic) AppleWebKit/528.5+ (KHTML, like Gecko) Version/3.1.2 Mobile Safari/525.20.1": false,
		browser: false, "random-browser": true, "Magic Pony Browser": true, "": true, "curl/8.5.0": true, "Go-http-client/1.1": true,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15": false,
		"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0":                                     false,
	} {
		data, _ := Mask(Params{UserAgent: agent}, "x")
		if got := strings.Contains(data, `"note":"Detected suspicious browser"`); got != want {
			t.Errorf("%q is noted: %t, want %t", agent, got, want)
		}
	}
}

// FX-36: at most 8 KiB, and FX-33: over-long values are cut with a mark, the row stays.
func TestMaskIsBounded(t *testing.T) {
	many := url.Values{}
	for i := range 500 {
		many.Set(fmt.Sprintf("member_%060d", i), "x")
	}
	evil := strings.Repeat("\x01", 10_000)
	filler, _ := json.Marshal(map[string]string{"state": evil, "role": evil, "scope": evil, "topic": evil, "action": evil,
		"verb": evil, "from": evil, "to": evil, "range": evil, "uid": "ID1" + evil})
	for name, p := range map[string]Params{
		"a long value":            {Query: "state=" + strings.Repeat("x", 100_000)},
		"many members":            {Query: many.Encode()},
		"values that need escape": {ContentType: "application/json", Body: filler},
		"one member many times":   {Query: "uid=ID1&" + strings.Repeat("uid=%01x&", 10_000)},
		"values of one member":    {ContentType: "application/json", Body: []byte(`{"uid":["ID1"` + strings.Repeat(`,"x"`, 5000) + `]}`)},
		"deep nesting":            {ContentType: "application/json", Body: []byte(strings.Repeat(`{"a":`, 5000))},
		"deep lists":              {ContentType: "application/json", Body: []byte(`{"uid":` + strings.Repeat(`[`, 20_000))},
		"a huge number":           {ContentType: "application/json", Body: []byte(`{"id":` + strings.Repeat("9", 5000) + `}`)},
	} {
		for _, path := range []string{"api/v2/barong/admin/users", strings.Repeat(`"<`, 50_000)} {
			data, target := Mask(p, path, "kid", strings.Repeat("k", 5000))
			if len(data) > 8<<10 || !json.Valid([]byte(data)) {
				t.Errorf("%s: %d bytes, valid JSON %t; want at most 8192 and valid", name, len(data), json.Valid([]byte(data)))
			}
			if len(target) > 255 {
				t.Errorf("%s: a target of %d bytes", name, len(target))
			}
			if strings.Contains(string(p.Body), "ID1") && !strings.Contains(data, "ID1") {
				t.Errorf("%s: the uid fell out: %.200s", name, data)
			}
		}
	}
	data, _ := Mask(Params{Query: "state=" + strings.Repeat("є", 500)}, "x")
	var got map[string]any
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	if state := got["state"].(string); len(state) > 255 || !strings.HasSuffix(state, "є…") {
		t.Errorf("a long value becomes %d bytes ending in %q, want it cut with a mark", len(state), state[len(state)-5:])
	}
}

// AZ-161, AZ-162, FX-37.
func TestDescribe(t *testing.T) {
	for method, want := range map[string]string{
		"POST": "create", "PUT": "update", "PATCH": "update", "GET": "read", "DELETE": "delete",
		"HEAD": "system", "OPTIONS": "system", "": "system",
	} {
		if got := ActionOf(method); got != want {
			t.Errorf("ActionOf(%q) = %q, want %q", method, got, want)
		}
	}
	for path, want := range map[string]string{
		"api/v2/barong/admin/users/labels": "users", "api/v2/admin": "general", "api/v2/admin/": "general",
		"api/v2/peatio/market/orders": "general", "api/v2/peatio/admin/markets": "markets", "": "general",
		"admin/a/admin/b": "a",
	} {
		if got := TopicOf(path); got != want {
			t.Errorf("TopicOf(%q) = %q, want %q", path, got, want)
		}
	}
	// A refused client's own words are no topics.
	for path, want := range map[string]string{
		"api/v2/barong/admin/users/x": "users", "api/v2/peatio/admin/x22443": "general",
		"api/v2/peatio/admin/Markets": "general", "api/v2/peatio/market/orders": "general",
	} {
		if got := DeniedTopicOf(path); got != want {
			t.Errorf("DeniedTopicOf(%q) = %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"api/v2/barong/admin/users": "admin", "api/v2/admin": "admin", "api/v2/peatio/market/orders": "user",
		"api/v2/barong/administrators": "user", "": "user",
	} {
		if got := CategoryOf(path); got != want {
			t.Errorf("CategoryOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("uid=ID1&password=SECRETVALUE", "application/json", []byte(`{"uid":"ID1","password":"SECRETVALUE"}`), "api/v2/admin", browser)
	f.Add("0=0", "", []byte(`{"a&uid=1`), "labels", "")
	f.Add("%zz", "application/x-www-form-urlencoded", []byte("key=SECRETVALUE&%7B"), "restrictions/x", "x")
	f.Add("", "multipart/form-data", []byte("\x00\xff"), "\xff\x00", "")
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte, path, agent string) {
		data, target := Mask(Params{Query: query, ContentType: contentType, Body: body, UserAgent: agent}, path, "kid", query)
		if !json.Valid([]byte(data)) || data[0] != '{' || len(data) > maxData || !utf8.ValidString(data) || !utf8.ValidString(target) {
			t.Fatalf("data is %d bytes: %q", len(data), data)
		}

		// Whatever surrounds it, the value of a masked member never shows.
		const secret = "S3CRETVALUE"
		clean := func(s string) string { return strings.ReplaceAll(s, secret, "") }
		for _, name := range []string{"password", "new_password", "otp_code", "TOTP", "api_secret", "refresh_token", "doc_number", "dob", "x"} {
			p := Params{
				Query: name + "=" + secret + "&" + clean(query), ContentType: "application/json",
				Body: fmt.Appendf(nil, `{%q:%q,%q:[%q],"n":{%q:%q},`, name, secret, name, secret, name, secret),
			}
			p.Body = append(p.Body, clean(string(body))...)
			if data, target := Mask(p, clean(path)); strings.Contains(data, secret) || strings.Contains(target, secret) {
				t.Fatalf("the value of %s shows: %s", name, data)
			}
		}
	})
}

func BenchmarkMask(b *testing.B) {
	p := Params{Query: "page=1", ContentType: "application/json", UserAgent: browser,
		Body: []byte(`{"uid":"ID1A2B3C4D5E","state":"active","otp":true,"email":"ann@example.com"}`)}
	b.ReportAllocs()
	for b.Loop() {
		Mask(p, "api/v2/barong/admin/users/update")
	}
}

// The cost of masking is linear in the length of its input.
func TestMaskTimeIsLinear(t *testing.T) {
	for name, of := range map[string]struct {
		hostile.Grammar
		params func(text string) Params
	}{
		"query": {hostile.Grammar{Words: []string{"uid=ID1", "password=x"}, Marks: []string{"&", "=", "%", ";", "[", "]", "%41"}},
			func(text string) Params { return Params{Query: text} }},
		"form": {hostile.Grammar{Words: []string{"uid=ID1", "password=x"}, Marks: []string{"&", "=", "%", "+"}, Longest: 16 << 10},
			func(text string) Params {
				return Params{ContentType: "application/x-www-form-urlencoded", Body: []byte(text)}
			}},
		"JSON": {hostile.Grammar{Head: `{"a":[`, Words: []string{`{"uid":"ID1"}`, `"password":`, `"\u0041"`}, Marks: []string{",", ":", `"`, `\`, " ", "0"}, Longest: 16 << 10},
			func(text string) Params {
				return Params{ContentType: "application/json", Body: []byte(text)}
			}},
		"multipart": {hostile.Grammar{
			Head: "--b\r\n", Words: []string{"--b\r\n", "Content-Disposition: form-data; name=\"uid\"\r\n\r\n", "--b--"},
			Marks: []string{"\r\n", "-", ";", "\"", "="}, Longest: 16 << 10,
		}, func(text string) Params {
			return Params{ContentType: "multipart/form-data; boundary=b", Body: []byte(text)}
		}},
		"content type": {hostile.Grammar{Head: "multipart/form-data;", Words: []string{"boundary=b", "a*0=b"}, Marks: []string{";", "=", `"`, "*", " "}, Longest: 16 << 10},
			func(text string) Params { return Params{ContentType: text, Body: []byte("--b--")} }},
		"user agent": {hostile.Grammar{Words: []string{"Mozilla/5.0"}, Marks: []string{" ", "(", ";", "\xff"}},
			func(text string) Params { return Params{UserAgent: text} }},
	} {
		t.Run(name, func(t *testing.T) {
			hostile.Linear(t, of.Grammar, func(text string) { Mask(of.params(text), "api/v2/barong/admin/users") })
		})
	}
}
