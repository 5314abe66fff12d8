package authz

import (
	"slices"
	"strings"

	"barong/internal/signin"
)

// maxCookie is the longest Cookie header that names a session. Browsers stay far below it;
// proxies let through many times as much.
const maxCookie = 16 << 10

// maxSessionCookies is how many different values of the session cookie one request may have.
const maxSessionCookies = 4

// sessionCookies are the different values of the session cookie in one request, in the order
// in which they were first met.
type sessionCookies struct {
	value [maxSessionCookies]string // percent-decoded unless an escape is broken; may be empty
	n     int                       // how many there are
	more  bool                      // there are others, or may be: none of them can be known
}

// all are the values.
func (c *sessionCookies) all() []string { return c.value[:c.n] }

// sessionCookies finds the values of the cookie called name (AZ-9). A Cookie header above
// maxCookie names no session. The values alias the header or lie in the scratch memory.
func (r *request) sessionCookies(name string) (found sessionCookies) {
	if !r.hasCookie || len(r.cookie) > maxCookie {
		return found
	}
	r.scratch = found.find(r.cookie, name, r.scratch)
	// Several Cookie headers: only the last one was kept, the others may differ.
	found.more = found.more || r.repeat>>headerCookie&1 != 0
	return found
}

// find adds the cookies called name in a Cookie header and gives the scratch memory
// back longer. A pair without '=' is no cookie. It takes time linear in the header: it looks
// only at text between two semicolons that holds the name.
func (c *sessionCookies) find(header, name string, scratch []byte) []byte {
	names := cookieNames{name}
	for {
		at := strings.Index(header, name)
		if at < 0 {
			return scratch
		}
		from := strings.LastIndexByte(header[:at], ';') + 1
		segment, rest, more := cutByte(header[from:], ';')
		for left := true; left; {
			var pair string
			var value int
			var own bool
			pair, value, own, segment, left = nextPair(segment, &names)
			if !own || value < 0 {
				continue
			}
			start := len(scratch)
			var v string
			v, scratch = unescape(trim(pair[value:]), scratch)
			switch {
			case c.n > 0 && slices.Contains(c.all(), v):
				scratch = scratch[:start]
			case c.n == maxSessionCookies:
				c.more = true
				return scratch[:start]
			default:
				c.value[c.n] = v
				c.n++
			}
		}
		if !more {
			return scratch
		}
		header = rest
	}
}

// stripCookies cuts every cookie of one of names out of a Cookie header, even a pair without
// '='. The other cookies stay byte for byte and in order, joined by "; ". When there was
// none to cut the header is to be kept, when nothing else is left it is to be removed. The
// value aliases the header if one cookie is left, otherwise it lies in the scratch memory,
// which is given back longer. It takes time linear in the header.
func stripCookies(header string, names cookieNames, scratch []byte) (fate cookieFate, value string, rest []byte) {
	if !names.in(header) {
		return cookieKeep, "", scratch
	}
	var first string
	start, kept, cut := len(scratch), 0, false
	for more := true; more; {
		var segment string
		segment, header, more = cutByte(header, ';')
		for left := true; left; {
			var pair string
			var own bool
			pair, _, own, segment, left = nextPair(segment, &names)
			if own {
				cut = true
				continue
			}
			switch pair = trim(pair); {
			case pair == "":
				continue
			case kept == 0:
				first = pair
			case kept == 1:
				scratch = append(append(scratch, first...), "; "...)
				scratch = append(scratch, pair...)
			default:
				scratch = append(append(scratch, "; "...), pair...)
			}
			kept++
		}
	}
	switch {
	case !cut:
		return cookieKeep, "", scratch[:start]
	case kept == 0:
		return cookieRemove, "", scratch
	case kept == 1:
		return cookieReplace, first, scratch
	}
	return cookieReplace, text(scratch[start:]), scratch
}

// cookieNames are the names of our own cookies; an empty one stands for none.
type cookieNames [2]string

// in reports whether header holds one of them, in whatever place.
func (n *cookieNames) in(header string) bool {
	for _, name := range n {
		if name != "" && strings.Contains(header, name) {
			return true
		}
	}
	return false
}

// stripOwn is stripCookies of our own cookies, the session and the device, on the request's own
// header (design D12). When several Cookie headers came unjoined, of which only the last is
// known, all of them are to be removed.
func (r *request) stripOwn(session string) (fate cookieFate, value string) {
	switch {
	case !r.hasCookie:
		return cookieKeep, ""
	case r.repeat>>headerCookie&1 != 0:
		return cookieRemove, ""
	}
	fate, value, r.scratch = stripCookies(r.cookie, cookieNames{session, signin.DeviceCookie}, r.scratch)
	return fate, value
}

// nextPair cuts the first pair off the text between two semicolons of a Cookie header; more
// reports whether there is another, own whether it is one of ours, and value is where its value
// starts, -1 without an '='. But for these, two Cookie lines of HTTP/1.1 reach us joined by a comma
// (AZ-19), so that a comma also ends a pair of ours, and begins one. Elsewhere commas belong to
// values.
//
// No byte is looked at more than a few times, whatever the header: a pair is cut before it is
// trimmed, and a comma is followed by a look at a name, not at the rest.
func nextPair(segment string, names *cookieNames) (pair string, value int, own bool, rest string, more bool) {
	value, own = names.begin(segment)
	end := strings.IndexByte(segment, ',')
	for !own && end >= 0 {
		if v, begins := names.begin(segment[end+1:]); begins && v >= 0 {
			break
		}
		next := strings.IndexByte(segment[end+1:], ',')
		if next < 0 {
			end = -1
			break
		}
		end += 1 + next
	}
	if end < 0 {
		return segment, value, own, "", false
	}
	return segment[:end], value, own, segment[end+1:], true
}

// begin reports whether s begins with a pair of ours, and returns where its value starts:
// after the '=', or at -1 when the pair ends without one.
func (n *cookieNames) begin(s string) (value int, ok bool) {
	at := blanks(s)
	for i := range n {
		name := n[i]
		if len(s)-at < len(name) || name == "" || s[at] != name[0] || s[at:at+len(name)] != name {
			continue
		}
		end := at + len(name)
		end += blanks(s[end:])
		switch {
		case end == len(s) || s[end] == ',':
			return -1, true
		case s[end] == '=':
			return end + 1, true
		}
	}
	return -1, false
}

// blanks is how many blanks s begins with.
func blanks(s string) int {
	n := 0
	for n < len(s) && (s[n] == ' ' || s[n] == '\t') {
		n++
	}
	return n
}

// cutByte is strings.Cut for one byte, at half the cost.
func cutByte(s string, c byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, c); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// trim cuts the blanks that HTTP allows around a value.
func trim(s string) string {
	s = s[blanks(s):]
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// unescape percent-decodes s, or leaves it when an escape in it is broken.
func unescape(s string, scratch []byte) (string, []byte) {
	if strings.IndexByte(s, '%') < 0 {
		return s, scratch
	}
	start := len(scratch)
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			scratch = append(scratch, s[i])
			continue
		}
		c, ok := escape(s[i:])
		if !ok {
			return s, scratch[:start]
		}
		scratch = append(scratch, c)
		i += 2
	}
	return text(scratch[start:]), scratch
}
