//go:build !race

package hostile

// The race detector distorts times: this test is not built with it.

import (
	"strings"
	"testing"
)

// The measure itself: it must see a parser that is quadratic on one shape alone, and let one
// pass that looks at every byte a few times.
func TestGrowth(t *testing.T) {
	trims := func(s string) { // for every comma the blanks at the end
		for i := range len(s) {
			if s[i] == ',' {
				_ = strings.TrimRight(s[i:], " ")
			}
		}
	}
	var worst float64
	var name string
	g := Grammar{Words: []string{"a=b"}, Marks: []string{",", " ", ";"}, Longest: 16 << 10}
	for s := range g.Shapes() {
		if ratio, _ := growth(s, g.Longest, trims); ratio > worst {
			worst, name = ratio, s.Name
		}
	}
	if worst < most {
		t.Errorf("a quadratic parser passes: at most %.1f (%s)", worst, name)
	}
	Linear(t, g, func(s string) {
		for range 20 {
			strings.Count(s, ",")
			for i := range len(s) {
				if s[i] == '%' {
					break
				}
			}
		}
	})
}
