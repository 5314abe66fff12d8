package rest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which browser pages of other origins may call the API (AZ-354, AZ-355).
type CORS struct {
	// Origins are "scheme://host[:port]"; one "*" makes all of them "*"; none turns CORS
	// off.
	Origins []string
	// MaxAge is how long a browser may remember a preflight; 0 lets it remember none.
	MaxAge time.Duration
	// Credentials lets pages send cookies; it is refused together with "*".
	Credentials bool
}

const (
	corsMethods = "GET, POST, DELETE, PUT, PATCH, OPTIONS, HEAD"
	corsExposed = "Total, Page, Per-Page, Link, Retry-After, Location, X-Request-Id, X-Policy-Version, X-Taken-By"
)

type cors struct {
	any         bool
	origins     []string
	credentials bool
	maxAge      string
}

// compile checks every origin.
func (c CORS) compile() (cors, error) {
	out := cors{
		any: slices.Contains(c.Origins, "*"), credentials: c.Credentials,
		maxAge: strconv.Itoa(int(c.MaxAge.Seconds())),
	}
	if out.any {
		if c.Credentials {
			return cors{}, errors.New("cors: every origin (*) and credentials exclude each other")
		}
		return out, nil
	}
	var errs []error
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
			u.Scheme+"://"+u.Host != strings.ToLower(strings.TrimSuffix(o, "/")) {
			errs = append(errs, fmt.Errorf("cors: set right origin domain name instead of %q", o))
			continue
		}
		out.origins = append(out.origins, u.Scheme+"://"+u.Host)
	}
	return out, errors.Join(errs...)
}

// Readable returns the function that sets the headers by which pages of the listed origins may
// read an answer, for answers that are given before a request reaches the Server.
func (c CORS) Readable() (func(h http.Header, origin string), error) {
	compiled, err := c.compile()
	return func(h http.Header, origin string) { compiled.readable(h, origin) }, err
}

// readable sets the headers for an origin and reports whether it may read the answer. Unknown
// origins get no header.
func (c cors) readable(h http.Header, origin string) bool {
	if !c.any && len(c.origins) == 0 {
		return false
	}
	if !c.any {
		h.Add("Vary", "Origin")
	}
	if origin == "" || (!c.any && !slices.Contains(c.origins, origin)) {
		return false
	}
	if c.any {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if c.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// apply sets the headers for r's origin, on errors too, and reports whether r is a preflight
// that they answer.
func (c cors) apply(h http.Header, r *http.Request) bool {
	if !c.readable(h, r.Header.Get("Origin")) {
		return false
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Max-Age", c.maxAge)
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Headers", asked)
	}
	return true
}
