package authz

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// reasonInvalidRequest refuses, with status 400, bytes that are no message and a message that
// does not say where it came from.
const reasonInvalidRequest = "authz.invalid_request"

// A parseConfig is the configuration of parse. It is read-only once made, so any number of
// goroutines may share it.
type parseConfig struct {
	trusted   *bart.Lite // proxies whose X-Forwarded-For is believed
	edge      edge
	edgePeers *bart.Lite // networks of the edge
	trustPipe bool       // a peer on a Unix socket counts as a trusted loopback proxy
}

// newParseConfig makes a parseConfig. gateway is "none" (or empty), "cloudflare" or
// "akamai"; akamai lists Akamai's networks and is needed for that gateway alone.
// trustPipe says whether a peer on a Unix socket is a proxy of ours; if not, such requests
// are refused.
func newParseConfig(trusted []netip.Prefix, gateway string, akamai []netip.Prefix, trustPipe bool) (*parseConfig, error) {
	c := &parseConfig{trustPipe: trustPipe}
	var err error
	if c.trusted, err = networks(trusted); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	switch gateway {
	case "", "none":
	case "cloudflare":
		c.edge = edgeCloudflare
		c.edgePeers, err = networks(cloudflareNetworks())
	case "akamai":
		c.edge = edgeAkamai
		if len(akamai) == 0 {
			return nil, errors.New("gateway akamai needs the list of Akamai's networks")
		}
		c.edgePeers, err = networks(akamai)
	default:
		return nil, fmt.Errorf("gateway %q is none of none, cloudflare, akamai", gateway)
	}
	if err != nil {
		return nil, fmt.Errorf("networks of gateway %s: %w", gateway, err)
	}
	return c, nil
}

// parse derives the third group of fields from the first two. It returns 0 and "" when a
// decision can be made, otherwise the status and reason of the denial; the derived fields
// are then not to be used. It allocates nothing once scratch is large enough.
func (r *request) parse(c *parseConfig) (status int, reason string) {
	switch r.method {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		r.verb = r.method
	case "HEAD":
		r.verb = "GET"
	default:
		return http.StatusMethodNotAllowed, reasonInvalidMethod
	}
	var ok bool
	if r.path, r.query, r.scratch, ok = canonical(r.target, r.scratch); !ok {
		return http.StatusUnauthorized, reasonPermissionDenied
	}
	r.bare = withoutSuffix(r.path)
	r.ip, r.suspect = c.clientIP(r)
	switch {
	case r.suspect == suspectUnreadable:
		return http.StatusUnauthorized, reasonPermissionDenied
	case !r.ip.IsValid():
		return http.StatusBadRequest, reasonInvalidRequest
	}
	return 0, ""
}

// apiKeyHeaders reports whether the request presents an API key (AZ-80: one of the three
// headers is enough, even empty) and whether all three can be used: not blank (AZ-81),
// and sent once, which a comma in the value denies (FX-45).
func (r *request) apiKeyHeaders() (present, ok bool) {
	if !r.hasAPIKey && !r.hasNonce && !r.hasSignature {
		return false, false
	}
	const all = 1<<headerAPIKey | 1<<headerNonce | 1<<headerSignature
	return true, r.repeat&all == 0 && sentOnce(r.apiKey) && sentOnce(r.nonce) && sentOnce(r.signature)
}

// csrfOnce reports whether X-CSRF-Token was sent once; if not, it matches nothing (FX-45).
func (r *request) csrfOnce() bool {
	return r.hasCSRF && r.repeat>>headerCSRF&1 == 0 && strings.IndexByte(r.csrf, ',') < 0
}

func sentOnce(v string) bool {
	return strings.TrimSpace(v) != "" && strings.IndexByte(v, ',') < 0
}

// parseNonce reads X-Auth-Nonce, milliseconds since 1970: one to sixteen digits that do
// not start with 0 (FX-11).
func parseNonce(s string) (ms int64, ok bool) {
	if len(s) < 1 || len(s) > 16 || s[0] == '0' {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		ms = ms*10 + int64(c)
	}
	return ms, true
}

// reset empties r for its next use and keeps the memory of its slices, unless a request
// out of the ordinary made them grow.
func (r *request) reset() {
	extra, scratch := r.extra, r.scratch
	clear(extra) // they point into the message
	if cap(extra) > 64 {
		extra = nil
	}
	if cap(scratch) > 4*maxPath {
		scratch = nil
	}
	*r = request{extra: extra[:0], scratch: scratch[:0]}
}
