package defaults_test

import (
	"testing"

	"barong/policy/defaults"
)

func TestDefaultNames(t *testing.T) {
	for _, name := range defaults.Names() {
		if data, ok := defaults.File(name); !ok || len(data) == 0 {
			t.Errorf("no default %q", name)
		}
	}
	for _, name := range []string{"", "mailer", "../policy", "seeds.yml.yml"} {
		if _, ok := defaults.File(name); ok {
			t.Errorf("a default %q", name)
		}
	}
}
