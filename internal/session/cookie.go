package session

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"slices"
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

// Cookies reads and makes the session cookies of one deployment.
type Cookies struct {
	// Name of the cookie. Without one no request has any, and none can be made.
	Name string
	// Insecure leaves the attribute Secure out: for plain http on loopback only.
	Insecure bool
}

// A request has at most so many different values of one cookie, in Cookie headers of so many
// bytes: as the decision reads them.
const (
	maxValues = 4
	maxCookie = 16 << 10
)

// Of returns the different values of r's session cookie that are not empty, in order; none when
// there are more than four or when the header is longer than 16 KiB, as then none of them can be
// known.
func (c Cookies) Of(r *http.Request) (values []string) {
	length := 0
	for _, line := range r.Header["Cookie"] {
		length += len(line)
	}
	if length > maxCookie {
		return nil
	}
	for _, one := range r.CookiesNamed(c.Name) {
		if one.Value != "" && !slices.Contains(values, one.Value) {
			values = append(values, one.Value)
		}
	}
	if len(values) > maxValues {
		return nil
	}
	return values
}

// Set is the Set-Cookie value that hands out a session (AZ-241, FX-47): for the whole site, for
// CookieLife, hidden from scripts, not sent along by other sites' forms.
func (c Cookies) Set(value string, now time.Time) string {
	return c.line(value + "; path=/; expires=" + now.Add(CookieLife).UTC().Format(http.TimeFormat) +
		"; Max-Age=" + strconv.Itoa(int(CookieLife/time.Second)))
}

// gone are the attributes that delete a cookie.
const gone = "; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"

// Clear is the Set-Cookie value that deletes the session cookie (FX-16).
func (c Cookies) Clear() string { return c.line("; path=/" + gone) }

// ClearTwins returns the Set-Cookie values that delete the other session cookies of r, where it
// came with more than one: those of other paths and domains, as an older deployment or a page of a
// sister site may have left them. They are for the paths above r's, for its host and for the domains
// above it. They go before the cookie itself: by RFC 6265 §5.3 one of the host's domain is the same.
func (c Cookies) ClearTwins(r *http.Request) (all []string) {
	if len(r.CookiesNamed(c.Name)) < 2 {
		return nil
	}
	host, path := r.Host, r.URL.Path
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
				continue // the one of Set
			}
			text := "; path=" + p
			if d != "" {
				text += "; domain=" + d
			}
			all = append(all, c.line(text+gone))
		}
	}
	return all
}

// maxTwins is how many paths and how many domains ClearTwins goes up.
const maxTwins = 4

// line is a Set-Cookie value: text is the cookie's value and the attributes of its own.
func (c Cookies) line(text string) string {
	text = c.Name + "=" + text + "; HttpOnly; SameSite=Lax"
	if !c.Insecure {
		text += "; Secure"
	}
	return text
}
