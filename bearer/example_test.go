package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"barong/bearer"
	"barong/bearer/bearertest"
)

// An upstream wraps its handler once.
func ExampleVerifier_Handler() {
	i := bearertest.New(&testing.B{}) // in a test: bearertest.New(t)
	v, err := bearer.New(bearer.Config{URL: i.URL})
	if err != nil {
		panic(err)
	}
	h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := bearer.FromContext(r.Context())
		fmt.Fprintf(w, "%s is a %s of level %d", c.UID, c.Role, c.Level)
	}))

	r := httptest.NewRequest(http.MethodGet, "/account/balances", nil)
	r.Header.Set("Authorization", "Bearer "+i.Token(&testing.B{}, "ID1"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 ID1 is a member of level 1
}

// Errors that wrap ErrRefused are 401; ErrUnavailable is 503.
func ExampleVerifier_Verify() {
	i := bearertest.New(&testing.B{})
	v, err := bearer.New(bearer.Config{Keys: i.KeySet()})
	if err != nil {
		panic(err)
	}
	claims := i.Claims("ID1")
	claims["azp"] = "barong"
	_, err = v.Verify(context.Background(), i.Sign(&testing.B{}, claims))
	fmt.Println(errors.Is(err, bearer.ErrRefused), err)
	// Output: true bearer: refused: claims: azp is missing or wrong
}
