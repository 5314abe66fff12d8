package rest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"barong/internal/expect"
	"barong/internal/rest"
)

func TestIfMatch(t *testing.T) {
	for header, want := range map[string][]int64{
		`*`: nil, ` * `: nil, `"7"`: {7}, `7`: {7}, `"7", "8",9`: {7, 8, 9}, `W/"7"`: {}, `W/"7", "8"`: {8}, `-1`: {-1},
	} {
		m := rest.IfMatch(header)
		got, err := m.Versions()
		expect.OK(t, err)
		expect.Equal(t, got, want)
	}
	if got, err := (*rest.IfMatch)(nil).Versions(); got != nil || err != nil {
		t.Errorf("no header: %v %v", got, err)
	}
	for _, header := range []string{``, `"`, `"7`, `""`, `x`, `"7",`, `*, "7"`, `w/"7"`, `"9223372036854775808"`, `7 8`} {
		m := rest.IfMatch(header)
		if got, err := m.Versions(); err == nil {
			t.Errorf("%q: got %v, want ErrIfMatch", header, got)
		} else {
			expect.Error(t, err, rest.ErrIfMatch)
		}
	}
}

// A list of versions is read back as it was written, and a header of anything gives at most as many
// versions as it has parts, none of them when it is refused.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{`*`, `"1", W/"2" ,3`, `,`, `"W/"1""`} {
		f.Add(seed, int64(5))
	}
	f.Fuzz(func(t *testing.T, header string, version int64) {
		m := rest.IfMatch(header)
		got, err := m.Versions()
		if err != nil && got != nil || len(got) > strings.Count(header, ",")+1 {
			t.Errorf("%q: %v %v", header, got, err)
		}
		if err != nil || got == nil {
			return
		}
		more := rest.IfMatch(fmt.Sprintf(`%s, "%d"`, header, version))
		all, err := more.Versions()
		if err != nil || !slices.Equal(all, append(got, version)) {
			t.Errorf("%q: %v %v, want %v and %d", more, all, err, got, version)
		}
	})
}
