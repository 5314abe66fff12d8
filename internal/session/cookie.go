package session

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"barong/internal/secret"
)

// CookieLife is how long the browser keeps the cookie (AZ-241).
const CookieLife = 24 * time.Hour

// cookieLen is the length of a cookie value: 16 random bytes in lower-case hex (AZ-240).
const cookieLen = 32

// newCookie makes a cookie value.
func newCookie() string { return secret.Hex(cookieLen / 2) }

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

func attributes(cookie string, secure bool) string {
	cookie += "; HttpOnly; SameSite=Lax"
	if secure {
		cookie += "; Secure"
	}
	return cookie
}
