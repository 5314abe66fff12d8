package rest

import (
	"errors"
	"strconv"
	"strings"
)

// IfMatch is the type of the header If-Match (RFC 9110, section 13.1.1) where entity tags are the
// versions of a row: integers, quoted or bare, or "*".
type IfMatch string

// ErrIfMatch says that a header is no list of versions.
var ErrIfMatch = errors.New("rest: If-Match is no list of versions")

// Versions lists the versions that the row may have; nil, as for a header that was not sent, means
// any. Weak tags match none. ErrIfMatch.
func (m *IfMatch) Versions() ([]int64, error) {
	if m == nil || strings.TrimSpace(string(*m)) == "*" {
		return nil, nil
	}
	versions := []int64{}
	for tag := range strings.SplitSeq(string(*m), ",") {
		tag = strings.TrimSpace(tag)
		tag, weak := strings.CutPrefix(tag, "W/")
		if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
			tag = tag[1 : len(tag)-1]
		}
		version, err := strconv.ParseInt(tag, 10, 64)
		if err != nil {
			return nil, ErrIfMatch
		}
		if !weak {
			versions = append(versions, version)
		}
	}
	return versions, nil
}
