package ginbearer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"barong/bearer"
	"barong/bearer/bearertest"
	"barong/bearer/ginbearer"
)

func TestHandlerLetsOnlyVerifiedRequestsThrough(t *testing.T) {
	gin.SetMode(gin.TestMode)
	i := bearertest.New(t)
	e := gin.New()
	e.Use(ginbearer.Handler(i.Verifier(t, bearer.Config{})))
	reached := 0
	e.GET("/", func(c *gin.Context) {
		reached++
		claims, ok := ginbearer.Claims(c)
		if !ok {
			t.Error("there are no claims")
		}
		c.String(http.StatusOK, claims.UID)
	})
	ask := func(authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w
	}
	i.SetAway(true)
	if w := ask("Bearer " + i.Token(t, "ID1")); w.Code != http.StatusServiceUnavailable || reached != 0 {
		t.Errorf("without keys: got %d, want 503", w.Code)
	}
	e = gin.New()
	i.SetAway(false)
	e.Use(ginbearer.Handler(i.Verifier(t, bearer.Config{})))
	e.GET("/", func(c *gin.Context) {
		reached++
		claims, _ := ginbearer.Claims(c)
		c.String(http.StatusOK, claims.UID)
	})
	if w := ask("Bearer " + i.Token(t, "ID1")); w.Code != http.StatusOK || w.Body.String() != "ID1" {
		t.Errorf("got %d %s, want 200 ID1", w.Code, w.Body)
	}
	if w := ask("Bearer a.b.c"); w.Code != http.StatusUnauthorized || w.Body.String() != `{"errors":["jwt.decode_and_verify"]}` ||
		w.Header().Get("WWW-Authenticate") == "" || reached != 1 {
		t.Errorf("a forged one: got %d %s, want 401", w.Code, w.Body)
	}
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	if _, ok := ginbearer.Claims(c); ok {
		t.Error("there are claims without the middleware")
	}
}
