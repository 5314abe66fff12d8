package authz

import (
	"strings"
	"testing"

	"barong/internal/session"
)

// D8: what a session keeps of a user agent and what a request is compared by are cut alike.
func TestLongUserAgentsAreComparedByWhatIsKept(t *testing.T) {
	const agent = "Mozilla/5.0 (X11; Linux x86_64) "
	long := strings.Repeat(agent, 100)
	var s Server
	for name, test := range map[string]struct {
		opened, sent string
		want         bool
	}{
		"the same":                      {agent, agent, true},
		"a longer one":                  {agent, agent + "x", false},
		"the same long one":             {long, long, true},
		"differ early":                  {long, "x" + long, false},
		"differ in the last byte kept":  {long, long[:511] + "\x00" + long[512:], false},
		"differ in the first left away": {long, long[:512] + "\x00" + long[513:], true},
	} {
		e := session.NewEntry(session.Session{UserAgent: test.opened})
		if got := s.bound(e, &request{userAgent: test.sent}); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
