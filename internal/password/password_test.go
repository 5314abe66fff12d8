package password_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/password"
)

// common are those words of the published list that the specification's vectors meet.
var common = password.NewDictionary([]string{
	"password", "password1", "123123", "qqqq", "aaaa", "qwerty12", "qwerty", "simple", "zaq12wsx", "test",
	"drowssap", "qweqwe",
})

// The reference's scores of known passwords.
func TestEntropyVectors(t *testing.T) {
	rules := password.Rules{Dictionary: common}
	for _, v := range []struct {
		password string
		entropy  float64
		verdict  string
	}{
		{"password", 2, "requirements"},
		{"Password1", 2, "weak"},
		{"Password1123", 6, "weak"},
		{"Qq123123", 5.5, "weak"},
		{"QqQq123123", 10.5, "weak"},
		{"X2qL32", 11.5, "requirements"},
		{"eoV0qu", 11.5, "requirements"},
		{"Simple", 2, "requirements"},
		{"Zaq12wsx!", 4, "weak"},
		{"", -2, "blank"},
		{"qwerty12", 2, "requirements"},
		{"Tecohvi0", 15.5, ""},
		{"ZahSh8ei", 15.5, ""},
		{"Gol4aid1", 15, ""},
		{"Gol4aid2", 15.5, ""},
		{"Oo213Wqw", 14.5, ""},
		{"testPassword111", 14.125, ""},
		{"zieV0Kai", 15.5, ""},
		{"Iequ4geiEWQw", 19.59375, ""},
		{"Xwqe213PZCXwe", 21.21875, ""},
		{"Kal31ewwqXrew", 20.59375, ""},
		{"eeC2BiCucxWEQ", 21.1875, ""},
	} {
		if got := rules.Entropy(v.password); got != v.entropy {
			t.Errorf("entropy of %q = %v, want %v", v.password, got, v.entropy)
		}
		if got := strings.Join(rules.Check(v.password), ","); got != v.verdict {
			t.Errorf("check of %q = %q, want %q", v.password, got, v.verdict)
		}
	}
}

// W-I18, and lines that match only in part.
func TestPasswordCheck(t *testing.T) {
	for name, c := range map[string]struct {
		password string
		want     []string
	}{
		"an anchor that is accepted":      {"Fai5aesoLEcx", nil},
		"another":                         {"123aZE@654", nil},
		"no digit":                        {"Tecohviaa", []string{"requirements"}},
		"seven characters":                {"Tecohv0", []string{"requirements"}},
		"a line break inside":             {"Tecohvi0\nx", []string{"requirements"}},
		"a carriage return at the end":    {"Tecohvi0\r", []string{"requirements"}},
		"72 bytes":                        {"Tecohvi0" + strings.Repeat("ab", 32), nil},
		"73 bytes":                        {"Tecohvi0" + strings.Repeat("a", 65), []string{"too_long"}},
		"few characters but 73 bytes":     {"Tecohvi0" + strings.Repeat("é", 33), []string{"too_long"}},
		"81 characters break two rules":   {"Tecohvi0" + strings.Repeat("a", 73), []string{"too_long", "requirements"}},
		"only blanks":                     {"   ", []string{"blank"}},
		"bytes that are no text":          {"Tecohvi0\xff\xfe", []string{"requirements"}},
		"letters of other scripts count":  {"Жшщюятре0", nil},
		"repetition alone is not entropy": {"Aa1aaaaaa", []string{"weak"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := password.Rules{}.Check(c.password)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	own := password.Rules{Pattern: regexp.MustCompile(`[a-z ]{20,}`), MinEntropy: 10}
	if got := own.Check("correct horse battery staple"); got != nil {
		t.Errorf("own pattern: %v, want none", got)
	}
	if got := own.Check("correct horse battery staple 1"); got == nil {
		t.Error("own pattern must match the whole password")
	}
}

func TestGeneratedPasswordsAreAccepted(t *testing.T) {
	for range 50 {
		if p := password.Generate(); len((password.Rules{Dictionary: common}).Check(p)) != 0 {
			t.Errorf("%s is refused", p)
		}
	}
}

func FuzzEntropy(f *testing.F) {
	f.Add("Password1123")
	f.Add("é\xff qwe 1 2 3 4")
	f.Fuzz(func(t *testing.T, p string) {
		with, without := password.Rules{Dictionary: common}, password.Rules{}
		if a, b := with.Entropy(p), without.Entropy(p); a > b {
			t.Errorf("entropy of %q: %v with a dictionary, %v without", p, a, b)
		}
		with.Check(p)
	})
}
