package authz

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// reasonInvalidHost refuses a request to the embedded gate under a foreign name.
const reasonInvalidHost = "authz.invalid_host"

// jwksPath is the one path that the gate lets through undecided: public keys, for consumers
// that have no credential.
const jwksPath = "/.well-known/jwks.json"

// Gate puts the decision in front of next, for a REST listener on loopback that has no proxy
// before it (the embedded run). Every request is decided, with or without credentials, and
// next sees the request that a proxy would have passed on: with the canonical path that was
// decided, the minted token in place of any Authorization, none of the headers to be removed.
//
// Only requests for localhost or a loopback address are taken: a page that rebinds its own
// name to 127.0.0.1 is refused with 421.
func (s *Server) Gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var d decision
		if !isLoopbackHost(req.Host) {
			d.status, d.reason = http.StatusMisdirectedRequest, reasonInvalidHost
			s.gateDenial(w, req, &d)
			return
		}
		if req.RequestURI == jwksPath {
			inner := req.Clone(req.Context())
			inner.Header.Del("Authorization")
			next.ServeHTTP(w, inner)
			return
		}
		if !harmlessID(req.Header.Get("X-Request-Id")) {
			req = req.Clone(req.Context())
			req.Header.Set("X-Request-Id", s.ids.next())
		}
		var r request
		s.readDirect(&r, req)
		r.scheme = "http"
		if req.TLS != nil {
			r.scheme = "https"
		}
		if req.ContentLength != 0 && isAdminPath(r.target) {
			head, rest, err := peek(req.Body)
			r.body, r.bodyBroken = string(head), err != nil
			req = req.Clone(req.Context())
			req.Body = rest
		}
		s.conclude(req.Context(), &r, &d, nil)
		if !d.allowed() {
			s.gateDenial(w, req, &d)
			return
		}
		inner, err := decidedRequest(req, &r, &d)
		if err != nil {
			d.unavailable(err)
			s.gateDenial(w, req, &d)
			return
		}
		next.ServeHTTP(w, inner)
	})
}

// ClientIP returns the address of the client of req by the rule that decisions go by (design
// D13): the TCP peer, or the address that trusted proxies name. It is the zero address when
// there is none, and when a trusted proxy sends something else than an address: see Addressed.
func (s *Server) ClientIP(req *http.Request) netip.Addr {
	var r request
	s.readDirect(&r, req)
	ip, _ := s.reading.clientIP(&r)
	return ip
}

// Addressed puts a REST listener behind a proxy on the side of decisions where the client's
// address is concerned: a request of which a trusted proxy says no readable address is refused
// with 401 authz.permission_denied, as a decision would. Limits, restrictions and activities of
// next would otherwise be about nobody.
func (s *Server) Addressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var r request
		s.readDirect(&r, req)
		if r.ip, r.suspect = s.reading.clientIP(&r); r.suspect != suspectNothing {
			s.suspected(&r)
		}
		if r.suspect == suspectUnreadable {
			var d decision
			d.deny(unauthorized(reasonPermissionDenied))
			s.readable(w, req)
			plainDenial(w, &d)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// readDirect reads a request to the REST listener.
func (s *Server) readDirect(r *request, req *http.Request) {
	readHTTP(r, req, req.Method, req.RequestURI, req.Host)
	if s.DirectClients {
		r.forwardedFor, r.cfConnectingIP, r.trueClientIP = "", "", ""
	}
}

// gateDenial is a denial with the names by which it is found in the log.
func (s *Server) gateDenial(w http.ResponseWriter, req *http.Request, d *decision) {
	s.identify(w, d)
	if id := req.Header.Get("X-Request-Id"); harmlessID(id) {
		w.Header().Set("X-Request-Id", id)
	}
	s.readable(w, req)
	plainDenial(w, d)
}

// readable lets the page that sent req read the denial of it: a proxy hands it on as it is.
func (s *Server) readable(w http.ResponseWriter, req *http.Request) {
	if s.Readable != nil {
		s.Readable(w.Header(), req.Header.Get("Origin"))
	}
}

// harmlessID reports whether a client's request id may be repeated, as REST does it.
func harmlessID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool {
		return !(c < 128 && unreserved(byte(c)) && c != '~')
	})
}

// LoopbackHosts lets requests for localhost or a loopback address through to next, and refuses
// all others with 421: a page that rebinds its own name to 127.0.0.1 must not read the answers
// of a listener on loopback.
func LoopbackHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !isLoopbackHost(req.Host) {
			plainDenial(w, &decision{status: http.StatusMisdirectedRequest, reason: reasonInvalidHost})
			return
		}
		next.ServeHTTP(w, req)
	})
}

// decidedRequest is req as the handler behind the gate is to see it.
func decidedRequest(req *http.Request, r *request, d *decision) (*http.Request, error) {
	target := "/" + r.path
	if r.query != "" {
		target += "?" + r.query
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	inner := req.Clone(req.Context())
	inner.URL, inner.RequestURI = u, target
	for _, name := range d.removals() {
		inner.Header.Del(name)
	}
	if d.upstreamCookie() == cookieReplace {
		inner.Header.Set("Cookie", d.cookieValue)
	}
	if d.bearer != "" {
		inner.Header.Set("Authorization", d.bearer)
	}
	return inner, nil
}

// isLoopbackHost reports whether a Host header names this machine and nothing else.
func isLoopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// peek reads the beginning of body and returns it with a body that still has all of it, and
// the error that ended it early.
func peek(body io.ReadCloser) ([]byte, io.ReadCloser, error) {
	head, err := io.ReadAll(io.LimitReader(body, maxAuditBody))
	var rest io.Reader = body
	if err != nil {
		rest = failing{err} // the handler gets the same error at the same place
	}
	return head, struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), body}, err
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
