package authz

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"barong/policy"
)

func TestCanonicalPath(t *testing.T) {
	for name, c := range map[string]struct{ target, path, query string }{
		"a plain path":                            {"/api/v2/peatio/account/balances", "api/v2/peatio/account/balances", ""},
		"the query is cut (AZ-5)":                 {"/a/b?x=1?y=/../;%zz", "a/b", "x=1?y=/../;%zz"},
		"a query holds what clients send":         {"/a/b?x[]=\"<й|\xff>\"^`{}\\;'", "a/b", "x[]=\"<й|\xff>\"^`{}\\;'"},
		"a trailing slash goes":                   {"/a/b/", "a/b", ""},
		"unreserved characters are decoded (D5)":  {"/api/v2/barong/%61dmin/%7Eme%2Djson%2ea", "api/v2/barong/admin/~me-json.a", ""},
		"decoded before the rules see it (FX-3)":  {"/%61pi/%76%32/foo", "api/v2/foo", ""},
		"other escapes stay, in upper case":       {"/a/%20%d0%b9%3a%2a", "a/%20%D0%B9%3A%2A", ""},
		"escaped characters that a path holds so": {"/a/b%20c%22%3c%3E%5E%60%7B%7C%7D%5B%5d%23%3f", "a/b%20c%22%3C%3E%5E%60%7B%7C%7D%5B%5D%23%3F", ""},
		"reserved characters stay":                {"/a/!$&'()*+,=:@", "a/!$&'()*+,=:@", ""},
		"a lone percent sign":                     {"/a/100%25", "a/100%25", ""},
		"a percent sign and one hex digit":        {"/a/%25a", "a/%25a", ""},
		"three dots are a name":                   {"/a/.../.b", "a/.../.b", ""},
		"case is kept (AZ-3)":                     {"/API/v2/Admin", "API/v2/Admin", ""},
		"fold: identity":                          {"/api/v2/identity/sessions", "api/v2/barong/identity/sessions", ""},
		"fold: admin through auth":                {"/api/v2/auth/admin/users?x", "api/v2/barong/admin/users", "x"},
		"fold: the group alone":                   {"/api/v2/public", "api/v2/barong/public", ""},
		"fold: after decoding":                    {"/api/v2/%6danagement/x/", "api/v2/barong/management/x", ""},
		"fold: only whole segments":               {"/api/v2/identityx/a", "api/v2/identityx/a", ""},
		"fold: not twice":                         {"/api/v2/auth/auth/admin", "api/v2/auth/auth/admin", ""},
		"fold: auth alone":                        {"/api/v2/auth", "api/v2/auth", ""},
		"fold: only at the start":                 {"/x/api/v2/identity", "x/api/v2/identity", ""},
		"fold: other components stay":             {"/api/v2/peatio/public/x", "api/v2/peatio/public/x", ""},
		"barong's own form stays":                 {"/api/v2/barong/identity/x", "api/v2/barong/identity/x", ""},
		"a name that begins like one refused":     {"/api/v2/barong/authx", "api/v2/barong/authx", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path, query, _, ok := canonical(c.target, nil)
			if !ok || path != c.path || query != c.query {
				t.Errorf("canonical(%q) = %q, %q, %v, want %q, %q, true", c.target, path, query, ok, c.path, c.query)
			}
		})
	}
}

