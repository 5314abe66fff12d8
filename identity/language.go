package identity

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// language is the mail language that a lang parameter asks for; "" when there is no such
// one, which is never an error.
func (a *API) language(param string) string {
	base, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(param)), "_", "-"), "-")
	for _, known := range a.Languages {
		if base == known {
			return known
		}
	}
	return ""
}

// accepted is the mail language that a browser likes best; "" when it knows none of ours.
func (a *API) accepted(r *http.Request) string {
	sent := r.Header.Get("Accept-Language")
	if sent == "" || len(sent) > maxAcceptLanguage {
		return ""
	}
	tags, _, err := language.ParseAcceptLanguage(sent)
	if err != nil {
		return ""
	}
	for _, t := range tags {
		base, sure := t.Base()
		if known := a.language(base.String()); sure != language.No && known != "" {
			return known
		}
	}
	return ""
}

// maxAcceptLanguage bounds the work on a header that anybody may send.
const maxAcceptLanguage = 512
