package policy

import (
	"maps"
	"slices"
	"strings"

	"barong/internal/strictyaml"
)

// An Endpoint is a method, or ALL, on a path and all below it.
type Endpoint struct {
	Verb string // as in a Permission
	Path string // a canonical pattern
}

// maxScopeName is the length of the name of a scope.
const maxScopeName = 32

// parseScopes reads the mapping of a rules file from names of scopes to their endpoints. The result
// is never nil.
func parseScopes(d *strictyaml.Document, f strictyaml.Field) map[string][]Endpoint {
	const what = "rules.scopes"
	scopes := map[string][]Endpoint{}
	for _, scope := range d.Fields(f.Value, what) {
		if !scopeName(scope.Key) {
			d.Problem(scope.Line, "%s: %q is no name of a scope: 1 to %d of a-z, 0-9, _ and -", what, scope.Key, maxScopeName)
			continue
		}
		of := what + "." + scope.Key
		list := []Endpoint{}
		for _, item := range d.Items(scope.Value, of) {
			var e Endpoint
			if !d.Record(item, of, map[string]*string{"verb": &e.Verb, "path": &e.Path}) {
				continue
			}
			e.Verb = strings.ToUpper(e.Verb)
			if covered(e.Verb) == 0 {
				d.Problem(item.Line, "%s: verb %q is none of GET POST PUT PATCH DELETE HEAD OPTIONS ALL", of, e.Verb)
			}
			var ok bool
			if e.Path, ok = pattern(d, item.Line, e.Path, of); ok {
				list = append(list, e)
			}
		}
		scopes[scope.Key] = list
	}
	return scopes
}

func scopeName(name string) bool {
	return name != "" && len(name) <= maxScopeName && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	})
}

func (s *Snapshot) addScopes(scopes map[string][]Endpoint, matching string, w *warnings) {
	s.scopes = make(map[string]*table, len(scopes))
	var buf [8]spelling
	for _, name := range slices.Sorted(maps.Keys(scopes)) {
		t := newTable(len(scopes[name]), 0)
		for _, e := range scopes[name] {
			sp, ok, problem := read(e.Path, Accept, matching)
			if problem != "" {
				w.add(problem, "scope %s %q", name, e.Path)
			}
			if !ok {
				continue
			}
			list := spellings(buf[:0], sp, false)
			s.warnUnreachable(list, w, "scope %s %q", name, e.Path)
			for _, one := range list {
				t.put(one, Accept, covered(strings.ToUpper(e.Verb)), 0)
			}
		}
		t.trim()
		s.scopes[name] = t
	}
}

// Scope reports whether the rules define a scope of API keys.
func (s *Snapshot) Scope(name string) bool { return s.scopes[name] != nil }

// Scoped reports whether one of an API key's scopes covers a method on a path, by the rules of
// permissions that accept. A scope that is not defined covers nothing.
func (s *Snapshot) Scoped(scopes []string, method, path string) bool {
	v := verbOf(method)
	if v == 0 {
		return false
	}
	for _, name := range scopes {
		if t := s.scopes[name]; t != nil && t.match(path, v).accept {
			return true
		}
	}
	return false
}
