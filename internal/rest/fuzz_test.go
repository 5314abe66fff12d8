package rest_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"barong/internal/hostile"
)

// FuzzBinding sends anything as query, content type and body: never a panic or a 5xx, and
// always one of the declared answers.
func FuzzBinding(f *testing.F) {
	f.Add("code=1&need=x", "application/json", `{"need":"a","words":["b",1],"captcha_response":{"a":1}}`)
	f.Add("code=1", "application/x-www-form-urlencoded", "need=1&words[]=a&words[]=b&captcha_response[a][b][]=c&a[=&a]=&[]=")
	f.Add("page=1a", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"upload[]\"; filename=\"x\"\r\n\r\nAA\r\n--b--\r\n")
	f.Add("a[b]=1&a=2&a[]=3&a[b][c]=4", "", `{"need":{"need":[]}}`)
	f.Add("%", "text/plain", "\x00")
	s := newServer(f, io.Discard, nil)
	f.Fuzz(func(t *testing.T, query, media, body string) {
		r := httptest.NewRequest("POST", thing, strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 413, 415, 422:
		default:
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

// The cost of a request is linear in its length: query, bodies of each kind, and the headers that
// are read (Content-Type, Accept-Language's kind, If-Match, the cookie).
func TestBindingTimeIsLinear(t *testing.T) {
	s := newServer(t, io.Discard, nil)
	for name, of := range map[string]struct {
		hostile.Grammar
		media, header string
	}{
		"query": {Grammar: hostile.Grammar{Words: []string{"code=1", "words[]=a", "captcha_response[a][b]=c"}, Marks: []string{"&", "=", "%", "[", "]"}, Longest: 16 << 10}},
		"form":  {media: "application/x-www-form-urlencoded", Grammar: hostile.Grammar{Words: []string{"need=1", "words[]=a", "captcha_response[a][b]=c"}, Marks: []string{"&", "=", "%", "[", "]"}, Longest: 16 << 10}},
		"JSON":  {media: "application/json", Grammar: hostile.Grammar{Head: `{"need":"a","captcha_response":`, Words: []string{`{"a":1}`, `"\u0041"`}, Marks: []string{",", ":", `"`, `\`, " ", "0"}, Longest: 16 << 10}},
		"multipart": {media: "multipart/form-data; boundary=b", Grammar: hostile.Grammar{
			Head: "--b\r\n", Words: []string{"--b\r\n", "Content-Disposition: form-data; name=\"need\"\r\n\r\n", "--b--"},
			Marks: []string{"\r\n", "-", ";", "\""}, Longest: 16 << 10,
		}},
		"content type": {header: "Content-Type", Grammar: hostile.Grammar{Head: "multipart/form-data;", Words: []string{"boundary=b", "a*0=b"}, Marks: []string{";", "=", `"`, "*", " "}, Longest: 16 << 10}},
		"cookie":       {header: "Cookie", Grammar: hostile.Grammar{Words: []string{"a=b", "_barong_session=a"}, Marks: []string{";", " ", "=", `"`, ","}, Longest: 16 << 10}},
		"If-Match":     {header: "If-Match", Grammar: hostile.Grammar{Words: []string{`"1"`, `W/"1"`}, Marks: []string{",", " ", `"`, "/"}, Longest: 16 << 10}},
		"origin":       {header: "Origin", Grammar: hostile.Grammar{Words: []string{"https://a.example"}, Marks: []string{":", "/", "."}, Longest: 16 << 10}},
		"bearer":       {header: "Authorization", Grammar: hostile.Grammar{Head: "Bearer ", Words: []string{"eyJh"}, Marks: []string{".", " ", "="}, Longest: 16 << 10}},
		"request id":   {header: "X-Request-Id", Grammar: hostile.Grammar{Words: []string{"id"}, Marks: []string{" ", "-", "\xff"}, Longest: 16 << 10}},
	} {
		t.Run(name, func(t *testing.T) {
			hostile.Linear(t, of.Grammar, func(text string) {
				r := httptest.NewRequest("POST", thing, nil)
				switch {
				case of.header != "":
					r.Header.Set("Content-Type", "application/json")
					r.Header[of.header] = []string{text}
					r.Body = io.NopCloser(strings.NewReader("{}"))
				case of.media != "":
					r.Header.Set("Content-Type", of.media)
					r.Body = io.NopCloser(strings.NewReader(text))
				default:
					r.URL.RawQuery = text
				}
				s.ServeHTTP(httptest.NewRecorder(), r)
			})
		})
	}
}
