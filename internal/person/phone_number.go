package person

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// ErrNoNumber says that a text is no number of a person's phone.
var ErrNoNumber = errors.New("person: not an international phone number")

// A phoneNumber is a valid number of a country: its digits with the country code, and the country's
// alpha-2 code of ISO 3166-1.
type phoneNumber struct{ digits, country string }

// longestNumber are the bytes of a text in which a number may be.
const longestNumber = 250

// parsePhone reads an international number, however it is spaced, with or without "+"; the zero that
// some countries dial before their own numbers is dropped. It must be valid by the plan of its
// country, and one of a person: numbers that cost their callers extra or belong to no country are a
// fraud's, not a person's (W-R2). ErrNoNumber.
func parsePhone(text string) (phoneNumber, error) {
	if len(text) > longestNumber {
		return phoneNumber{}, ErrNoNumber
	}
	n, err := phonenumbers.Parse("+"+phonenumbers.NormalizeDigitsOnly(text), "")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return phoneNumber{}, ErrNoNumber
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.VOIP:
	default:
		return phoneNumber{}, ErrNoNumber
	}
	country := phonenumbers.GetRegionCodeForNumber(n)
	if len(country) != 2 { // "001" is no country
		return phoneNumber{}, ErrNoNumber
	}
	return phoneNumber{digits: strings.TrimPrefix(phonenumbers.Format(n, phonenumbers.E164), "+"), country: country}, nil
}
