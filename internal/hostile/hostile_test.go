package hostile

import (
	"strings"
	"testing"
)

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
