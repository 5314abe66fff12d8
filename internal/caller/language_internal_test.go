package caller

import (
	"net/http"
	"slices"
	"testing"

	"barong/internal/hostile"
)

// Whatever a browser or a client sends: a language that mails have, or none.
func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{
		"", "ru", "ru-RU,ru;q=0.9,en;q=0.8", "*", "de;q=0", "x-klingon", "en;q=2", "sr-Latn-RS", ",,;;", "ru\x00", "ru_RU", "i-default",
	} {
		f.Add(seed)
	}
	for s := range (hostile.Grammar{Words: []string{"en", "ru;q=0.9"}}).Samples(40) {
		f.Add(s)
	}
	d := Resolver{Languages: []string{"en", "ru"}}
	f.Fuzz(func(t *testing.T, sent string) {
		r := &http.Request{Header: http.Header{"Accept-Language": {sent}}}
		for _, got := range []string{d.accepted(r), d.Language(sent)} {
			if got != "" && !slices.Contains(d.Languages, got) {
				t.Errorf("%q: got %q", sent, got)
			}
		}
	})
}

func TestLanguageTimeIsLinear(t *testing.T) {
	d := Resolver{Languages: []string{"en", "ru"}}
	g := hostile.Grammar{Words: []string{"en", "ru;q=0.9", "sr-Latn-RS"}, Marks: []string{",", ";", "-", "_", "=", "*", " ", "0"}, Longest: 16 << 10}
	hostile.Linear(t, g, func(text string) {
		d.accepted(&http.Request{Header: http.Header{"Accept-Language": {text}}})
		d.Language(text)
	})
}
