package policy

import (
	"errors"
	"fmt"
	"strings"
)

// longest is the width of the text columns of permissions.
const longest = 255

// A verbs is a set of methods, one bit each.
type verbs uint8

const (
	get verbs = 1 << iota
	post
	put
	patch
	del
	head
	options
	all      = get | post | put | patch | del | head | options
	numVerbs = 7
)

// AllVerbs is the verb of a row that covers the seven methods (FX-51).
const AllVerbs = "ALL"

// verbOf is the bit of one of the seven methods, upper case; 0 for anything else.
func verbOf(method string) verbs {
	switch method {
	case "GET":
		return get
	case "POST":
		return post
	case "PUT":
		return put
	case "PATCH":
		return patch
	case "DELETE":
		return del
	case "HEAD":
		return head
	case "OPTIONS":
		return options
	}
	return 0
}

// covered is the set of methods that a row with this verb is about: ALL is the seven, and GET
// is also HEAD (FX-51). 0 when it is no verb.
func covered(verb string) verbs {
	switch verb {
	case AllVerbs:
		return all
	case "GET":
		return get | head
	}
	return verbOf(verb)
}

// Normalize brings a row into the form in which it is stored: action and verb upper case, the
// path canonical without slashes at its ends. It returns Invalid when a field is blank or too
// long, the action is none of ACCEPT, DROP and AUDIT, the verb is neither one of the seven
// methods nor ALL, or the path is empty or not canonical (AZ-140, FX-51, FX-55). A row with an
// error is left half normalised.
func (p *Permission) Normalize() error {
	var bad Invalid
	p.Action = strings.ToUpper(strings.TrimSpace(p.Action))
	p.Verb = strings.ToUpper(strings.TrimSpace(p.Verb))
	p.Role = strings.TrimSpace(p.Role)
	p.Topic = strings.TrimSpace(p.Topic)
	switch {
	case p.Role == "":
		bad.add("role", Blank, "")
	case len(p.Role) > longest:
		bad.add("role", TooLong, "")
	}
	switch {
	case p.Verb == "":
		bad.add("verb", Blank, "")
	case covered(p.Verb) == 0:
		bad.add("verb", Malformed,
			fmt.Sprintf("%q is none of GET POST PUT PATCH DELETE HEAD OPTIONS ALL", p.Verb))
	}
	p.Path = strings.Trim(strings.TrimSpace(p.Path), "/")
	canonical, err := CanonicalPattern(p.Path)
	switch {
	case errors.Is(err, ErrEmptyPattern):
		bad.add("path", Blank, "")
	case err != nil:
		bad.add("path", Malformed, err.Error())
	case canonical != p.Path:
		bad.add("path", Malformed,
			fmt.Sprintf("%q is not canonical, write %q", p.Path, canonical))
	case len(p.Path) > longest:
		bad.add("path", TooLong, "")
	}
	switch p.Action {
	case Accept, Drop, Audit:
	case "":
		bad.add("action", Blank, "")
	default:
		bad.add("action", Malformed, fmt.Sprintf("%q is none of ACCEPT DROP AUDIT", p.Action))
	}
	if len(p.Topic) > longest {
		bad.add("topic", TooLong, "")
	}
	return bad.err()
}

// DerivedTopic is the topic of an activity whose permission row names none: the segment after
// the first "admin/" in the path, or "general" (AZ-162). It does not allocate.
func DerivedTopic(path string) string {
	_, after, ok := strings.Cut(path, "admin/")
	if ok {
		if after, _, _ = strings.Cut(after, "/"); after != "" {
			return after
		}
	}
	return "general"
}
