package hostile

import (
	"strings"
	"testing"
)

// The measure itself: it must see a parser that is quadratic on one shape alone, and let one
// pass that looks at every byte a few times.
func TestGrowth(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector distorts times: run it without")
	}
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

func TestShapes(t *testing.T) {
	g := Grammar{Words: []string{"word"}, Head: "<", Tail: ">"}
	seen := map[string]bool{}
	for s := range g.Shapes() {
		if seen[s.Name] {
			t.Errorf("%s twice", s.Name)
		}
		seen[s.Name] = true
		for _, n := range []int{0, 1, 100, 1000} {
			text := s.Text(n)
			if len(text) > n+40 || len(text) < n-40 || !strings.HasPrefix(text, "<") || !strings.HasSuffix(text, ">") {
				t.Fatalf("%s: %d bytes for %d: %.40q", s.Name, len(text), n, text)
			}
		}
	}
	for _, want := range []string{"\"word,\" \" \"… \"=\"… \",word\"", "\"word\" \"word\"… \"\"", "\"\" ({\"\")… }… \"\""} {
		if !seen[want] {
			t.Errorf("no shape %s among %d", want, len(seen))
		}
	}
}
