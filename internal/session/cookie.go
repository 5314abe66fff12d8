package session

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"barong/internal/secret"
)

// CookieLife is how long the browser keeps the cookie (AZ-241).
const CookieLife = 24 * time.Hour

// cookieLen is the length of a cookie value: 16 random bytes in lower-case hex (AZ-240).
const cookieLen = 32

// NewCookie makes a cookie value.
func NewCookie() string { return secret.Hex(cookieLen / 2) }

// IDOf returns the ID of a cookie value: the SHA-256 of its 32 characters (AZ-245). It
// reports false for everything but 32 lower-case hex digits, and allocates nothing.
func IDOf(cookie string) (ID, bool) {
	var text [cookieLen]byte
	if len(cookie) != cookieLen {
		return ID{}, false
	}
	for i := range text {
		c := cookie[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ID{}, false
		}
		text[i] = c
	}
	return sha256.Sum256(text[:]), true
}

// Cookie is the Set-Cookie value that hands out a session (AZ-241, FX-47): for the whole
// site, hidden from scripts, not sent along by other sites' forms; secure unless the
// browser comes over plain http. maxAge is CookieLife in production.
func Cookie(name, value string, secure bool, maxAge time.Duration, now time.Time) string {
	return attributes(name+"="+value+"; path=/; expires="+now.Add(maxAge).UTC().Format(http.TimeFormat)+
		"; Max-Age="+strconv.Itoa(int(maxAge/time.Second)), secure)
}

// ClearCookie is the Set-Cookie value that deletes the session cookie (FX-16).
func ClearCookie(name string, secure bool) string {
	return attributes(name+"=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", secure)
}

// ClearTwins are the Set-Cookie values that delete cookies called name of other paths and
// domains than that of Cookie, as an older deployment or a page of a sister site may have left
// them: below which the request's path lies, for its host and for the domains above it. They
// go before the cookie itself: by RFC 6265 §5.3 one of the host's domain is the same.
func ClearTwins(name string, secure bool, host, path string) (all []string) {
	paths := []string{"/"}
	for i := 1; i < len(path) && len(paths) <= maxTwins; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i])
		}
	}
	domains := []string{""}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !strings.ContainsAny(host, ";, \t") {
		for d := host; strings.Contains(d, ".") && len(domains) <= maxTwins; _, d, _ = strings.Cut(d, ".") {
			domains = append(domains, d)
		}
	}
	for _, d := range domains {
		for _, p := range paths {
			if d == "" && p == "/" {
				continue // the one of Cookie
			}
			c := name + "=; path=" + p
			if d != "" {
				c += "; domain=" + d
			}
			all = append(all, attributes(c+"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", secure))
		}
	}
	return all
}

// maxTwins is how many paths and how many domains ClearTwins goes up.
const maxTwins = 4

func attributes(cookie string, secure bool) string {
	cookie += "; HttpOnly; SameSite=Lax"
	if secure {
		cookie += "; Secure"
	}
	return cookie
}
