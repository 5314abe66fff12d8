package password

import (
	"encoding/base64"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"barong/internal/secret"
)

// DefaultPattern describes the default tests of Rules, as clients know it.
// Go's expressions know no look-ahead, so it is for showing only.
const DefaultPattern = `^(?=.*[[:lower:]])(?=.*[[:upper:]])(?=.*[[:digit:]])(?=.*[[:graph:]]).{8,80}$`

// PublishedPattern is a pattern as clients are shown it: in the spelling of Ruby's Regexp#to_s.
func PublishedPattern(pattern string) string { return "(?-mix:" + pattern + ")" }

// Rules decide which new passwords are accepted; the zero value is the default.
type Rules struct {
	// Pattern replaces the default test: a lower-case and an upper-case letter, a digit,
	// 8 to 80 characters. It must match the whole password. Go's expressions know no
	// look-ahead.
	Pattern *regexp.Regexp
	// MinEntropy is the least score in bits: 14.
	MinEntropy float64
	// Dictionary of common passwords; nil leaves that estimate out.
	Dictionary *Dictionary
}

func (r Rules) least() float64 {
	if r.MinEntropy == 0 {
		return 14
	}
	return r.MinEntropy
}

// passwordBytes is where bcrypt stops reading (W-I18).
const passwordBytes = 72

// Check returns the broken rules by reason, none for a good password: blank alone; too_long
// above 72 bytes, and then the first of requirements and weak.
func (r Rules) Check(password string) (reasons []string) {
	if strings.TrimSpace(password) == "" {
		return []string{"blank"}
	}
	if len(password) > passwordBytes {
		reasons = append(reasons, "too_long")
	}
	switch {
	case !r.shaped(password):
		reasons = append(reasons, "requirements")
	case r.Entropy(password) < r.least():
		reasons = append(reasons, "weak")
	}
	return reasons
}

// shaped is the test of requirements.
func (r Rules) shaped(password string) bool {
	if !utf8.ValidString(password) || strings.ContainsAny(password, "\r\n\u0085\u2028\u2029") {
		return false
	}
	if r.Pattern != nil {
		at := r.Pattern.FindStringIndex(password)
		return at != nil && at[0] == 0 && at[1] == len(password)
	}
	var lower, upper, digit bool
	for _, c := range password {
		lower = lower || unicode.IsLower(c)
		upper = upper || unicode.IsUpper(c)
		digit = digit || unicode.IsDigit(c)
	}
	n := utf8.RuneCountInString(password)
	return lower && upper && digit && n >= 8 && n <= 80
}

// Generate makes a random one that meets the default rules: 30 random bytes in
// base64.
func Generate() string {
	for {
		p := base64.StdEncoding.EncodeToString(secret.Bytes(30))
		if len((Rules{}).Check(p)) == 0 {
			return p
		}
	}
}
