package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Problem is one reason why settings cannot be used.
type Problem struct {
	// Key is the setting that it is about, in lower case; "" for a name that is no setting's.
	Key string
	// Text is the whole of it, and names the setting as it was given.
	Text string

	unread bool // the value is none of this setting's kind
}

// Problems is every reason why settings cannot be used.
type Problems []Problem

// Error joins the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.Text
	}
	return strings.Join(lines, "\n")
}

// Has reports whether there is a problem about one of the settings.
func (p Problems) Has(keys ...string) bool {
	return slices.ContainsFunc(p, func(x Problem) bool { return slices.Contains(keys, x.Key) })
}

// Say notes a fault of the first of the settings, which are separated by blanks, as it
// stands beside the others. It says nothing when one of those has a problem itself, or the
// first has no readable value: the consequence of a wrong value is no problem of its own.
func (p *Problems) Say(keys, format string, args ...any) {
	names := strings.Fields(keys)
	unread := slices.ContainsFunc(*p, func(x Problem) bool { return x.unread && x.Key == names[0] })
	if unread || p.Has(names[1:]...) {
		return
	}
	*p = append(*p, Problem{Key: names[0], Text: Prefix + strings.ToUpper(names[0]) + ": " + fmt.Sprintf(format, args...)})
}
