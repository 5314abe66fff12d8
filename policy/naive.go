package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Naive is the policy written straight from the rules: it looks at every row of every list at
// every question. A Snapshot must always give the same answers; tests hold it to that, and
// `policy test` may use it to explain them.
type Naive struct {
	Rows    Rows
	Rules   RouteRules
	Options Options
}

// Version is the number of Rows.At.
func (n Naive) Version() int64 { return n.Rows.At.Seq }

// Restricted is Snapshot.Restricted.
func (n Naive) Restricted(ip netip.Addr, method, bare string) *Denial {
	if bare == "api/v2/barong/identity/users/access" { // AZ-43
		return nil
	}
	for _, category := range []string{"whitelist", "maintenance", "blacklist", "blocklogin"} {
		r := n.hit(category, ip)
		switch {
		case r == nil:
		case category == "whitelist": // AZ-46
			return nil
		case category != "blocklogin": // AZ-47
			return n.denial(*r)
		case method == "POST" && slices.Contains(signInPaths, bare): // FX-24
			return n.denial(*r)
		}
	}
	return nil
}

// BlocksLogin is Snapshot.BlocksLogin.
func (n Naive) BlocksLogin(ip netip.Addr) bool {
	return n.hit("whitelist", ip) == nil && n.hit("blocklogin", ip) != nil
}

func (n Naive) denial(r Restriction) *Denial {
	if r.Code < 400 || r.Code > 499 { // FX-23
		r.Code = DefaultCode(r.Category, r.Scope)
	}
	return &Denial{Status: r.Code, Reason: "authz.restrict." + r.Category, ID: r.ID}
}

