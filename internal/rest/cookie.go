package rest

import "net/http"

// Cookie returns the value of the request's cookie called name: "" when there is none, or
// when two of that name differ, as one of them may be planted (FX-45).
func Cookie(r *http.Request, name string) string {
	value := ""
	for i, c := range r.CookiesNamed(name) {
		if i > 0 && c.Value != value {
			return ""
		}
		value = c.Value
	}
	return value
}

// CrossSite reports whether a browser sent r on behalf of a page of another site: by
// Sec-Fetch-Site, else by an Origin that is neither the request's own host nor trusted.
// Programs that send neither header are nobody's page. Trusted origins are spelled
// "scheme://host[:port]".
func CrossSite(r *http.Request, trusted []string) bool {
	origin := r.Header.Get("Origin")
	for _, o := range trusted {
		if origin == o {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "same-site", "none":
		return false
	case "":
		return origin != "" && origin != "https://"+r.Host && origin != "http://"+r.Host
	}
	return true
}
