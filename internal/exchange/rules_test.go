package exchange_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"barong/internal/account"
	"barong/internal/exchange"
	"barong/policy/defaults"
)

func TestRulesOfTheShippedFile(t *testing.T) {
	text, ok := defaults.File("barong")
	if !ok {
		t.Fatal("no built-in file")
	}
	got, err := exchange.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"email": "verified"}, got.Activation); d != "" {
		t.Errorf("activation (-want +got):\n%s", d)
	}
	want := []account.Trigger{{State: "banned", Keys: []string{"ban", "fraud"}}, {State: "deleted", Keys: []string{"delete"}}, {State: "locked", Keys: []string{"suspicious", "lock"}}}
	if d := cmp.Diff(want, got.Triggers); d != "" {
		t.Errorf("triggers in file order (-want +got):\n%s", d)
	}
	if len(got.DocumentTypes) != 7 || len(got.StorageTitles) == 0 {
		t.Errorf("got %d document types and %d titles", len(got.DocumentTypes), len(got.StorageTitles))
	}
}

func TestRulesAreReadStrictly(t *testing.T) {
	_, err := exchange.Parse([]byte("state_trigers: {}\ndocument_types: Passport\nactivation_requirements: [email]\n"))
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"line 1", "state_triggers", "document_types must be a list", "activation_requirements must be a mapping"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	got, err := exchange.Parse(nil)
	if err != nil || got.Activation["email"] != "verified" {
		t.Errorf("an empty file: got %v, %v; want email: verified", got.Activation, err)
	}
}

func TestWordsFitTheirRows(t *testing.T) {
	long := strings.Repeat("x", 65)
	_, err := exchange.Parse([]byte("document_types: [" + long + ", '']\nuser_storage_titles:\n- personal\n- " + long + "\n"))
	for _, want := range []string{"line 1: document_types: an entry has 0 characters", "line 4: user_storage_titles: an entry has 65"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two problems: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("state_triggers:\n  banned: [ban]\n"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = exchange.Parse(data) })
}
