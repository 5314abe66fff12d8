package authz

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// forwardPrefix is the path that Envoy's HTTP mode puts before the original one (AZ-1).
const forwardPrefix = "/api/v2/auth"

// decisionHeader carries the decision id to the proxy: to the access log of Envoy's HTTP mode, and
// with every allow, which an answer without it is not. The shipped files pass it on to nobody.
const decisionHeader = "X-Barong-Decision"

// maxAuditBody is how much of a body is read for activities (FX-36).
const maxAuditBody = 16 << 10

// Forward returns the handler of the forward-auth listener, which answers the same questions
// as the gRPC service to proxies that ask over HTTP, and nothing else:
//
//	ANY /api/v2/auth/<path>   method and path are the request's own (Envoy's HTTP mode)
//	ANY /verify/traefik       method and path are X-Forwarded-Method and X-Forwarded-Uri,
//	ANY /verify/caddy         which only a trusted proxy may say; both are mandatory
//	ANY /verify/nginx         the same, but 401 or 403 are the only denials
//
// An allow is 200 with Authorization and the names of headers to take away. /verify answers
// also say the Cookie header that the upstream is to see, always, because these proxies
// copy a missing header as "remove it".
func (s *Server) Forward() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch path, _, _ := strings.Cut(req.RequestURI, "?"); {
		case strings.HasPrefix(path, forwardPrefix+"/") && len(path) > len(forwardPrefix)+1:
			s.forwardEnvoy(w, req)
		case path == "/verify/nginx":
			s.forwardVerify(w, req, nginxDenial)
		case path == "/verify/traefik", path == "/verify/caddy":
			s.forwardVerify(w, req, plainDenial)
		default:
			http.NotFound(w, req)
		}
	})
}

func (s *Server) forwardEnvoy(w http.ResponseWriter, req *http.Request) {
	var r request
	readHTTP(&r, req, req.Method, strings.TrimPrefix(req.RequestURI, forwardPrefix), req.Host)
	r.scheme = s.forwardedScheme(req)
	if req.ContentLength != 0 && isAdminPath(r.target) {
		// The decision does not depend on it.
		body, err := io.ReadAll(io.LimitReader(req.Body, maxAuditBody))
		r.body, r.bodyBroken = string(body), err != nil
	}
	var d decision
	s.conclude(req.Context(), &r, &d, nil)
	s.identify(w, &d)
	if !d.allowed() {
		plainDenial(w, &d)
		return
	}
	writeAllow(w, &d)
	if d.upstreamCookie() == cookieReplace {
		w.Header().Set("Cookie", d.cookieValue)
	}
	w.WriteHeader(http.StatusOK)
}

// identify gives the answer the decision's id.
func (s *Server) identify(w http.ResponseWriter, d *decision) {
	if d.id == "" {
		d.id = s.ids.next()
	}
	w.Header().Set(decisionHeader, d.id)
}

func (s *Server) forwardVerify(w http.ResponseWriter, req *http.Request, denial func(http.ResponseWriter, *decision)) {
	var d decision
	method, ok1 := single(req.Header, "X-Forwarded-Method")
	target, ok2 := single(req.Header, "X-Forwarded-Uri")
	switch {
	case !s.isTrusted(peerOf(req)):
		d.deny(refusal{http.StatusForbidden, reasonUntrustedProxy})
	case !ok1 || !ok2 || !strings.HasPrefix(target, "/"):
		d.deny(refusal{http.StatusBadRequest, reasonForwardedHeaders})
	}
	if d.reason != "" {
		s.readable(w, req)
		plainDenial(w, &d)
		return
	}
	host, ok := single(req.Header, "X-Forwarded-Host")
	if !ok {
		host = req.Host
	}
	var r request
	readHTTP(&r, req, method, target, host)
	r.scheme = s.forwardedScheme(req)
	s.conclude(req.Context(), &r, &d, nil)
	if !d.allowed() {
		s.readable(w, req)
		denial(w, &d)
		return
	}
	s.identify(w, &d)
	writeAllow(w, &d)
	switch d.upstreamCookie() {
	case cookieReplace:
		w.Header().Set("Cookie", d.cookieValue)
	case cookieKeep:
		if r.hasCookie {
			w.Header().Set("Cookie", r.cookie)
		}
	}
	w.WriteHeader(http.StatusOK)
}

// Reasons that only a misplaced or misconfigured proxy sees.
const (
	reasonUntrustedProxy   = "authz.untrusted_proxy"
	reasonForwardedHeaders = "authz.missing_forwarded_headers"
)

// single returns the value of a header that occurs once and is not empty. Two would let a
// client say one and the proxy another.
func single(h http.Header, name string) (string, bool) {
	v := h[name]
	if len(v) != 1 || v[0] == "" {
		return "", false
	}
	return v[0], true
}

