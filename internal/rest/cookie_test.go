package rest_test

import (
	"net/http/httptest"
	"testing"

	"barong/internal/rest"
)

func TestCookie(t *testing.T) {
	for name, test := range map[string]struct{ header, want string }{
		"none":                            {"a=1", ""},
		"one":                             {"a=1; s=x", "x"},
		"the same twice":                  {"s=x; s=x", "x"},
		"two that differ (FX-45)":         {"s=x; s=y", ""},
		"two that differ, one is empty":   {"s=; s=y", ""},
		"a name that ends like the other": {"as=x", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", test.header)
		if got := rest.Cookie(r, "s"); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestCrossSite(t *testing.T) {
	for name, test := range map[string]struct {
		site, origin string
		want         bool
	}{
		"a program":                       {"", "", false},
		"the same origin":                 {"same-origin", "https://example.com", false},
		"a sibling site":                  {"same-site", "https://www.example.com", false},
		"typed into the address bar":      {"none", "", false},
		"another site":                    {"cross-site", "https://evil.example", true},
		"another site that hides":         {"cross-site", "null", true},
		"an unknown word":                 {"mixed", "", true},
		"a trusted other site":            {"cross-site", "https://app.example", false},
		"an old browser, same host":       {"", "https://example.com", false},
		"an old browser, another host":    {"", "https://evil.example", true},
		"an old browser, no origin shown": {"", "null", true},
		"a prefix of our host":            {"", "https://example.com.evil.example", true},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		if test.site != "" {
			r.Header.Set("Sec-Fetch-Site", test.site)
		}
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		if got := rest.CrossSite(r, []string{"https://app.example"}); got != test.want {
			t.Errorf("FX-13: %s: got %v, want %v", name, got, test.want)
		}
	}
}
