package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"barong/bearer"
	"barong/bearer/bearertest"
)

func TestHandlerLetsOnlyVerifiedRequestsThrough(t *testing.T) {
	i := bearertest.New(t)
	v := i.Verifier(t, bearer.Config{})
	h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := bearer.FromContext(r.Context())
		if !ok {
			t.Error("there are no claims")
		}
		_, _ = w.Write([]byte(c.UID))
	}))
	ask := func(lines ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = lines
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	good := "Bearer " + i.Token(t, "ID1")
	if w := ask(good); w.Code != http.StatusOK || w.Body.String() != "ID1" {
		t.Errorf("got %d %s, want 200 ID1", w.Code, w.Body)
	}
	for name, lines := range map[string][]string{
		"no header": nil, "two": {good, good}, "another scheme": {"Basic eDp5"}, "in small letters": {"b" + good[1:]},
		"two spaces": {"Bearer  " + good[7:]}, "no token": {"Bearer "}, "a forged one": {good[:len(good)-8] + "AAAAAAAA"},
	} {
		w := ask(lines...)
		if w.Code != http.StatusUnauthorized || w.Body.String() != `{"errors":["jwt.decode_and_verify"]}` || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %d %s %v, want 401", name, w.Code, w.Body, w.Header())
		}
	}
	i.SetAway(true)
	h = i.Verifier(t, bearer.Config{}).Handler(http.NotFoundHandler())
	if w := ask(good); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("without keys: got %d %v, want 503", w.Code, w.Header())
	}
	if _, ok := bearer.FromContext(t.Context()); ok {
		t.Error("a context without claims has some")
	}
}
