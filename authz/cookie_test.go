package authz

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"barong/internal/hostile"
)

const sessionName = "_barong_session"

func foundIn(header, name string, scratch []byte) (found sessionCookies) {
	found.find(header, name, scratch)
	return found
}

func TestFindCookies(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		values []string
		more   bool
	}{
		"none":                               {"", nil, false},
		"another one":                        {"a=b", nil, false},
		"the only one":                       {"_barong_session=x", []string{"x"}, false},
		"among others (AZ-9)":                {"a=1; _barong_session=x; b=2", []string{"x"}, false},
		"split on the first equals sign":     {"_barong_session=x=y", []string{"x=y"}, false},
		"without blanks":                     {"a=1;_barong_session=x;b=2", []string{"x"}, false},
		"with blanks":                        {"a=1;\t _barong_session = x\t;", []string{"x"}, false},
		"percent-decoded":                    {"_barong_session=%78%20y", []string{"x y"}, false},
		"a broken escape is left":            {"_barong_session=%78%2", []string{"%78%2"}, false},
		"a name that contains it":            {"x_barong_session=x; _barong_session2=y", nil, false},
		"names have case":                    {"_Barong_Session=x", nil, false},
		"two that are equal":                 {"_barong_session=x; _barong_session=x", []string{"x"}, false},
		"two that differ":                    {"_barong_session=x; a=b; _barong_session=y", []string{"x", "y"}, false},
		"two that decode to the same":        {"_barong_session=x; _barong_session=%78", []string{"x"}, false},
		"an empty one counts":                {"_barong_session=; _barong_session=y", []string{"", "y"}, false},
		"a pair without equals is no cookie": {"_barong_session; _barong_session=y", []string{"y"}, false},
		"the name in another's value":        {"a=_barong_session", nil, false},
		"joined by commas": {
			"_barong_session=a,_barong_session=b, x=,_barong_session=c,_barong_session", []string{"a", "b", "c"}, false,
		},
		"four": {
			strings.Repeat("_barong_session=a;_barong_session=b;_barong_session=c;_barong_session=d;", 2),
			[]string{"a", "b", "c", "d"}, false,
		},
		"more than four": {
			"_barong_session=a;_barong_session=b;_barong_session=c;_barong_session=d;_barong_session=e",
			[]string{"a", "b", "c", "d"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := foundIn(c.header, sessionName, nil)
			if !slices.Equal(found.all(), c.values) || found.more != c.more {
				t.Errorf("find(%q) = %q, %v, want %q, %v", c.header, found.all(), found.more, c.values, c.more)
			}
		})
	}
}

// The values of several cookies lie in one scratch memory, which grows meanwhile.
func TestFindCookiesKeepsWhatItFound(t *testing.T) {
	header := "_barong_session=%61" + strings.Repeat("a", 100) + ";_barong_session=%62" + strings.Repeat("b", 1000) +
		";_barong_session=%61" + strings.Repeat("a", 100) + ";_barong_session=%63"
	want := []string{strings.Repeat("a", 101), strings.Repeat("b", 1001), "c"}
	for _, room := range []int{0, 100, 2000} {
		if found := foundIn(header, sessionName, make([]byte, 0, room)); !slices.Equal(found.all(), want) {
			t.Errorf("with room for %d bytes: got %.20q, want %.20q", room, found.all(), want)
		}
	}
}

// A header as long as no browser sends names no session; one byte less does.
func TestLongCookieHeaderNamesNoSession(t *testing.T) {
	for length, want := range map[int]int{maxCookie: 1, maxCookie + 1: 0} {
		header := "_barong_session=x; a="
		r := request{cookie: header + strings.Repeat("b", length-len(header)), hasCookie: true}
		if got := r.sessionCookies(sessionName); got.n != want || got.more {
			t.Errorf("%d bytes: %d values (more: %v), want %d", length, got.n, got.more, want)
		}
	}
}

// The session is cut out, the rest stays (D12).
func TestStripCookies(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		fate   cookieFate
		value  string
	}{
		"nothing to cut":           {"a=1; b=2", cookieKeep, ""},
		"the only cookie":          {"_barong_session=x", cookieRemove, ""},
		"the only one, twice":      {"_barong_session=x;; _barong_session=y; ", cookieRemove, ""},
		"in the middle":            {"a=1; _barong_session=x; b=2", cookieReplace, "a=1; b=2"},
		"in front":                 {"_barong_session=x; b=2", cookieReplace, "b=2"},
		"at the end":               {"b=2 ; _barong_session=x", cookieReplace, "b=2"},
		"all of several":           {"_barong_session=x; a=%41; _barong_session=y; b; c==", cookieReplace, "a=%41; b; c=="},
		"with blanks in its name":  {"a=1; _barong_session =x", cookieReplace, "a=1"},
		"without an equals sign":   {"a=1; _barong_session", cookieReplace, "a=1"},
		"the name inside a value":  {"a=_barong_session", cookieKeep, ""},
		"others stay byte by byte": {"a=\xff\"x y\" ; _barong_session=x;b= 2", cookieReplace, "a=\xff\"x y\"; b= 2"},
	} {
		t.Run(name, func(t *testing.T) {
			fate, value, _ := stripCookies(c.header, cookieNames{sessionName}, nil)
			if fate != c.fate || value != c.value {
				t.Errorf("stripCookies(%q) = %d, %q, want %d, %q", c.header, fate, value, c.fate, c.value)
			}
		})
	}
}