// readHTTP fills r from an HTTP request as Envoy would have put the same headers into a
// CheckRequest: repeats joined by commas, Cookie lines by "; " (RFC 9113 §8.2.3).
func readHTTP(r *request, req *http.Request, method, target, host string) {
	r.method, r.target, r.host = method, target, host
	h := req.Header
	r.userAgent, _ = joined(h, "User-Agent", ",")
	r.cookie, r.hasCookie = joined(h, "Cookie", "; ")
	r.csrf, r.hasCSRF = joined(h, "X-Csrf-Token", ",")
	r.apiKey, r.hasAPIKey = joined(h, "X-Auth-Apikey", ",")
	r.nonce, r.hasNonce = joined(h, "X-Auth-Nonce", ",")
	r.signature, r.hasSignature = joined(h, "X-Auth-Signature", ",")
	r.origin, r.hasOrigin = joined(h, "Origin", ",")
	_, r.hasRequestMethod = joined(h, "Access-Control-Request-Method", ",")
	r.forwardedFor, _ = joined(h, "X-Forwarded-For", ",")
	r.cfConnectingIP, _ = joined(h, "Cf-Connecting-Ip", ",")
	r.trueClientIP, _ = joined(h, "True-Client-Ip", ",")
	r.requestID, _ = joined(h, "X-Request-Id", ",")
	r.contentType, _ = joined(h, "Content-Type", ",")
	r.upgrade, _ = joined(h, "Upgrade", ",")
	_, r.hasHTTP2Settings = joined(h, "Http2-Settings", ",")
	r.peer = peerOf(req)
	for name := range h {
		if len(name) > len("X-Auth-") && strings.EqualFold(name[:len("X-Auth-")], "X-Auth-") {
			switch lower := strings.ToLower(name); lower {
			case "x-auth-apikey", "x-auth-nonce", "x-auth-signature":
			default:
				r.extra = append(r.extra, lower)
			}
		}
	}
}

// forwardedScheme is the scheme that a trusted proxy says the client used, "" when none does.
func (s *Server) forwardedScheme(req *http.Request) string {
	scheme, _ := single(req.Header, "X-Forwarded-Proto")
	if !s.isTrusted(peerOf(req)) {
		return ""
	}
	switch scheme {
	case "ws": // Traefik's word for a request that opens a websocket
		return "http"
	case "wss":
		return "https"
	}
	return scheme
}

// joined returns all values of a header, by its canonical name, and whether it occurs.
func joined(h http.Header, name, separator string) (string, bool) {
	switch v := h[name]; len(v) {
	case 0:
		return "", false
	case 1:
		return v[0], true
	default:
		return strings.Join(v, separator), true
	}
}

// peerOf is the TCP peer, the zero address when there is none (a Unix socket).
func peerOf(req *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// writeAllow sets the headers of an allow, without Cookie.
func writeAllow(w http.ResponseWriter, d *decision) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if d.bearer != "" {
		h.Set("Authorization", d.bearer)
	}
	h.Set("X-Envoy-Auth-Headers-To-Remove", strings.Join(d.removals(), ","))
}

// removals are all request headers that an allow takes away, as appendAllow says them over
// gRPC: a token that the client made up, the caller's credentials, and all that its upstream
// might believe about caller, method or path (forbidden; FX-1, FX-8).
func (d *decision) removals() []string {
	names := make([]string, 0, 2+len(removedComponents)+len(d.remove)+len(removedAlways))
	if d.bearer == "" {
		names = append(names, "authorization")
	}
	if d.upstreamCookie() == cookieRemove {
		names = append(names, "cookie")
	}
	if d.component {
		names = append(names, removedComponents...)
	}
	for _, name := range d.remove {
		if removable(name) {
			names = append(names, name)
		}
	}
	return append(names, removedAlways...)
}

// plainDenial answers a denial as it is.
func plainDenial(w http.ResponseWriter, d *decision) { writeDenial(w, d, d.status) }

// nginxDenial answers a denial to nginx, whose auth_request takes any status but 401 and 403
// for a broken authorizer.
func nginxDenial(w http.ResponseWriter, d *decision) {
	status := http.StatusForbidden
	if d.status == http.StatusUnauthorized {
		status = http.StatusUnauthorized
	}
	w.Header().Set("X-Barong-Status", strconv.Itoa(d.status))
	w.Header().Set("X-Barong-Reason", d.reason)
	writeDenial(w, d, status)
}

func writeDenial(w http.ResponseWriter, d *decision, status int) {
	body := denialBody(d.reason, d.detail)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if d.clearCookie != "" {
		h.Set("Set-Cookie", d.clearCookie)
	}
	if d.outage {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that is gone needs no answer
}
