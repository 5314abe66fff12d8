package authz

import (
	"net/url"
	"strings"
	"testing"
)

const sessionName = "_barong_session"

func TestFindCookie(t *testing.T) {
	for name, c := range map[string]struct {
		header, value string
		differ        bool
	}{
		"none":                               {"", "", false},
		"another one":                        {"a=b", "", false},
		"the only one":                       {"_barong_session=x", "x", false},
		"among others (AZ-9)":                {"a=1; _barong_session=x; b=2", "x", false},
		"split on the first equals sign":     {"_barong_session=x=y", "x=y", false},
		"without blanks":                     {"a=1;_barong_session=x;b=2", "x", false},
		"with blanks":                        {"a=1;\t _barong_session = x\t;", "x", false},
		"percent-decoded":                    {"_barong_session=%78%20y", "x y", false},
		"a broken escape is left":            {"_barong_session=%78%2", "%78%2", false},
		"a name that contains it":            {"x_barong_session=x; _barong_session2=y", "", false},
		"names have case":                    {"_Barong_Session=x", "", false},
		"the first of two wins":              {"_barong_session=x; _barong_session=x", "x", false},
		"two that differ are told (FX-45)":   {"_barong_session=x; a=b; _barong_session=y", "x", true},
		"two that decode to the same":        {"_barong_session=x; _barong_session=%78", "x", false},
		"an empty one counts":                {"_barong_session=; _barong_session=y", "", true},
		"a pair without equals is no cookie": {"_barong_session; _barong_session=y", "y", false},
		"the name in another's value":        {"a=_barong_session", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			value, differ, _ := findCookie(c.header, sessionName, nil)
			if value != c.value || differ != c.differ {
				t.Errorf("findCookie(%q) = %q, %v, want %q, %v", c.header, value, differ, c.value, c.differ)
			}
		})
	}
}

// D12: the session is cut out, the rest stays.
func TestStripCookie(t *testing.T) {
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
			fate, value, _ := stripCookie(c.header, sessionName, nil)
			if fate != c.fate || value != c.value {
				t.Errorf("stripCookie(%q) = %d, %q, want %d, %q", c.header, fate, value, c.fate, c.value)
			}
		})
	}
}

func TestStripSessionOfSeveralHeaders(t *testing.T) {
	r := request{cookie: "a=1", hasCookie: true, repeat: 1 << headerCookie}
	if fate, _ := r.stripSession(sessionName); fate != cookieRemove {
		t.Errorf("got fate %d, want the header removed: the other lines are unknown", fate)
	}
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
	f.Fuzz(func(t *testing.T, header string) {
		const name = "s"
		values, others, cut := naiveCookies(header, name)
		value, differ, _ := findCookie(header, name, nil)
		want, wantDiffer := "", false
		for i, v := range values {
			if i == 0 {
				want = v
			}
			wantDiffer = wantDiffer || v != want
		}
		if value != want || differ != wantDiffer {
			t.Fatalf("findCookie(%q) = %q, %v, want %q, %v", header, value, differ, want, wantDiffer)
		}

		fate, rest, _ := stripCookie(header, name, nil)
		wantFate, wantRest := cookieReplace, strings.Join(others, "; ")
		switch {
		case !cut:
			wantFate, wantRest = cookieKeep, ""
		case len(others) == 0:
			wantFate = cookieRemove
		}
		if fate != wantFate || rest != wantRest {
			t.Fatalf("stripCookie(%q) = %d, %q, want %d, %q", header, fate, rest, wantFate, wantRest)
		}
		if v, _, _ := findCookie(rest, name, nil); v != "" {
			t.Fatalf("stripCookie(%q) leaves the session %q", header, v)
		}
	})
}
