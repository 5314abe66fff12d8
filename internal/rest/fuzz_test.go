package rest_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
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
