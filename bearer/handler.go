package bearer

import (
	"errors"
	"net/http"
)

// VerifyRequest verifies the token of a request, which must have exactly one header Authorization.
func (v *Verifier) VerifyRequest(r *http.Request) (Claims, error) {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return Claims{}, ErrNoToken
	}
	return v.VerifyHeader(r.Context(), lines[0])
}

// Handler lets only requests with a token that is taken through to next, with their claims in the
// context (FromContext). It answers all others as Refusal says.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.VerifyRequest(r)
		if err != nil {
			status, header, body := Refusal(err)
			w.Header().Set(header[0], header[1])
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), c)))
	})
}

// Refusal is the answer to a request whose verification failed: 401 as components of the exchange give it
// (RFC 6750 §3), or 503 if there are no keys. It says no reason; that is for the upstream's log.
func Refusal(err error) (status int, header [2]string, body string) {
	if errors.Is(err, ErrRefused) {
		return http.StatusUnauthorized, [2]string{"WWW-Authenticate", `Bearer error="invalid_token"`},
			`{"errors":["jwt.decode_and_verify"]}`
	}
	return http.StatusServiceUnavailable, [2]string{"Retry-After", "1"}, `{"errors":["jwt.unavailable"]}`
}
