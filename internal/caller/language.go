package caller

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// Language is the mail language that a lang parameter asks for; "" when there is no such
// one, which is never an error.
func (d Resolver) Language(param string) string {
	base, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(param)), "_", "-"), "-")
	for _, known := range d.Languages {
		if base == known {
			return known
		}
	}
	return ""
}

// accepted is the mail language that a browser likes best; "" when it knows none of ours.
func (d Resolver) accepted(r *http.Request) string {
	sent := r.Header.Get("Accept-Language")
	if sent == "" || len(sent) > maxAcceptLanguage || len(d.Languages) == 0 {
		return ""
	}
	tags, _, err := language.ParseAcceptLanguage(sent)
	if err != nil {
		return ""
	}
	for _, t := range tags {
		base, sure := t.Base()
		if known := d.Language(base.String()); sure != language.No && known != "" {
			return known
		}
	}
	return ""
}

// maxAcceptLanguage bounds the work on a header that anybody may send.
const maxAcceptLanguage = 512
