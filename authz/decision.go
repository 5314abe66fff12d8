package authz

import (
	"net/netip"

	"barong/internal/account"
)

// A request is one question, from Envoy's protobuf or from HTTP. Its strings alias the
// message that it was read from: whatever outlives the answer must be cloned.
//
// The reader (wire.go or forward.go) fills the first two groups, parse fills the third.
type request struct {
	// As sent. Of repeated headers the last one wins, as in Envoy's own map; gRPC mode
	// joins repeats with a comma before we see them.
	method    string // request line's, not folded
	target    string // path with query and fragment
	host      string // authority
	scheme    string // of the client's request, as the proxy says; "" when nobody does
	userAgent string
	cookie    string
	csrf      string // x-csrf-token
	apiKey    string // x-auth-apikey
	nonce     string // x-auth-nonce
	signature string // x-auth-signature
	origin    string
	// forwardedFor is X-Forwarded-For; edgeIP is the header that the configured edge
	// network sets (cf-connecting-ip or true-client-ip).
	forwardedFor, cfConnectingIP, trueClientIP string
	requestID                                  string // x-request-id
	contentType                                string
	upgrade                                    string // the Upgrade header
	body                                       string // at most the part that the gateway sent; for audit only
	peer                                       netip.Addr
	bodyBroken                                 bool // it could not be read to its end
	// peerPipe is set when the peer spoke over a Unix socket and so has no address.
	peerPipe bool

	// Which headers were present at all, even empty (AZ-80, AZ-87).
	hasCSRF, hasAPIKey, hasNonce, hasSignature, hasCookie bool
	// requestMethod is whether Access-Control-Request-Method was present (preflight, D23).
	hasRequestMethod, hasOrigin bool
	hasHTTP2Settings            bool // HTTP2-Settings, which belongs to Upgrade: h2c
	// extra are other headers whose names start with x-auth-, to be removed on allow (D12).
	extra []string
	// repeat has a bit per headerName for headers that came several times unjoined.
	repeat uint32

	// Derived by parse.
	path  string     // canonical: no leading or trailing slash, no query, unreserved decoded
	bare  string     // path without the last dot suffix of its last segment (FX-5)
	query string     // after the first '?', as sent
	verb  string     // method; GET for HEAD
	ip    netip.Addr // client address, unmapped (D13)
	// suspect is the doubt about ip, also when parse refuses.
	suspect suspicion

	// scratch backs the strings that parse, sessionCookies and stripOwn could not cut out of
	// the message. Strings in it stay as they are while the request lives.
	scratch []byte
}

// A decision is the answer before it is put into the words of a protocol.
type decision struct {
	status int    // 200 for allow, otherwise the denial's HTTP status
	reason string // wire code of the denial, "" on allow
	// detail is a JSON object that helps the author of a bot to mend the request, "" for none.
	detail string
	// outage marks an answer that says nothing about the caller: error_response on gRPC
	// (design D20), with retry-after.
	outage bool

	bearer string // "Bearer <jwt>", "" when none is minted
	// cookie is the fate of the Cookie header on allow: keep it, replace it by
	// cookieValue, or remove it (design D12).
	cookie      cookieFate
	cookieValue string
	// component is set when the credentials that were read stay here: the upstream of an
	// allow is a component, not Barong, and gets none of them (removedComponents).
	component bool
	// remove lists further request headers to remove on allow.
	remove []string
	// clearCookie deletes the session cookie at the client (FX-16).
	clearCookie string // the whole Set-Cookie value, "" for none

	who      *account.Principal // nil before a credential was proved
	via      credentialKind     // how the caller tried to prove its identity
	kid      string             // of the API key that was presented, if it exists
	uid      string             // whose session or key was presented, for the log; "" when unknown
	ended    bool               // the session was misused and has been ended
	cause    error              // of an outage, for the log; never shown
	snapshot int64              // policy version that decided
	// restriction is the id of the row that refused, for the log; 0 for none.
	restriction int64
	id          string // decision id, "" unless someone will read it
	metadata    bool   // dynamic_metadata wanted
}

type cookieFate uint8

const (
	cookieKeep cookieFate = iota
	cookieReplace
	cookieRemove
)
