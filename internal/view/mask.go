package view

import (
	"slices"
	"strings"
)

// MaskPhone hides an international number (digits without "+") but its country code and
// last four digits: "79225551234" becomes "7******1234". Of an unknown country code two
// digits stay.
func MaskPhone(number string) string {
	return keepEnds(number, len(callingCode(number)), 4)
}

// MaskDocNumber hides a document number but its first and last two characters.
func MaskDocNumber(number string) string { return keepEnds(number, 2, 2) }

// MaskLastName hides a name but its first character.
func MaskLastName(name string) string {
	r := []rune(name)
	if len(r) < 2 {
		return name
	}
	return string(r[0]) + stars(len(r)-1)
}

// MaskDOB hides the day of a "YYYY-MM-DD" date; anything else is hidden whole.
func MaskDOB(dob string) string {
	if len(dob) != len("2006-01-02") {
		return stars(len([]rune(dob)))
	}
	return dob[:8] + "**"
}

// keepEnds keeps first and last characters of s. Fewer than five characters are hidden
// whole and never more than half of them are shown: the end stays longer than the start
// (W-R18).
func keepEnds(s string, first, last int) string {
	r := []rune(s)
	if len(r) < 5 {
		return stars(len(r))
	}
	half := len(r) / 2
	last = min(last, half)
	first = min(first, half-last)
	return string(r[:first]) + stars(len(r)-first-last) + string(r[len(r)-last:])
}

func stars(n int) string { return strings.Repeat("*", n) }

// callingCode is the country calling code that number starts with (ITU-T E.164), or two
// digits when there is none. Zones 1 and 7 have one digit; of the others either the two
// digits are a code or they open a block of three-digit ones.
func callingCode(number string) string {
	if len(number) < 3 {
		return number
	}
	switch two := number[:2]; {
	case number[0] == '1' || number[0] == '7':
		return number[:1]
	case slices.Contains(strings.Fields(threeDigitBlocks), two):
		return number[:3]
	default:
		return two
	}
}

const threeDigitBlocks = "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99"
