package authz

import "strings"

// findCookie is the value of the first cookie called name in a Cookie header (AZ-9),
// percent-decoded unless an escape in it is broken. differ says that a later one of the
// same name has another value (FX-45). A pair without '=' is no cookie. The value aliases
// the header or lies in the scratch memory, which is given back longer.
func findCookie(header, name string, scratch []byte) (value string, differ bool, rest []byte) {
	if !strings.Contains(header, name) {
		return "", false, scratch
	}
	found := false
	for more := true; more; {
		var pair string
		pair, header, more = nextPair(header, name)
		v, ok := valueOf(trim(pair), name)
		if !ok || v == "" {
			continue
		}
		v, scratch = unescape(trim(v[1:]), scratch)
		switch {
		case !found:
			value, found = v, true
		case v != value:
			return value, true, scratch
		}
	}
	return value, false, scratch
}

// stripCookie cuts every cookie called name out of a Cookie header, even a pair without
// '='. The other cookies stay byte for byte and in order, joined by "; ". When there was
// none to cut the header is to be kept, when nothing else is left it is to be removed. The
// value aliases the header if one cookie is left, otherwise it lies in the scratch memory,
// which is given back longer.
func stripCookie(header, name string, scratch []byte) (fate cookieFate, value string, rest []byte) {
	if !strings.Contains(header, name) {
		return cookieKeep, "", scratch
	}
	var first string
	start, kept, cut := len(scratch), 0, false
	for more := true; more; {
		var pair string
		pair, header, more = nextPair(header, name)
		pair = trim(pair)
		_, named := valueOf(pair, name)
		switch {
		case named:
			cut = true
			continue
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

// stripSession is stripCookie on the request's own header. When several Cookie headers
// came unjoined, of which only the last is known, all of them are to be removed.
func (r *request) stripSession(name string) (fate cookieFate, value string) {
	switch {
	case !r.hasCookie:
		return cookieKeep, ""
	case r.repeat>>headerCookie&1 != 0:
		return cookieRemove, ""
	}
	fate, value, r.scratch = stripCookie(r.cookie, name, r.scratch)
	return fate, value
}

// nextPair cuts the first pair off a Cookie header. Pairs end at a semicolon; but two Cookie
// lines of HTTP/1.1 reach us joined by a comma (AZ-19), so that one also ends the pair of
// the cookie called name, and begins one. Elsewhere commas belong to values.
func nextPair(header, name string) (pair, rest string, more bool) {
	pair, rest, more = cutByte(header, ';')
	comma := strings.IndexByte(pair, ',')
	if comma < 0 {
		return pair, rest, more
	}
	if _, own := valueOf(trim(pair[:comma]), name); own {
		return pair[:comma], header[comma+1:], true
	}
	for i := comma; i < len(pair); i++ {
		if pair[i] != ',' {
			continue
		}
		if v, begins := valueOf(trim(pair[i+1:]), name); begins && v != "" {
			return pair[:i], header[i+1:], true
		}
	}
	return pair, rest, more
}

// valueOf reports whether a trimmed pair is of the cookie called name, and gives what
// follows the name: "" when there is no '=', else the text from it on.
func valueOf(pair, name string) (rest string, ok bool) {
	if !strings.HasPrefix(pair, name) {
		return "", false
	}
	rest = trim(pair[len(name):])
	return rest, rest == "" || rest[0] == '='
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
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
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