func TestCanonicalPathRefuses(t *testing.T) {
	for name, target := range map[string]string{
		"nothing":                             "",
		"no path":                             "/",
		"only a query":                        "?x",
		"a slash and a query":                 "/?x",
		"no leading slash":                    "api/v2",
		"two leading slashes":                 "//api/v2",
		"absolute-form":                       "http://example.com/api/v2",
		"the asterisk":                        "*",
		"a double slash":                      "/a//b",
		"a double slash at the end":           "/a//",
		"a dot segment":                       "/a/./b",
		"two dots":                            "/a/../b",
		"a dot segment at the end":            "/a/..",
		"a dot segment before a slash":        "/a/../",
		"an encoded dot segment":              "/a/%2e%2E/b",
		"a half encoded dot segment":          "/a/.%2e/b",
		"a semicolon":                         "/a;b=c/d",
		"two dots and a parameter":            "/a/..;/b",
		"a backslash":                         `/a\b`,
		"an encoded slash":                    "/a%2fb",
		"an encoded slash in upper case":      "/a%2Fb",
		"an encoded backslash":                "/a%5cb",
		"an encoded semicolon":                "/a%3b/b",
		"an encoded semicolon in upper case":  "/a/b%3Bc=d",
		"an encoded NUL":                      "/a%00b",
		"a NUL":                               "/a\x00b",
		"a line feed":                         "/a\nb",
		"an encoded line feed":                "/a%0ab",
		"DEL":                                 "/a\x7fb",
		"an encoded DEL":                      "/a%7Fb",
		"bytes that are not UTF-8":            "/a\xff",
		"raw UTF-8":                           "/a/й",
		"a fragment":                          "/a/b#x?y",
		"dot segments in a fragment":          "/a/x#/../b",
		"an empty fragment":                   "/a#",
		"a fragment after the query":          "/a/b?x#y",
		"a blank in the query":                "/a?x y",
		"a line feed in the query":            "/a?x\ny",
		"a NUL in the query":                  "/a?x\x00y",
		"DEL in the query":                    "/a?\x7f",
		"escapes that are not UTF-8":          "/a%ff",
		"an overlong slash":                   "/a%c0%afb",
		"an overlong dot, half raw":           "/a\xc0%aeb",
		"a surrogate":                         "/a%ed%a0%80",
		"half a letter":                       "/a%d0/b",
		"a capital I with a dot":              "/api/v2/peatio/adm%c4%b0n",
		"a small i without a dot":             "/api/v2/peatio/adm%C4%B1n",
		"a long s":                            "/a/withdraw%c5%bf",
		"the Kelvin sign":                     "/a/%E2%84%AAyc",
		"double encoding":                     "/a%252fb",
		"double encoding of anything":         "/a%2541",
		"double encoding, the digits encoded": "/a%25%32%66",
		"a percent sign alone":                "/a%",
		"a percent sign and one digit":        "/a%2",
		"an escape that is not hex":           "/a%zz",
		"barong's name twice":                 "/api/v2/barong/barong/admin",
		"barong, then auth":                   "/api/v2/barong/auth/admin/users",
		"barong, then auth, encoded":          "/api/v2/barong/%61uth/",
		"a path of more than 8 KiB":           "/" + strings.Repeat("a", maxPath),
		"one that grows beyond":               "/api/v2/admin/" + strings.Repeat("a", maxPath-14),
	} {
		t.Run(name, func(t *testing.T) {
			if path, _, _, ok := canonical(target, nil); ok {
				t.Errorf("canonical(%.60q) = %.60q, want a refusal", target, path)
			}
		})
	}
	for _, c := range " \"<>[]^`{|}#;\\\t\x80" {
		if path, _, _, ok := canonical("/a/"+string(c)+"b", nil); ok {
			t.Errorf("canonical(/a/%cb) = %q, want a refusal", c, path)
		}
	}
	if _, _, _, ok := canonical("/"+strings.Repeat("a", maxPath-1)+"?"+strings.Repeat("q", maxPath), nil); !ok {
		t.Error("a path of exactly 8 KiB with a long query was refused")
	}
}

// A suffix such as .json is cut off the last segment alone (FX-5).
func TestWithoutSuffix(t *testing.T) {
	for path, want := range map[string]string{
		"a/users.json": "a/users", "a/users.tar.gz": "a/users.tar", "a.b/users": "a.b/users",
		"a/users.": "a/users.", "a/.json": "a/.json", ".json": ".json", "a.json": "a",
		"a/b": "a/b", "": "", "a/b..x": "a/b.",
	} {
		if got := withoutSuffix(path); got != want {
			t.Errorf("withoutSuffix(%q) = %q, want %q", path, got, want)
		}
	}
}

// fold is policy.Fold without its allocation (D5: paths and rows are folded alike).
func TestFoldAgreesWithPolicy(t *testing.T) {
	for _, path := range []string{
		"api/v2/identity", "api/v2/admin/users", "api/v2/auth/resource/me", "api/v2/auth", "api/v2/auth/",
		"api/v2/barong/admin", "api/v2/auth/auth/admin", "api/v2/publicx", "api/v2/auth/management.json",
		"api/v2", "api/v2/", "API/v2/admin", "x/api/v2/admin", "", "api/v2/auth/identity/auth/admin",
	} {
		got, _ := longForm(path, nil)
		if want, _ := policy.Fold(path); got != want {
			t.Errorf("longForm(%q) = %q, the policy says %q", path, got, want)
		}
	}
}

