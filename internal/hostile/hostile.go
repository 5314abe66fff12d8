// Package hostile makes input that costs nothing to send and may cost much to read, and holds
// parsers to reading it in time linear in its length. It is for tests.
//
// A quadratic parser shows itself only on the right shape: a run of commas before a run of
// blanks, a quote that is never closed, a name that is begun again and again. Nobody lists
// them all by hand, so a Grammar lists the parts of the input, and Shapes combines them:
// every mark and word, repeated, in pairs, in turns and nested, alone and between words.
//
//	func TestTimeIsLinear(t *testing.T) {
//		hostile.Linear(t, hostile.Grammar{Words: []string{"name=value"}, Longest: 64 << 10}, parse)
//	}
//
// A fuzz target begins from the same shapes: for s := range g.Samples(40) { f.Add(s) }.
package hostile

import (
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Marks are the bytes that parsers stop at: delimiters, blanks, quotes, escapes, brackets, a
// digit, a byte that is not UTF-8.
var Marks = []string{
	",", ";", "=", " ", "\t", `"`, "'", "\\", "%", "/", ".", ":", "&", "#", "@", "|", "-", "\r\n", "\n", "0", "\xff",
}

// Brackets open and close.
var Brackets = [][2]string{{"{", "}"}, {"[", "]"}, {"(", ")"}, {"<", ">"}, {`"`, `"`}}

// A Grammar lists the parts of the input of one parser.
type Grammar struct {
	// Words are inputs that the parser knows: names, values and whole small inputs, so that a shape
	// gets past the parser's demands on every input.
	Words []string
	// Marks are the signs between words, the two that end one first; nil is the package's.
	Marks []string
	// Brackets are pairs that nest; nil is the package's.
	Brackets [][2]string
	// Head and Tail are around every input, for parsers that need an envelope.
	Head, Tail string
	// Longest is how many bytes the parser may be given; 0 is 64 KiB.
	Longest int
}

// A Shape is a family of inputs that look alike.
type Shape struct {
	Name string
	make func(n int) string
}

// Text is the member of about n bytes.
func (s Shape) Text(n int) string { return s.make(n) }

// Shapes are all combinations of g.
func (g Grammar) Shapes() iter.Seq[Shape] {
	marks, brackets := g.Marks, g.Brackets
	if marks == nil {
		marks = Marks
	}
	if brackets == nil {
		brackets = Brackets
	}
	units := append(slices.Clone(marks), g.Words...)
	type frame struct{ before, after string }
	frames := []frame{{}}
	for _, w := range g.Words {
		frames = append(frames, frame{w, ""})
		for _, m := range marks[:min(2, len(marks))] {
			frames = append(frames, frame{w + m, m + w})
		}
	}
	return func(yield func(Shape) bool) {
		for _, f := range frames {
			whole := func(name string, middle func(n int) string) bool {
				return yield(Shape{
					Name: fmt.Sprintf("%.20q %s %.20q", f.before, name, f.after),
					make: func(n int) string {
						room := max(n-len(g.Head)-len(f.before)-len(f.after)-len(g.Tail), 0)
						return g.Head + f.before + middle(room) + f.after + g.Tail
					},
				})
			}
			for _, a := range units {
				if !whole(fmt.Sprintf("%.20q…", a), func(n int) string { return fill(a, n) }) {
					return
				}
				for _, b := range units {
					if a == b {
						continue
					}
					if !whole(fmt.Sprintf("%.20q… %.20q…", a, b), func(n int) string { return fill(a, n/2) + fill(b, n-n/2) }) {
						return
					}
					if !whole(fmt.Sprintf("(%.20q %.20q)…", a, b), func(n int) string { return fill(a+b, n) }) {
						return
					}
				}
			}
			for _, b := range brackets {
				for _, inside := range append([]string{""}, units...) {
					if !whole(fmt.Sprintf("(%s%.20q)… %s…", b[0], inside, b[1]), func(n int) string {
						each := max(n/(len(b[0])+len(inside)+len(b[1])), 1)
						return strings.Repeat(b[0]+inside, each) + strings.Repeat(b[1], each)
					}) {
						return
					}
				}
			}
		}
	}
}

// fill is s as often as it fits into n bytes: a piece of it at the end could make one member of
// a shape valid and another not.
func fill(s string, n int) string { return strings.Repeat(s, max(n, 0)/len(s)) }

// Samples are small inputs for the corpus of a fuzz target, about one in a hundred of the
// shapes.
func (g Grammar) Samples(size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		i := 0
		for s := range g.Shapes() {
			if i++; i%97 == 1 && !yield(s.Text(size)) {
				return
			}
		}
	}
}

const (
	// A parser that takes less time than this, for each byte or in all, is let pass at once: it
	// cannot be made to do much, and the clock says little about it.
	neverMind      = 8 * time.Nanosecond
	neverMindInAll = time.Millisecond
	// tooMuch, for a part of the input, is answer enough: the whole would take minutes.
	tooMuch = 50 * time.Millisecond
	// most is how many times as long twice as much may take. Linear is 2, quadratic is 4.
	most = 3.0
	// tries is how often both are measured before a shape is thought to be dear, and patience
	// how long: the machine may have been busy, but not that busy.
	tries    = 60
	patience = 100 * time.Millisecond
)

// Linear fails t when read takes three times as long, or more, for twice as much of any shape
// of g. Under the race detector, which makes one byte cost as much as a hundred, it measures
// nothing and reads each shape once.
func Linear(t *testing.T, g Grammar, read func(string)) {
	t.Helper()
	if raceDetector {
		for s := range g.Shapes() {
			read(s.Text(1 << 10))
		}
		return
	}
	longest := g.Longest
	if longest == 0 {
		longest = 64 << 10
	}
	dear := 0
	for s := range g.Shapes() {
		for _, n := range []int{longest / 16, longest / 4, longest} {
			ratio, of := growth(s, n, read)
			if ratio < most || n < longest && of < tooMuch {
				continue // some are dear up to a limit of their own, and no dearer beyond it
			}
			t.Errorf("%s: twice the length costs %.1f times the time, %v for %d bytes", s.Name, ratio, of, n)
			if dear++; dear == 5 {
				t.Fatal("and so on")
			}
			break
		}
	}
}

// growth is how many times as long the twofold takes, and how long n bytes of s take. It is 0
// for a cost too small to matter.
func growth(s Shape, n int, read func(string)) (ratio float64, of time.Duration) {
	whole := s.Text(n)
	cheap := max(time.Duration(len(whole))*neverMind, neverMindInAll)
	if of = timed(whole, read); of <= cheap {
		return 0, of
	}
	// Over a span of four: a disturbance of one length by half does not make both look quadratic.
	part := s.Text(n / 4)
	ofPart := min(timed(part, read), timed(part, read))
	spent := of + 2*ofPart
	for range tries {
		// The least of several is the cost on a machine that has nothing else to do.
		ratio = math.Sqrt(float64(of) / float64(max(ofPart, 1)))
		if ratio < most || spent > patience {
			return ratio, of
		}
		spent += of + ofPart
		if of = min(of, timed(whole, read)); of <= cheap {
			return 0, of
		}
		ofPart = min(ofPart, timed(part, read))
	}
	return ratio, of
}

// timed is the time of this thread's own work, where the system measures it: a machine that has
// others to serve takes away a long run more often than a short one.
func timed(s string, read func(string)) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := clock()
	read(s)
	return clock() - start
}
