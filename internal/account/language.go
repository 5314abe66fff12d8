package account

import (
	"encoding/json"
	"strings"
)

// Language is that of mails to u: the one that the request asks for, else the member language of
// the user's own data, else the browser's favourite, else the default. said and
// browser may be "".
func (s *Service) Language(u User, said, browser string) string {
	if code := languageCode(said); code != "" {
		return code
	}
	if code := u.Language(); code != "" {
		return code
	}
	if code := languageCode(browser); code != "" {
		return code
	}
	return s.cfg.DefaultLanguage
}

// Language is the member language of the user's own data, as two lower-case letters; "" when
// it has none.
func (u User) Language() string {
	if u.Data == nil {
		return ""
	}
	var own map[string]any // a client's text: anything may be in it
	_ = json.Unmarshal([]byte(*u.Data), &own)
	text, _ := own["language"].(string)
	return languageCode(text)
}

// languageCode is the two letters, in lower case, that a language tag begins with; "" when it
// begins otherwise (RFC 5646 §2.1).
func languageCode(tag string) string {
	tag = strings.ToLower(strings.TrimSpace(tag))
	code, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	if len(code) != 2 || strings.ContainsFunc(code, func(c rune) bool { return c < 'a' || c > 'z' }) {
		return ""
	}
	return code
}
