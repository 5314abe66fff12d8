package password_test

import (
	"strings"
	"testing"

	"barong/internal/password"
)

// The reference's verdicts on known passwords hold with the shipped list.
func TestCommonPasswordsKeepEveryVerdict(t *testing.T) {
	rules := password.Rules{Dictionary: password.Common()}
	for password, verdict := range map[string]string{
		"password": "requirements", "Password1": "weak", "Password1123": "weak", "Qq123123": "weak",
		"QqQq123123": "weak", "X2qL32": "requirements", "eoV0qu": "requirements", "Simple": "requirements",
		"Zaq12wsx!": "weak", "": "blank", "qwerty12": "requirements",
		"Tecohvi0": "", "ZahSh8ei": "", "Gol4aid1": "", "Gol4aid2": "", "Oo213Wqw": "",
		"testPassword111": "", "zieV0Kai": "", "Iequ4geiEWQw": "", "Xwqe213PZCXwe": "", "Kal31ewwqXrew": "",
		"eeC2BiCucxWEQ": "",
	} {
		if got := strings.Join(rules.Check(password), ","); got != verdict {
			t.Errorf("check of %q = %q (%v bits), want %q", password, got, rules.Entropy(password), verdict)
		}
	}
	if got := rules.Entropy(""); got != -2 {
		t.Errorf("entropy of nothing = %v, want -2", got)
	}
}

// The list makes a difference where the other estimates see none.
func TestCommonPasswordsAreWeak(t *testing.T) {
	with, without := password.Rules{Dictionary: password.Common()}, password.Rules{}
	for _, password := range []string{"Baseball7", "Liverpool1", "Sunsh1ne!"} {
		if got := with.Entropy(password); got >= without.Entropy(password) || len(with.Check(password)) == 0 {
			t.Errorf("%q: %v bits, %v without the list, verdict %v; want fewer, and weak",
				password, got, without.Entropy(password), with.Check(password))
		}
	}
	for range 20 {
		if p := password.Generate(); len(with.Check(p)) > 0 {
			t.Errorf("the generated %q is refused: %v", p, with.Check(p))
		}
	}
}
