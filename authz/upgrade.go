package authz

import (
	"net/http"
	"strings"
)

// mayUpgrade reports whether r asks for no other protocol, or for a websocket where there is
// one. An upgraded connection is a tunnel: Barong decides nothing that goes through it, so that
// a client let through with another word (h2c) speaks with the upstream alone (design D23).
// An empty Upgrade asks for nothing.
func (s *Server) mayUpgrade(r *request) bool {
	if r.upgrade == "" && !r.hasHTTP2Settings && r.repeat>>headerUpgrade&1 == 0 {
		return true
	}
	const word = "websocket"
	asked := trim(r.upgrade)
	return len(asked) == len(word) && strings.EqualFold(asked, word) && r.repeat>>headerUpgrade&1 == 0 && !r.hasHTTP2Settings &&
		r.method == http.MethodGet && isBelow(r.path, s.websockets)
}

// isBelow reports whether path is one of prefixes or below one.
func isBelow(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// sameOrigin reports whether r's Origin is the scheme and host that it asks, or a listed one. A
// websocket opens by GET, so that nothing else names the page that opens it. When nobody says which
// scheme the client used it counts as https: a page that came over http may have been put there
// by anybody on the way.
func (s *Server) sameOrigin(r *request) bool {
	scheme, host, ok := strings.Cut(r.origin, "://")
	if !ok || host == "" || r.host == "" {
		return false
	}
	own, port := "https", ":443"
	if strings.EqualFold(r.scheme, "http") {
		own, port = "http", ":80"
	}
	if strings.EqualFold(scheme, own) && strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(r.host, port)) {
		return true
	}
	for _, o := range s.origins {
		if strings.EqualFold(o, r.origin) {
			return true
		}
	}
	return false
}