func TestStripSessionOfSeveralHeaders(t *testing.T) {
	r := request{cookie: "a=1", hasCookie: true, repeat: 1 << headerCookie}
	if fate, _ := r.stripOwn(sessionName); fate != cookieRemove {
		t.Errorf("got fate %d, want the header removed: the other lines are unknown", fate)
	}
}

var cookieMarks = []string{";", ",", " ", "\t", "=", "%", "%4", "\""}

// The cost of a Cookie header is linear in its length, wherever its delimiters and blanks
// are: finding the session and cutting it out.
func TestCookieTimeIsLinear(t *testing.T) {
	g := hostile.Grammar{
		Words: []string{"_barong_session=a", "_barong_session", "b=1"}, Marks: cookieMarks, Longest: 64 << 10,
	}
	var scratch []byte
	hostile.Linear(t, g, func(header string) {
		var found sessionCookies
		scratch = found.find(header, sessionName, scratch[:0])
		_, _, scratch = stripCookies(header, cookieNames{sessionName}, scratch[:0])
	})
}

func blank(r rune) bool { return r == ' ' || r == '\t' }

func naiveCookies(header, name string) (values, others []string, cut bool) {
	var pairs []string
	is := func(pair string, valueless bool) bool {
		n, _, ok := strings.Cut(pair, "=")
		return strings.TrimFunc(n, blank) == name && (ok || valueless)
	}
	for _, segment := range strings.Split(header, ";") {
		pieces := strings.Split(segment, ",")
		pair := pieces[0]
		for _, next := range pieces[1:] {
			if is(pair, true) || is(next, false) {
				pairs = append(pairs, pair)
				pair = next
			} else {
				pair += "," + next
			}
		}
		pairs = append(pairs, pair)
	}
	for _, pair := range pairs {
		pair = strings.TrimFunc(pair, blank)
		parts := strings.SplitN(pair, "=", 2)
		if strings.TrimFunc(parts[0], blank) != name {
			if pair != "" {
				others = append(others, pair)
			}
			continue
		}
		cut = true
		if len(parts) == 2 {
			v := strings.TrimFunc(parts[1], blank)
			if decoded, err := url.PathUnescape(v); err == nil {
				v = decoded
			}
			values = append(values, v)
		}
	}
	return values, others, cut
}

func FuzzCookies(f *testing.F) {
	for _, s := range []string{
		"a=1; s=x; b=2", "s=x;s=%78", "s", " s = ; ;s=y", "s=%2", "s==;s", "\ts=\t;a\t=", "a=s", "s=%7;s=%", "",
		"a=1,s=x", "s=x,b=2; c=3", "a=1, s = x,b=2,s=y", "a=1,b=2; s=x", "s,a=1", "a=s,s", "a=1,ss=2",
	} {
		f.Add(s)
	}
	for s := range (hostile.Grammar{Words: []string{"s=x", "s", "a=1"}, Marks: cookieMarks}).Samples(60) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		const name = "s"
		values, others, cut := naiveCookies(header, name)
		found := foundIn(header, name, nil)
		var want []string
		more := false
		for _, v := range values {
			switch {
			case slices.Contains(want, v):
			case len(want) == maxSessionCookies:
				more = true
			default:
				want = append(want, v)
			}
		}
		if !slices.Equal(found.all(), want) || found.more != more {
			t.Fatalf("find(%q) = %q, %v, want %q, %v", header, found.all(), found.more, want, more)
		}

		fate, rest, _ := stripCookies(header, cookieNames{name}, nil)
		wantFate, wantRest := cookieReplace, strings.Join(others, "; ")
		switch {
		case !cut:
			wantFate, wantRest = cookieKeep, ""
		case len(others) == 0:
			wantFate = cookieRemove
		}
		if fate != wantFate || rest != wantRest {
			t.Fatalf("stripCookies(%q) = %d, %q, want %d, %q", header, fate, rest, wantFate, wantRest)
		}
		if left := foundIn(rest, name, nil); left.n != 0 {
			t.Fatalf("stripCookies(%q) leaves the session %q", header, left.all())
		}
	})
}
