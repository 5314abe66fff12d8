package identity

import (
	"net/http"
	"strconv"
	"time"

	"barong/internal/rest"
)

// KeySet is the public half of the keys that bearer tokens are verified with.
type KeySet interface {
	// JWKS is the JSON Web Key Set (RFC 7517); it changes when keys rotate.
	JWKS() []byte
}

// MountJWKS publishes keys where consumers look for them: /.well-known/jwks.json and
// public/jwks.json under every prefix. Consumers may cache them for maxAge.
func MountJWKS(s *rest.Server, keys KeySet, maxAge time.Duration) {
	h := jwks(keys, maxAge)
	s.Handle("/.well-known/jwks.json", h)
	for _, prefix := range s.Prefixes() {
		s.Handle(prefix+"/public/jwks.json", h)
	}
}

func jwks(keys KeySet, maxAge time.Duration) http.Handler {
	cache := "public, max-age=" + strconv.Itoa(int(maxAge.Seconds()))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", cache)
		h.Set("Access-Control-Allow-Origin", "*") // public keys
		w.Write(keys.JWKS())
	})
}
