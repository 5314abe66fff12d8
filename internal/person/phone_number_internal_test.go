package person

import (
	"errors"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

// Numbers of many countries, as people write them.
func TestNumbersOfPeople(t *testing.T) {
	for text, want := range map[string]phoneNumber{
		"+44 07418084106":        {"447418084106", "GB"}, // the zero is dialled at home only
		"447418084106":           {"447418084106", "GB"},
		"++1 (415) 555-2671":     {"14155552671", "US"},
		"+380 97 123 23 22":      {"380971232322", "UA"},
		"7 922 555-12-34":        {"79225551234", "RU"},
		"+49_1512_3456789":       {"4915123456789", "DE"},
		"+39 06 6988 3333":       {"390669883333", "VA"}, // here the zero belongs to the number
		"+91 98765 43210":        {"919876543210", "IN"},
		"+55 (11) 96123-4567":    {"5511961234567", "BR"},
		"+234 802 123 4567":      {"2348021234567", "NG"},
		"+81 90-1234-5678":       {"819012345678", "JP"},
		"+86 131 2345 6789":      {"8613123456789", "CN"},
		"+971 50 123 4567":       {"971501234567", "AE"},
		"tel:+852-5123-4567":     {"85251234567", "HK"},
		"+٤٤ ٧٤١٨٠٨٤١٠٦":         {"447418084106", "GB"},
		"＋４４７４１８０８４１０６":          {"447418084106", "GB"},
		" +1 204 234 5678 \n":    {"12042345678", "CA"},
		"+7 701 123 45 67 mobil": {"77011234567", "KZ"},
	} {
		got, err := parsePhone(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestTextsThatAreNoNumberOfAPerson(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               "",
		"no digit":              "+",
		"words":                 "call me",
		"too short":             "123",
		"too long":              "+44741808410612345678",
		"national":              "07418084106",
		"the way out of Europe": "00447418084106",
		"a country that is not": "+999123456789",
		"invalid in its plan":   "+447000000",
		"an emergency":          "112",
		"premium":               "+44 909 879 0000",
		"premium in America":    "+1 900 555 1234",
		"toll-free":             "+1 800 253 0000",
		"shared cost":           "+49 180 5 123456",
		"personal, and dear":    "+44 70 1234 5678",
		"of no country":         "+800 1234 5678",
		"of a satellite":        "+881 612 345 678",
		"of a network":          "+883 510 012 3456",
		"other digits":          "+४४७४१८०८४१०६",
		"endless":               "+44 7418084106" + strings.Repeat(" ", 250),
		"zeros":                 strings.Repeat("0", 200),
		"broken UTF-8":          "\xff\xfe",
		"NUL":                   "\x00",
	} {
		if got, err := parsePhone(text); !errors.Is(err, ErrNoNumber) {
			t.Errorf("%s: %+v, %v; want ErrNoNumber", name, got, err)
		}
	}
}

// wellFormed fails the test unless n is one number, whose only spelling here it is.
func wellFormed(t rapid.TB, text string, n phoneNumber) {
	if len(n.digits) < 7 || len(n.digits) > 17 || strings.Trim(n.digits, "0123456789") != "" || n.digits[0] == '0' {
		t.Fatalf("%q is %q", text, n.digits)
	}
	if len(n.country) != 2 || strings.ToUpper(n.country) != n.country {
		t.Fatalf("%q is of %q", text, n.country)
	}
	for _, again := range []string{n.digits, n.international(), "+" + n.digits[:3] + " (" + n.digits[3:5] + ")-" + n.digits[5:]} {
		if m, err := parsePhone(again); err != nil || m != n {
			t.Fatalf("%q is %+v, and %q is %+v, %v", text, n, again, m, err)
		}
	}
}

// Whatever is written, it is refused or is one number with one spelling.
func FuzzParsePhone(f *testing.F) {
	for _, text := range []string{
		"+44 07418084106", "++1 234 567 8901", "+39 06 6988 3333", "", "+", "\x00", "\xff", "+٤٤٧٤١٨٠٨٤١٠٦", "tel:+1;ext=5",
		"+881612345678", "+800", strings.Repeat("9", 250), "+54 9 11 1234-5678", "+52 1 33 1234 5678", "+447418084106;phone-context=+1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parsePhone(text)
		if err != nil {
			if !errors.Is(err, ErrNoNumber) || n != (phoneNumber{}) {
				t.Errorf("%q: %+v, %v", text, n, err)
			}
			return
		}
		wellFormed(t, text, n)
	})
}

// Numbers of each country that there is, however they are spaced, are read as they are.
func TestNumbersOfEveryCountry(t *testing.T) {
	regions := phonenumbers.GetSupportedRegions()
	read := 0
	for region := range regions {
		sample := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if sample == nil {
			continue
		}
		want := strings.TrimPrefix(phonenumbers.Format(sample, phonenumbers.E164), "+")
		for _, form := range []phonenumbers.PhoneNumberFormat{phonenumbers.E164, phonenumbers.INTERNATIONAL} {
			text := phonenumbers.Format(sample, form)
			n, err := parsePhone(text)
			if err != nil || n.digits != want {
				t.Errorf("%s: %q is %+v, %v; want %s", region, text, n, err, want)
				continue
			}
			wellFormed(t, text, n)
			read++
		}
	}
	if read < 400 {
		t.Errorf("%d numbers were read, want those of every country", read)
	}
}

// Digits that look like numbers are numbers or refused, whatever is between them.
func TestDigitsAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`\+?(1|7|44|49|380|86|39|881|979)[ ()_.-]{0,3}([0-9][ -]?){4,14}`).Draw(t, "text")
		if n, err := parsePhone(text); err == nil {
			wellFormed(t, text, n)
		}
	})
}
