package account

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// FoldEmail trims an address and lower-cases it: how it is stored, compared and searched
// (W-I19). A letter that would become one of ASCII stays as it is: of two mailboxes, k@ and the
// one that the sign of kelvin begins, neither is to open the account of the other.
func FoldEmail(email string) string {
	return strings.Map(func(c rune) rune {
		if becomesASCII(c) {
			return c
		}
		return unicode.ToLower(c)
	}, strings.TrimSpace(email))
}

// becomesASCII reports whether c is beyond ASCII and its small letter is not: the sign of kelvin
// and the Turkish capital I.
func becomesASCII(c rune) bool { return c >= utf8.RuneSelf && unicode.ToLower(c) < utf8.RuneSelf }

// emailProblems checks a folded address: blank reports invalid, then blank.
func emailProblems(email string) []string {
	switch {
	case email == "":
		return []string{"invalid", "blank"}
	case len(email) > 255:
		return []string{"too_long"}
	case !validEmail(email):
		return []string{"invalid"}
	}
	return nil
}

// validEmail is the reference's syntax: single dots inside the local part, a domain of
// letters, digits and inner hyphens that ends in a label of letters; no dot is needed. A letter
// that some folding turns into one of ASCII is refused: see FoldEmail.
func validEmail(email string) bool {
	local, domain, ok := strings.Cut(email, "@")
	if !ok || utf8.RuneCountInString(local) > 64 || !utf8.ValidString(email) || strings.ContainsFunc(email, becomesASCII) {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(c rune) bool { return !localChar(c) }) {
			return false
		}
	}
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		n := utf8.RuneCountInString(label)
		if n == 0 || n > 64 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool { return !domainChar(c) }) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return utf8.RuneCountInString(last) <= 63 &&
		!strings.ContainsFunc(last, func(c rune) bool { return !unicode.IsLetter(c) })
}

func localChar(c rune) bool {
	return unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c) || unicode.Is(unicode.Nd, c) ||
		strings.ContainsRune("-+_!\"'#$%^&*{}/=?`|~", c)
}

func domainChar(c rune) bool { return c == '-' || unicode.IsLetter(c) || unicode.Is(unicode.Nd, c) }
