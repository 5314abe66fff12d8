package policy

import (
	"errors"
	"fmt"
	"strings"

	"barong/internal/invalid"
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
	var bad invalid.Fields
	p.Action = strings.ToUpper(strings.TrimSpace(p.Action))
	p.Verb = strings.ToUpper(strings.TrimSpace(p.Verb))
	p.Role = strings.TrimSpace(p.Role)
	p.Topic = strings.TrimSpace(p.Topic)
	switch {
	case p.Role == "":
		bad.Add("role", invalid.Blank)
	case len(p.Role) > longest:
		bad.Add("role", invalid.TooLong)
	}
	switch {
	case p.Verb == "":
		bad.Add("verb", invalid.Blank)
	case covered(p.Verb) == 0:
		bad.Explain("verb", invalid.Malformed,
			fmt.Sprintf("%q is none of GET POST PUT PATCH DELETE HEAD OPTIONS ALL", p.Verb))
	}
	p.Path = strings.Trim(strings.TrimSpace(p.Path), "/")
	canonical, err := CanonicalPattern(p.Path)
	switch {
	case errors.Is(err, ErrEmptyPattern):
		bad.Add("path", invalid.Blank)
	case err != nil:
		bad.Explain("path", invalid.Malformed, err.Error())
	case canonical != p.Path:
		bad.Explain("path", invalid.Malformed,
			fmt.Sprintf("%q is not canonical, write %q", p.Path, canonical))
	case len(p.Path) > longest:
		bad.Add("path", invalid.TooLong)
	}
	switch p.Action {
	case Accept, Drop, Audit:
	case "":
		bad.Add("action", invalid.Blank)
	default:
		bad.Explain("action", invalid.Malformed, fmt.Sprintf("%q is none of ACCEPT DROP AUDIT", p.Action))
	}
	if len(p.Topic) > longest {
		bad.Add("topic", invalid.TooLong)
	}
	return bad.Err()
}

// A PermissionKey distinguishes permission rows; the store refuses a second one of the same key.
type PermissionKey struct{ role, verb, path, action string }

// Key is the row's key. Verb and action are compared without case.
func (p *Permission) Key() PermissionKey {
	return PermissionKey{p.Role, strings.ToUpper(p.Verb), p.Path, strings.ToUpper(p.Action)}
}

// Texts are the beginnings of request paths by which the row is found, under a matching
// (MatchSegment or MatchPrefix): more than one where folding takes a part of its path away. A
// row that denies or audits has them in lower case. A row that matches nothing has none.
func (p *Permission) Texts(matching string) (texts []string) {
	sp, ok, _ := read(p.Path, p.Action, matching)
	if !ok {
		return nil
	}
	for _, one := range spellings(nil, sp, true) {
		texts = append(texts, one.text)
	}
	return texts
}
