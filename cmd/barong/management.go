package main

import (
	"net/http"
	"path"
	"strings"
)

// inManagement reports whether a path, read as leniently as any router might, is one of the
// management API. With and without, a listener agrees with itself on the same path.
func inManagement(r *http.Request) bool {
	for _, p := range []string{r.URL.Path, r.URL.EscapedPath()} {
		p = strings.ToLower(path.Clean("/" + p))
		for _, prefix := range []string{"/api/v2/management", "/api/v2/barong/management", "/api/v2/auth/management"} {
			if rest, ok := strings.CutPrefix(p, prefix); ok && (rest == "" || rest[0] == '/') {
				return true
			}
		}
	}
	return false
}

// managementOnly serves the management API of next and nothing else.
func managementOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !inManagement(r) {
			noManagement(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withoutManagement serves next but for the management API.
func withoutManagement(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inManagement(r) {
			noManagement(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noManagement answers as the management API does to an unknown path.
func noManagement(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"error":"Route is not found"}`))
}
