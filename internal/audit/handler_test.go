package audit_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"barong/internal/audit"
	"barong/internal/limit"
	"barong/internal/rest"
)

// handler is a REST endpoint that shows whom it would act on.
func handler(t testing.TB) http.Handler {
	t.Helper()
	server, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20, Prefixes: []string{"/a"}})
	if err != nil {
		t.Fatal(err)
	}
	type who struct {
		UID  string `name:"uid" json:"uid"`
		User string `name:"user_uid" json:"user_uid"`
	}
	g := rest.NewGroup(server, "x", rest.Guard[rest.None]{
		Admit: func(*http.Request) (rest.None, error) { return rest.None{}, nil },
	})
	rest.Add(g, rest.Op{Cost: limit.Read, Method: http.MethodPut, Status: http.StatusOK, Summary: "Show it."},
		func(_ context.Context, _ rest.None, in who) (who, error) { return in, nil })
	return server
}

// same fails unless the audit names the person that the handler acts on. Where the handler
// refuses, nobody is acted on; where it sees nobody, the audit may still know a name in
// another case.
func same(t testing.TB, h http.Handler, query, contentType, body string) (acted bool) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPut, "/a/x", strings.NewReader(body))
	r.URL.RawQuery = query
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return false
	}
	text, _ := io.ReadAll(w.Body)
	var seen struct {
		UID  string `json:"uid"`
		User string `json:"user_uid"`
	}
	if err := json.Unmarshal(text, &seen); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(seen.UID)
	if want == "" {
		want = strings.TrimSpace(seen.User)
	}
	_, got := audit.Mask(audit.Params{Query: query, ContentType: contentType, Body: []byte(body)}, "api/v2/admin/x")
	if want != "" && len(want) <= 255 && got != want {
		t.Errorf("query %q, %s body %q: the handler acts on %q, the audit says %q", query, contentType, body, want, got)
	}
	return want != ""
}

// The audited target is the one that the handler acts on: any mix of places, duplicates,
// spellings, nesting and content types.
func TestTargetIsTheHandlers(t *testing.T) {
	h := handler(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	name := func() string {
		return pick("uid", "uid", "uid", "UID", "user_uid", "uid[]", "uid[a]", "u%69d", "Uid", "x", "uid%5B%5D", "uid[")
	}
	value := func() string { return pick("A", "B", "C", "", "+D", "%45", "F%20", "1") }
	form := func() string {
		var pairs []string
		for range random.IntN(5) {
			pairs = append(pairs, name()+pick("=", "=", "=", "")+value())
		}
		return strings.Join(pairs, pick("&", "&", "&", "&&", ";"))
	}
	object := func() string {
		var members []string
		for range random.IntN(5) {
			v := pick(`"A"`, `"B"`, `" C"`, `""`, `null`, `7`, `true`, `["D"]`, `{"uid":"E"}`, `"\u0046"`)
			members = append(members, pick(`"uid"`, `"uid"`, `"u\u0069d"`, `"UID"`, `"user_uid"`, `"x"`)+":"+v)
		}
		return pick("", "", " ", "\n") + "{" + strings.Join(members, ",") + "}" + pick("", "", "", " ", "{}")
	}
	multipart := func() string {
		var b strings.Builder
		for range random.IntN(5) {
			file := pick("", "", "", "; filename=\"f\"")
			b.WriteString("--b\r\nContent-Disposition: form-data; name=\"" + pick("uid", "uid", "user_uid", "uid[]", "x") + "\"" +
				file + "\r\n\r\n" + pick("A", "B", "", " C") + "\r\n")
		}
		b.WriteString("--b--\r\n")
		return b.String()
	}
	acted := 0
	for range 10_000 {
		contentType, body := "", ""
		switch random.IntN(5) {
		case 0:
			contentType, body = pick("application/json", "Application/JSON; charset=utf-8"), object()
		case 1:
			contentType, body = "application/x-www-form-urlencoded", form()
		case 2:
			contentType, body = "multipart/form-data; boundary=b", multipart()
		case 3:
			body = pick(object(), form())
		case 4: // whatever the content type says
			contentType = pick("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain")
			body = pick(object(), form(), multipart(), "")
		}
		if same(t, h, form(), contentType, body) {
			acted++
		}
		if t.Failed() {
			return
		}
	}
	if acted < 1500 {
		t.Errorf("the handler acted %d times only: the test says little", acted)
	}
}

func FuzzTarget(f *testing.F) {
	h := handler(f)
	f.Add("uid=A&uid=B", "application/json", `{"uid":"C","uid":"D"}`)
	f.Add("uid[]=A", "application/x-www-form-urlencoded", "u%69d=A&user_uid=B")
	f.Add("", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=uid\r\n\r\nA\r\n--b--")
	f.Fuzz(func(t *testing.T, query, contentType, body string) { same(t, h, query, contentType, body) })
}