// hit is the first enabled row of a category: by scope (D6), then by id (AZ-45).
func (n Naive) hit(category string, ip netip.Addr) *Restriction {
	for _, scope := range []string{"all", "ip", "ip_subnet", "country", "continent"} {
		var best *Restriction
		for i := range n.Rows.Restrictions {
			r := &n.Rows.Restrictions[i]
			if strings.ToLower(r.State) == "enabled" && r.Category == category &&
				r.Scope == scope && n.within(ip, scope, r.Value) &&
				(best == nil || r.ID < best.ID) {
				best = r
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// within says whether an address is in the set that a scope and a value name.
func (n Naive) within(ip netip.Addr, scope, value string) bool {
	if scope == "all" {
		return true
	}
	if !ip.IsValid() {
		return false
	}
	ip = ip.Unmap().WithZone("")
	switch scope {
	case "ip":
		want, err := parseIP(value)
		return err == nil && want == ip
	case "ip_subnet":
		net, err := parseSubnet(value)
		return err == nil && net.Contains(ip)
	}
	if n.Options.locator() == nil {
		return false
	}
	country, continent, _ := n.Options.Geo.Lookup(ip)
	switch scope {
	case "country":
		code, ok := countryCode(value)
		return ok && code == country
	case "continent":
		code, ok := continentCode(value)
		return ok && code == continent
	}
	return false
}

// Component is Snapshot.Component.
func (n Naive) Component(path string) bool {
	segments := strings.Split(path, "/")
	for _, c := range n.Options.Components {
		if c == "*" {
			return true
		}
		if len(c) > 1 && c == "/"+segments[0] {
			return true
		}
		if c != "" && len(segments) >= 3 &&
			segments[0] == "api" && segments[1] == "v2" && segments[2] == c {
			return true
		}
	}
	return false
}

// Route is Snapshot.Route.
func (n Naive) Route(path string) Route {
	for _, p := range append([]string{management}, n.Rules.Block...) {
		if n.matches(p, Drop, path) >= 0 {
			return Block
		}
	}
	for _, p := range n.Rules.Pass {
		if n.matches(p, Accept, path) >= 0 {
			return Pass
		}
	}
	return Neither
}

// Matching lists, by place, the permission rows that Permission looks at.
func (n Naive) Matching(role, method, path string) (rows []Permission) {
	for _, p := range n.Rows.Permissions {
		if p.Role == role && verbCovers(strings.ToUpper(p.Verb), method) &&
			n.matches(p.Path, strings.ToUpper(p.Action), path) >= 0 {
			rows = append(rows, p)
		}
	}
	return rows
}

// Permission is Snapshot.Permission.
func (n Naive) Permission(role, method, path string) Permit {
	var accept, drop bool
	var audit *Permission
	auditLen := -1
	for i := range n.Rows.Permissions {
		p := &n.Rows.Permissions[i]
		if p.Role != role || !verbCovers(strings.ToUpper(p.Verb), method) {
			continue
		}
		size := n.matches(p.Path, strings.ToUpper(p.Action), path)
		if size < 0 {
			continue
		}
		switch strings.ToUpper(p.Action) {
		case "ACCEPT":
			accept = true
		case "DROP":
			drop = true
		case "AUDIT": // FX-52
			if audit == nil || size > auditLen || size == auditLen && p.ID < audit.ID {
				audit, auditLen = p, size
			}
		}
	}
	permit := Permit{Allows: accept && !drop}
	if audit != nil {
		permit.Audit, permit.Topic = true, audit.Topic
	}
	return permit
}

// Scoped is Snapshot.Scoped.
func (n Naive) Scoped(scopes []string, method, path string) bool {
	for _, name := range scopes {
		for _, e := range n.Rules.Scopes[name] {
			if verbCovers(e.Verb, method) && n.matches(e.Path, Accept, path) >= 0 {
				return true
			}
		}
	}
	return false
}

func verbCovers(verb, method string) bool {
	seven := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
	return slices.Contains(seven, method) &&
		(verb == method || verb == "ALL" || verb == "GET" && method == "HEAD")
}

// matches says whether a row's path matches, and with how many bytes of the request path; -1
// is no. Case counts for rows that allow and for no others. Rows speak of paths as clients write them, and the request path has been folded: a
// row matches as it stands, or folded itself, and one that denies also if it matches any way
// in which the client may have written the path.
func (n Naive) matches(stored, action, path string) int {
	pattern, err := CanonicalPattern(stored)
	if err != nil {
		if errors.Is(err, ErrEmptyPattern) && action == Drop {
			return 0
		}
		return -1
	}
	if action != Accept {
		pattern, path = strings.ToLower(pattern), strings.ToLower(path)
	}
	size := -1
	if n.covers(pattern, action, path) {
		size = len(strings.TrimSuffix(pattern, "*"))
	}
	if folded, ok := Fold(strings.TrimSuffix(pattern, "*")); ok {
		if strings.HasSuffix(pattern, "*") {
			folded += "*"
		}
		if n.covers(folded, action, path) {
			size = max(size, len(strings.TrimSuffix(folded, "*")))
		}
	}
	if size >= 0 || action == Accept {
		return size
	}
	if rest, ok := strings.CutPrefix(path, "api/v2/barong/"); ok {
		group, _, _ := strings.Cut(rest, "/")
		five := []string{"identity", "resource", "admin", "management", "public"}
		if slices.Contains(five, group) &&
			(n.covers(pattern, action, "api/v2/"+rest) ||
				n.covers(pattern, action, "api/v2/auth/"+rest)) {
			return len("api/v2/barong/" + group)
		}
	}
	return -1
}

// covers is the rule of D5 for one pattern and one path.
func (n Naive) covers(pattern, action, path string) bool {
	prefix, star := strings.CutSuffix(pattern, "*")
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case !ok:
		return false
	case star || n.Options.Matching == MatchPrefix:
		return true
	case rest == "" || rest[0] == '/':
		return true
	case action == Accept:
		return false
	}
	const names = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return !strings.Contains(names, rest[:1])
}

// Cuts is 0 when there is none and 1 otherwise: nothing is remembered between questions.
func (n Naive) Cuts() int64 {
	if len(n.Rows.Cuts) == 0 {
		return 0
	}
	return 1
}

// CutOff is Snapshot.CutOff.
func (n Naive) CutOff(ip netip.Addr, created time.Time) bool {
	for _, c := range n.Rows.Cuts {
		if n.within(ip, c.Scope, c.Value) && created.Before(c.At) {
			return true
		}
	}
	return false
}

// Country is Snapshot.Country.
func (n Naive) Country(ip netip.Addr) string {
	if n.Options.locator() == nil {
		return ""
	}
	return n.Options.Geo.Name(ip.Unmap().WithZone(""), n.Options.Lang)
}
