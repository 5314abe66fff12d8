package authz

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"barong/authz/authztest"
)

// decisionRules are the rules of the specification about decisions: AZ-30 to AZ-153, every
// FX rule, and the cases T-… of its appendices A.1 to A.6 and A.11.
func decisionRules() []string {
	var ids []string
	span := func(prefix string, spans ...[2]int) {
		for _, s := range spans {
			for n := s[0]; n <= s[1]; n++ {
				ids = append(ids, fmt.Sprintf("%s-%d", prefix, n))
			}
		}
	}
	span("AZ", [2]int{30, 32}, [2]int{40, 51}, [2]int{55, 57}, [2]int{60, 61}, [2]int{70, 74},
		[2]int{80, 81}, [2]int{85, 91}, [2]int{95, 101}, [2]int{104, 105}, [2]int{115, 129},
		[2]int{140, 147}, [2]int{150, 153})
	span("FX", [2]int{1, 51}, [2]int{52, 61})
	for _, list := range []string{
		"T-AUTH- 1 2 4 6 8 9 10 11 13 14 15 19 20 23 24",
		"T-AUD- 1 5 6 7 8 10..12 13 15..17 18 19",
		"T-CSRF- 1 2 3 4",
		"T-RBAC- 1 3 4 6 7 8",
		"T-SESS- 3 4 7",
		"T-RES- 1 4 6 7 10 11 14",
		"T-NEW- 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 21 22 23",
	} {
		words := strings.Fields(list)
		for _, n := range words[1:] {
			ids = append(ids, words[0]+n)
		}
	}
	return ids
}

// TestCorpusCoversTheSpecification fails when a rule about decisions is neither proved by a
// file of the corpus nor excused, with a reason, in not-decisions.yaml.
func TestCorpusCoversTheSpecification(t *testing.T) {
	files, err := authztest.Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	excused, err := authztest.NotDecisions(corpus)
	if err != nil {
		t.Fatal(err)
	}
	cited := map[string]bool{}
	for _, f := range files {
		for _, id := range f.Rules {
			cited[id] = true
		}
	}
	rules := decisionRules()
	for _, id := range rules {
		switch reason, ok := excused[id]; {
		case cited[id] && ok:
			t.Errorf("%s is proved by the corpus and excused in not-decisions.yaml", id)
		case !cited[id] && len(reason) < 10:
			t.Errorf("%s: no file of the corpus cites it and not-decisions.yaml gives no reason", id)
		}
	}
	for id := range excused {
		if !slices.Contains(rules, id) {
			t.Errorf("not-decisions.yaml excuses %s, which is no rule about decisions", id)
		}
	}
}
