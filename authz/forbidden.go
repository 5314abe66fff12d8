package authz

import (
	"slices"
	"strings"
)

// A ForbiddenHeader is a request header that no client may say to an upstream, since some
// upstream, framework or proxy believes it.
//
// The shipped proxy files delete each of them, or put their own value in its place, in every
// spelling: many upstreams read X_Foo and X.Foo as X-Foo (CGI, WSGI, Rack, PHP). The tests in
// e2e hold the files to this list and send each name through every proxy.
type ForbiddenHeader struct {
	// Name is in lower case; a '*' at its end stands for any rest.
	Name string
	// Because is the information that an upstream would take from it.
	Because string
	// Read is set for a header that Barong itself reads: it is taken away after the decision,
	// and from components only, since Barong's own API reads it again.
	Read bool
	// Answered is set for a header that every allow takes away as well, so that an operator's
	// own proxy file may forget it.
	Answered bool
}

// forbidden is that list. Headers of the gateway itself (addresses, host, scheme, request id)
// are not in the answers: the proxy may have set them to values of its own before it asked.
var forbidden = []ForbiddenHeader{
	{Name: "authorization", Because: "a token that Barong did not mint"}, // each answer sets or removes it
	{Name: "proxy-authorization", Because: "credentials of another hop"},
	{Name: "jwtuid", Because: "the identity of the caller", Answered: true},
	{Name: "jwtrole", Because: "the identity of the caller", Answered: true},
	{Name: "x-barong-*", Because: "Barong's own words to a proxy"},
	{Name: "remote-*", Because: "the identity of the caller"},
	{Name: "x-remote-*", Because: "the identity or place of the caller"},
	{Name: "x-forwarded-user", Because: "the identity of the caller"},
	{Name: "x-forwarded-email", Because: "the identity of the caller"},
	{Name: "x-forwarded-groups", Because: "the identity of the caller"},
	{Name: "x-forwarded-preferred-username", Because: "the identity of the caller"},
	{Name: "x-forwarded-access-token", Because: "a token that Barong did not mint"},
	{Name: "x-forwarded-client-cert", Because: "a certificate that nobody checked"},
	{Name: "x-webauth-*", Because: "the identity of the caller"},
	{Name: "client-cert*", Because: "a certificate that nobody checked"},
	{Name: "ssl-client-*", Because: "a certificate that nobody checked"},
	{Name: "x-client-cert*", Because: "a certificate that nobody checked"},
	{Name: "x-ssl-*", Because: "a certificate that nobody checked"},
	{Name: "x-forwarded-tls-*", Because: "a certificate that nobody checked"},
	{Name: "x-authenticated-*", Because: "the identity of the caller"},
	{Name: "x-consumer-*", Because: "the identity of the caller"},
	{Name: "x-amzn-oidc-*", Because: "the identity of the caller"},
	{Name: "x-goog-*", Because: "the identity of the caller"},
	{Name: "x-ms-client-*", Because: "the identity of the caller"},
	{Name: "x-pomerium-*", Because: "the identity of the caller"},
	{Name: "cf-access-*", Because: "the identity of the caller"},
	{Name: "x-middleware-*", Because: "checks of its framework that were made already"},

	{Name: "x-http-method-override", Because: "another method than was judged", Answered: true},
	{Name: "x-http-method", Because: "another method than was judged", Answered: true},
	{Name: "x-method-override", Because: "another method than was judged", Answered: true},
	{Name: "x-original-method", Because: "another method than was judged", Answered: true},
	{Name: "x-forwarded-method", Because: "another method than was judged"},
	{Name: "x-original-url", Because: "another path than was judged", Answered: true},
	{Name: "x-original-uri", Because: "another path than was judged", Answered: true},
	{Name: "x-rewrite-url", Because: "another path than was judged", Answered: true},
	{Name: "x-forwarded-uri", Because: "another path than was judged"},
	{Name: "x-forwarded-path", Because: "another path than was judged"},
	{Name: "x-forwarded-prefix", Because: "another path than was judged"},
	{Name: "x-original-path", Because: "another path than was judged"},
	{Name: "x-replaced-path", Because: "another path than was judged"},
	{Name: "x-script-name", Because: "another path than was judged"},

	{Name: "forwarded", Because: "another address, host or scheme than the gateway's words"},
	{Name: "x-forwarded", Because: "another address, host or scheme than the gateway's words"},
	{Name: "x-forwarded-by", Because: "another address than the gateway's words"},
	{Name: "x-forwarded-host", Because: "another host than the request's"},
	{Name: "x-forwarded-server", Because: "another host than the request's"},
	{Name: "x-host", Because: "another host than the request's"},
	{Name: "x-original-host", Because: "another host than the request's"},
	{Name: "x-forwarded-port", Because: "another port than the gateway's"},
	{Name: "x-forwarded-proto", Because: "another scheme than the gateway's"},
	{Name: "x-forwarded-scheme", Because: "another scheme than the gateway's"},
	{Name: "x-forwarded-ssl", Because: "another scheme than the gateway's"},
	{Name: "x-url-scheme", Because: "another scheme than the gateway's"},
	{Name: "front-end-https", Because: "another scheme than the gateway's"},
	{Name: "client-ip", Because: "another address than the client's"},
	{Name: "x-client-ip", Because: "another address than the client's"},
	{Name: "x-cluster-client-ip", Because: "another address than the client's"},
	{Name: "x-real-ip", Because: "another address than the client's"},
	{Name: "x-originating-ip", Because: "another address than the client's"},
	{Name: "fastly-client-ip", Because: "another address than the client's"},
	{Name: "fly-client-ip", Because: "another address than the client's"},
	{Name: "cf-connecting-ipv6", Because: "another address than the client's"},
	{Name: "x-appengine-*", Because: "another address than the client's"},
	{Name: "x-request-id", Because: "the request id that the gateway gives"},
	{Name: "x-envoy-*", Because: "orders to an Envoy behind the gateway"},
	{Name: "x-accel-*", Because: "files that an upstream is to send instead of its answer"},
	{Name: "x-sendfile-type", Because: "files that an upstream is to send instead of its answer"},
	{Name: "proxy", Because: "HTTP_PROXY in the environment of a CGI program"},
	{Name: "http2-settings", Because: "a tunnel past the gate (Upgrade: h2c)"},

	{Name: "x-auth-*", Because: "the proof of an API key, and the identity of the caller", Read: true, Answered: true},
	{Name: "x-csrf-token", Because: "the secret of a session", Read: true, Answered: true},
	{Name: "cf-connecting-ip", Because: "another address than the client's", Read: true, Answered: true},
	{Name: "true-client-ip", Because: "another address than the client's", Read: true, Answered: true},
}

// ForbiddenHeaders are the request headers that no client may say to an upstream.
func ForbiddenHeaders() []ForbiddenHeader { return slices.Clone(forbidden) }

// The headers that an allow removes by name: on every path, and for components. Of x-auth-*
// those are the three that are read; others of a request are added to its own answer.
var (
	removedAlways     = answered(false)
	removedComponents = append(apiKeyHeaders[:], answered(true)...)

	// The same as fields of OkHttpResponse.
	removeAlways     = removeFields(removedAlways)
	removeComponents = removeFields(removedComponents)
)

// apiKeyHeaders carry an API key's proof.
var apiKeyHeaders = [...]string{"x-auth-apikey", "x-auth-nonce", "x-auth-signature"}

func answered(read bool) (names []string) {
	for _, h := range forbidden {
		if h.Answered && h.Read == read && !strings.HasSuffix(h.Name, "*") {
			names = append(names, h.Name)
		}
	}
	return names
}

func removeFields(names []string) string {
	var b []byte
	for _, name := range names {
		b = appendText(b, tagRemove, name)
	}
	return string(b)
}
