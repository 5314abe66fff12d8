package authz

import (
	"slices"
	"strings"
)

// A headerName is one of the request headers that a decision reads.
type headerName uint8

const (
	headerCookie headerName = iota
	headerCSRF
	headerAPIKey
	headerNonce
	headerSignature
	headerOrigin
	headerForwardedFor
	headerCFConnectingIP
	headerTrueClientIP
	headerRequestID
	headerContentType
	headerUpgrade
	headerUserAgent
	headerRequestMethod
	headerHTTP2Settings
	headerCount

	headerExtra headerName = 0xfe // another x-auth-* header, to be removed (D12)
	headerOther headerName = 0xff
)

// longestHeader is the length of the longest name of lookUpLower.
const longestHeader = len("access-control-request-method")

// lookUpHeader returns the header that a name stands for, in any ASCII case.
func lookUpHeader(name string) headerName {
	if h := lookUpLower(name); h != headerOther {
		return h
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			var folded [longestHeader]byte
			n := copy(folded[:], name)
			for j := range folded[:n] {
				if c := folded[j]; 'A' <= c && c <= 'Z' {
					folded[j] = c + 'a' - 'A'
				}
			}
			h := lookUpLower(string(folded[:n]))
			if n < len(name) && h != headerExtra {
				h = headerOther // only a beginning was looked at
			}
			return h
		}
	}
	return headerOther
}

func lookUpLower(name string) headerName {
	switch name {
	case "cookie":
		return headerCookie
	case "x-csrf-token":
		return headerCSRF
	case "x-auth-apikey":
		return headerAPIKey
	case "x-auth-nonce":
		return headerNonce
	case "x-auth-signature":
		return headerSignature
	case "origin":
		return headerOrigin
	case "x-forwarded-for":
		return headerForwardedFor
	case "cf-connecting-ip":
		return headerCFConnectingIP
	case "true-client-ip":
		return headerTrueClientIP
	case "x-request-id":
		return headerRequestID
	case "content-type":
		return headerContentType
	case "upgrade":
		return headerUpgrade
	case "user-agent":
		return headerUserAgent
	case "access-control-request-method":
		return headerRequestMethod
	case "http2-settings":
		return headerHTTP2Settings
	}
	if strings.HasPrefix(name, "x-auth-") {
		return headerExtra
	}
	return headerOther
}

// headers collects from a message the headers of headerName.
type headers struct {
	value    [headerCount]string
	spelling [headerCount]string // as the map spelled the name that counts
	seen     uint32              // bit per headerName: present
	listed   uint32              // present in the list
	repeat   uint32              // more than once in the list
}

// fromMap takes one entry of the header map.
func (h *headers) fromMap(r *request, name, value string) {
	n := lookUpHeader(name)
	if n >= headerCount {
		if n == headerExtra {
			r.extra = append(r.extra, name)
		}
		return
	}
	if h.listed>>n&1 != 0 || h.spelling[n] > name {
		return
	}
	h.value[n], h.spelling[n] = value, name
	h.seen |= 1 << n
}

// fromList takes one entry of the header list.
func (h *headers) fromList(r *request, name, value string) {
	n := lookUpHeader(name)
	if n >= headerCount {
		if n == headerExtra {
			r.extra = append(r.extra, name)
		}
		return
	}
	h.repeat |= h.listed & (1 << n)
	h.value[n] = value
	h.seen |= 1 << n
	h.listed |= 1 << n
}

// fill moves the headers into the request.
func (h *headers) fill(r *request) {
	has := func(n headerName) bool { return h.seen>>n&1 != 0 }
	r.cookie, r.hasCookie = h.value[headerCookie], has(headerCookie)
	r.csrf, r.hasCSRF = h.value[headerCSRF], has(headerCSRF)
	r.apiKey, r.hasAPIKey = h.value[headerAPIKey], has(headerAPIKey)
	r.nonce, r.hasNonce = h.value[headerNonce], has(headerNonce)
	r.signature, r.hasSignature = h.value[headerSignature], has(headerSignature)
	r.origin, r.hasOrigin = h.value[headerOrigin], has(headerOrigin)
	r.hasRequestMethod = has(headerRequestMethod)
	r.hasHTTP2Settings = has(headerHTTP2Settings)
	r.forwardedFor = h.value[headerForwardedFor]
	r.cfConnectingIP = h.value[headerCFConnectingIP]
	r.trueClientIP = h.value[headerTrueClientIP]
	r.requestID = h.value[headerRequestID]
	r.contentType = h.value[headerContentType]
	r.upgrade = h.value[headerUpgrade]
	r.userAgent = h.value[headerUserAgent]
	r.repeat = h.repeat

	if len(r.extra) > 1 {
		slices.Sort(r.extra) // one order for both codecs, and each name once
		r.extra = slices.Compact(r.extra)
	}
}