// A second canonicalisation in the same scratch memory must not disturb the first.
func TestCanonicalScratchIsNotShared(t *testing.T) {
	scratch := make([]byte, 0, 256)
	a, _, scratch, _ := canonical("/%61/first", scratch)
	b, _, _, _ := canonical("/api/v2/identity/%73econd", scratch)
	if a != "a/first" || b != "api/v2/barong/identity/second" {
		t.Errorf("got %q and %q", a, b)
	}
}

var (
	pathToken   = regexp.MustCompile(`(?s)%[0-9a-fA-F]{2}|.`)
	doubleToken = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	rawPath     = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,=:@/%-]*$`)
	badQuery    = regexp.MustCompile(`[\x00-\x20\x7f#]`)
	badEscape   = regexp.MustCompile(`(?i)%(2f|5c|3b|[01][0-9a-f]|7f)`)
	foldedPath  = regexp.MustCompile(`^api/v2/(?:auth/)?((?:identity|resource|admin|management|public)(?:/.*)?)$`)
	twicePath   = regexp.MustCompile(`^api/v2/barong/(barong|auth)(/|$)`)
)

// anASCIILetterInDisguise asks Unicode's own tables for the runes that foldsToASCII lists.
func anASCIILetterInDisguise(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.ToLower(r) < utf8.RuneSelf || unicode.ToUpper(r) < utf8.RuneSelf)
}

func TestFoldsToASCII(t *testing.T) {
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		want := anASCIILetterInDisguise(r)
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			want = want || f < utf8.RuneSelf
		}
		if got := foldsToASCII(r); got != want {
			t.Errorf("foldsToASCII(%q) = %v, want %v", r, got, want)
		}
	}
}

// naiveCanonical gives the result of canonical, one rule after the other.
func naiveCanonical(target string) (string, bool) {
	p, query, _ := strings.Cut(target, "?")
	if len(p) > 8192 || !strings.HasPrefix(p, "/") || !rawPath.MatchString(p) || badEscape.MatchString(p) || badQuery.MatchString(query) {
		return "", false
	}
	decoded, err := url.PathUnescape(p)
	if err != nil || !utf8.ValidString(decoded) || doubleToken.MatchString(decoded) || strings.ContainsFunc(decoded, anASCIILetterInDisguise) {
		return "", false
	}
	var names []string
	for _, segment := range strings.Split(strings.TrimSuffix(decoded[1:], "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
		names = append(names, segment)
	}
	if twicePath.MatchString(strings.Join(names, "/")) {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(p); i++ {
		const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
		const keep = unreserved + "!$&'()*+,=:@/"
		c, allowed := p[i], keep
		if token := pathToken.FindString(p[i:min(len(p), i+3)]); len(token) == 3 && token[0] == '%' {
			fmt.Sscanf(token, "%%%02x", &c)
			allowed = unreserved
			i += 2
		}
		if strings.IndexByte(allowed, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	result := strings.TrimSuffix(out.String(), "/")
	if m := foldedPath.FindStringSubmatch(result); m != nil {
		result = "api/v2/barong/" + m[1]
	}
	return result, len(result)+1 <= 8192
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"/api/v2/peatio/account?x#y", "/%61pi/v2/auth/%61dmin/", "/api/v2/barong/auth/x",
		"/a%25%32%66", "/a/.%2e/", "/й%d0%b9 []", "/a%e2%82%ac\xac", "/a%25%e2%82%ac41", "*", "/a;b", "/%25a%2",
		"/api/v2/identity", "/%c0%ae", "//", "/a%ed%a0%80", "/a%f4%90%80%80", "/%F0%9F%98%80%F0",
		"/a%3bb", "/a%3B", "/adm%c4%b1n", "/%e2%84%aa", "/%C5%BF%20",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, _, _, ok := canonical(target, nil)
		want, wantOK := naiveCanonical(target)
		if ok != wantOK || ok && got != want {
			t.Fatalf("canonical(%q) = %q, %v, the naive one says %q, %v", target, got, ok, want, wantOK)
		}
		if !ok {
			return
		}
		// The policy's own folding must agree, or its rows would miss folded paths.
		if twice, changed := policy.Fold(got); changed {
			t.Fatalf("canonical(%q) = %q, which the policy folds to %q", target, got, twice)
		}
		if again, _, _, ok := canonical("/"+got, nil); !ok || again != got {
			t.Fatalf("canonical(%q) = %q, but that becomes %q, %v", target, got, again, ok)
		}
	})
}
