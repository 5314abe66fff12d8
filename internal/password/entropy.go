package password

import (
	"slices"
	"strings"
)

// A Dictionary knows common passwords, lower case, of four characters or more.
type Dictionary struct {
	words map[string]bool
	most  int // length of the longest
}

// dictionaryLeast is the length of the shortest word that counts.
const dictionaryLeast = 4

// NewDictionary makes one of words; shorter ones are left out.
func NewDictionary(words []string) *Dictionary {
	d := &Dictionary{words: make(map[string]bool, len(words))}
	for _, w := range words {
		if w = strings.ToLower(w); len(w) >= dictionaryLeast {
			d.words[w] = true
			d.most = max(d.most, len(w))
		}
	}
	return d
}

// mask replaces the leftmost word in s, the longest of those that begin there, by a star.
func (d *Dictionary) mask(s string) string {
	for i := range s {
		for n := min(d.most, len(s)-i); n >= dictionaryLeast; n-- {
			if d.words[s[i:i+n]] {
				return s[:i] + "*" + s[i+n:]
			}
		}
	}
	return s
}

// Entropy scores a password in bits: the least of several estimates over
// its first 1000 characters. Scores below the minimum may be cut short, as clients show them.
func (r Rules) Entropy(password string) float64 {
	if runes := []rune(password); len(runes) > 1000 {
		password = string(runes[:1000])
	}
	low := min(estimate(password), estimate(strings.ToLower(password)), r.keyboardEntropy(password))
	if r.Dictionary != nil {
		low = min(low, r.dictionaryEntropy(strings.ToLower(password)))
	}
	return low
}

// estimate weighs characters by place, repeated ones less, and adds a bonus for variety.
func estimate(s string) float64 {
	var bits float64
	var upper, lower, digit, other, space bool
	weight := map[rune]float64{}
	place := 0
	for _, c := range s {
		w, seen := weight[c]
		if !seen {
			w = 1
		}
		weight[c] = w * 0.75
		switch {
		case place == 0:
			bits += 4
		case place < 8:
			bits += 2 * w
		case place < 20:
			bits += 1.5 * w
		default:
			bits += w
		}
		place++
		switch {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= '0' && c <= '9':
			digit = true
		case c == ' ':
			space = true
		default:
			other = true
		}
	}
	switch {
	case upper && lower && other && digit:
		bits += 6
	case upper && lower && other:
		bits += 5
	case digit && other && !upper && !lower:
		bits -= 2
	case digit && !other && !upper && !lower:
		bits -= 6
	}
	switch {
	case !space:
		bits -= 2
	case len(strings.Fields(s)) > 3:
		bits++
	}
	return bits
}

// keyboardRows are the sequences whose runs of three to six characters count as one.
var keyboardRows = [...]string{
	"1234567890-", "qwertyuiop", "asdfghjkl;", "zxcvbnm,./",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/-['=]:?_{\"+}",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
	"qazwsxedcrfvtgbyhnujmik,ol.p;/-['=]:?_{\"+}",
	"qazwsxedcrfvtgbyhnujmikolp",
	"]\"/=[;.-pl,0okm9ijn8uhb7ygv6tfc5rdx4esz3wa2q1",
	"pl0okm9ijn8uhb7ygv6tfc5rdx4esz3wa2q1",
	"]\"/[;.pl,okmijnuhbygvtfcrdxeszwaq",
	"plokmijnuhbygvtfcrdxeszwaq",
	"014725836914702583697894561230258/369*+-*/",
	"abcdefghijklmnopqrstuvwxyz",
}

// maskKeyboard replaces every keyboard run in s, left to right, by a star.
func maskKeyboard(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		if n := keyboardRun(s[i:]); n > 0 {
			out.WriteByte('*')
			i += n
			continue
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}

// keyboardRun is the length of the run that s begins with, 0 for none.
func keyboardRun(s string) int {
	for _, row := range keyboardRows {
		for n := min(6, len(s)); n >= 3; n-- {
			if !strings.Contains(s[:n], "-") && strings.Contains(row, s[:n]) {
				return n
			}
		}
	}
	return 0
}

func (r Rules) keyboardEntropy(p string) float64 {
	back := reversed(p)
	low := min(estimate(p), estimate(back))
	for _, s := range []string{p, back} {
		if low < r.least() {
			return low
		}
		if masked := maskKeyboard(s); masked != s {
			low = min(low, estimate(masked))
		}
	}
	return low
}

var (
	// Keys and the one below to the right, below to the left, in pairs.
	downRight = strings.NewReplacer("a", "z", "q", "a", "1", "q", "s", "x", "w", "s", "2", "w", "d", "c",
		"e", "d", "3", "e", "f", "v", "r", "f", "4", "r", "g", "b", "t", "g", "5", "t", "h", "n", "y", "h",
		"6", "y", "j", "m", "u", "j", "7", "u", "i", "k", "8", "i", "o", "l", "9", "o", "0", "p")
	downLeft = strings.NewReplacer("2", "q", "w", "a", "3", "w", "s", "z", "e", "s", "4", "e", "d", "x",
		"r", "d", "5", "r", "f", "c", "t", "f", "6", "t", "g", "v", "y", "g", "7", "y", "h", "b", "u", "h",
		"8", "u", "j", "n", "i", "j", "9", "i", "k", "m", "o", "k", "0", "o", "p", "l", "-", "p")
	leetI = strings.NewReplacer("@", "a", "!", "i", "$", "s", "1", "i", "2", "z", "3", "e", "4", "a",
		"5", "s", "6", "g", "7", "t", "8", "b", "9", "g", "0", "o")
	leetL = strings.NewReplacer("@", "a", "!", "i", "$", "s", "1", "l", "2", "z", "3", "e", "4", "a",
		"5", "s", "6", "g", "7", "t", "8", "b", "9", "g", "0", "o")
)

// dictionaryEntropy tries q and its disguises against the dictionary.
func (r Rules) dictionaryEntropy(q string) float64 {
	low := estimate(q)
	variants := []string{q}
	if !strings.ContainsAny(q, "zxcvbnm,./<>?") {
		right, left := downRight.Replace(q), downLeft.Replace(q)
		variants = append(variants, right, left, reversed(right), reversed(left))
	}
	if strings.ContainsAny(q, "@!$0123456789") {
		i, l := leetI.Replace(q), leetL.Replace(q)
		variants = append(variants, i, l, reversed(i), reversed(l))
	}
	for _, v := range variants {
		low = min(low, estimate(r.Dictionary.mask(v)))
	}
	return low
}

func reversed(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}
