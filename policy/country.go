package policy

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"
)

// alpha2 are the 249 codes that ISO 3166-1 assigns, and XK, by which GeoIP data names Kosovo.
// The language package also knows UK, AN, SU, EU and ZZ, which name no country of today.
const alpha2 = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM " +
	"BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE " +
	"DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP " +
	"GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH " +
	"KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN " +
	"MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH " +
	"PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR " +
	"SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC " +
	"VE VG VI VN VU WF WS YE YT ZA ZM ZW XK"

// otherNames are English names in use, in ISO 3166, in GeoIP data or in the press, that the
// display package does not give.
const otherNames = "CI:Ivory Coast|CD:DR Congo|CD:Democratic Republic of the Congo|CG:Congo|" +
	"CG:Congo Republic|CG:Republic of the Congo|HK:Hong Kong|MO:Macao|MO:Macau|MM:Myanmar|" +
	"MM:Burma|PS:Palestine|PS:State of Palestine|CZ:Czech Republic|TR:Türkiye|SZ:Eswatini|" +
	"MK:North Macedonia|KR:Republic of Korea|KP:Democratic People's Republic of Korea|" +
	"RU:Russian Federation|VA:Holy See|BQ:Bonaire, Sint Eustatius, and Saba|GM:The Gambia|" +
	"BS:The Bahamas|NL:The Netherlands|FM:Federated States of Micronesia|" +
	"SY:Syrian Arab Republic|LA:Lao People's Democratic Republic|VN:Viet Nam|" +
	"IR:Islamic Republic of Iran|MD:Republic of Moldova|TZ:United Republic of Tanzania|" +
	"CV:Cabo Verde|TL:East Timor|BN:Brunei Darussalam|US:United States of America|" +
	"GB:Great Britain|GB:United Kingdom of Great Britain and Northern Ireland|" +
	"FK:Falkland Islands|SH:Saint Helena|AX:Åland|PN:Pitcairn|HM:Heard and McDonald Islands|" +
	"BO:Plurinational State of Bolivia|VE:Bolivarian Republic of Venezuela|" +
	"GS:South Georgia and the South Sandwich Islands|CC:Cocos Islands|" +
	"UM:U.S. Minor Outlying Islands|VI:Virgin Islands, U.S.|VG:Virgin Islands, British"

var continentNames = [...]struct{ code, name string }{
	{"AF", "Africa"}, {"AN", "Antarctica"}, {"AS", "Asia"}, {"EU", "Europe"},
	{"NA", "North America"}, {"OC", "Oceania"}, {"SA", "South America"},
}

// countries maps alpha-2 and alpha-3 codes in upper case, and reduced names, to alpha-2.
var countries = sync.OnceValue(func() map[string]string {
	m := make(map[string]string, 1024)
	names := display.English.Regions()
	for code := range strings.FieldsSeq(alpha2) {
		r := language.MustParseRegion(code)
		m[code], m[r.ISO3()] = code, code
		m[reduce(names.Name(r))] = code
	}
	for pair := range strings.SplitSeq(otherNames, "|") {
		code, name, _ := strings.Cut(pair, ":")
		m[reduce(name)] = code
	}
	return m
})

// countryCode is the ISO 3166 alpha-2 code of a country that is given by alpha-2 or alpha-3 code or
// by English name, in any case, with or without accents and punctuation (design D6).
func countryCode(text string) (code string, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) <= 3 {
		code, ok = countries()[strings.ToUpper(text)]
		return code, ok
	}
	code, ok = countries()[reduce(text)]
	return code, ok
}

// continentCode is the two-letter code of a continent that is given by code or by English name, in
// any case (design D6).
func continentCode(text string) (code string, ok bool) {
	text = strings.TrimSpace(text)
	for _, c := range continentNames {
		if strings.EqualFold(text, c.code) || reduce(text) == reduce(c.name) {
			return c.code, true
		}
	}
	return "", false
}

// reduce keeps the signs that distinguish names: lower-case letters without accents and digits, "&" as
// "and", "St." as "saint". Reduced names are lower case, so they never meet a code.
func reduce(name string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(strings.ReplaceAll(name, "&", " and ")) {
		if w := strings.ToLower(word); w == "st." || w == "st" {
			b.WriteString("saint")
			continue
		}
		for _, r := range norm.NFD.String(word) {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				b.WriteRune(unicode.ToLower(r))
			}
		}
	}
	return b.String()
}
