package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"barong/internal/invalid"
)

// States of restrictions.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// States lists the states of restrictions.
func States() []string { return []string{Enabled, Disabled} }

// longestValue is the width of the value column.
const longestValue = 64

// WhitelinkPath is exempt from all restrictions, so that a blocked client can redeem a
// whitelink (AZ-43).
const WhitelinkPath = "api/v2/barong/identity/users/access"

// SignInPath is where people sign in by password.
const SignInPath = own + "identity/sessions"

// signInPaths are the paths at which a POST opens a session. blocklogin refuses those (FX-24).
// Decisions, previews and Naive all read this list.
var signInPaths = []string{
	SignInPath,
	SignInPath + "/auth0",
	SignInPath + "/passkey",
	own + "identity/users",
	own + "identity/users/email/confirm_code",
}

// SignInPaths lists them.
func SignInPaths() []string { return slices.Clone(signInPaths) }

// signsIn reports whether a request opens a session.
func signsIn(method, bare string) bool {
	return method == "POST" && slices.Contains(signInPaths, bare)
}

// Categories lists the categories in the order in which they are looked at (AZ-40).
func Categories() []string { return []string{Whitelist, Maintenance, Blacklist, Blocklogin} }

// Scopes lists the scopes in the order in which they are looked at (design D6).
func Scopes() []string {
	return []string{ScopeAll, ScopeIP, ScopeSubnet, ScopeCountry, ScopeContinent}
}

// scopeRank is the place of a scope in Scopes, -1 when it is none.
func scopeRank(scope string) int {
	switch scope {
	case ScopeAll:
		return 0
	case ScopeIP:
		return 1
	case ScopeSubnet:
		return 2
	case ScopeCountry:
		return 3
	case ScopeContinent:
		return 4
	}
	return -1
}

// DefaultCode is the HTTP status of a restriction that names none (AZ-49).
func DefaultCode(category, scope string) int {
	switch {
	case category == Maintenance:
		return 471
	case scope == ScopeCountry, scope == ScopeContinent:
		return 423
	case scope == ScopeSubnet:
		return 403
	}
	return 401
}

// Normalize brings a row into the form in which it is stored: category, scope and state lower
// case; addresses and prefixes as netip writes them, v4-mapped ones as IPv4 (FX-22, FX-57);
// countries as alpha-2 and continents as two-letter codes, given by code or English name in
// any case (design D6); a missing code, and every whitelist's, by AZ-49. A blank state is
// enabled. It returns Invalid when a field is blank, none of its values, too long, or a code
// outside 400…499 (FX-23). A row with an error is left half normalised.
func (r *Restriction) Normalize() error {
	var bad invalid.Fields
	r.Category = strings.ToLower(strings.TrimSpace(r.Category))
	r.Scope = strings.ToLower(strings.TrimSpace(r.Scope))
	r.State = strings.ToLower(strings.TrimSpace(r.State))
	r.Value = strings.TrimSpace(r.Value)
	switch r.Category {
	case Whitelist, Maintenance, Blacklist, Blocklogin:
	case "":
		bad.Add("category", invalid.Blank)
	default:
		bad.Explain("category", invalid.Malformed,
			fmt.Sprintf("%q is none of %s", r.Category, strings.Join(Categories(), " ")))
	}
	switch {
	case r.Scope == "":
		bad.Add("scope", invalid.Blank)
	case scopeRank(r.Scope) < 0:
		bad.Explain("scope", invalid.Malformed,
			fmt.Sprintf("%q is none of %s", r.Scope, strings.Join(Scopes(), " ")))
	}
	switch {
	case r.Value == "":
		bad.Add("value", invalid.Blank)
	case len(r.Value) > longestValue:
		bad.Add("value", invalid.TooLong)
	default:
		v, err := canonicalValue(r.Scope, r.Value)
		if err != nil {
			bad.Explain("value", invalid.Malformed, err.Error())
		} else {
			r.Value = v
		}
	}
	if r.Code == 0 || r.Category == Whitelist {
		r.Code = DefaultCode(r.Category, r.Scope)
	}
	if !denies(r.Code) {
		bad.Explain("code", invalid.Malformed, fmt.Sprintf("%d is outside 400 to 499", r.Code))
	}
	switch r.State {
	case "":
		r.State = Enabled
	case Enabled, Disabled:
	default:
		bad.Explain("state", invalid.Malformed, fmt.Sprintf("%q is neither enabled nor disabled", r.State))
	}
	return bad.Err()
}

// A RestrictionKey distinguishes restriction rows; the store refuses a second one of the same key.
type RestrictionKey struct{ category, scope, value string }

// Key is the row's key.
func (r *Restriction) Key() RestrictionKey { return RestrictionKey{r.Category, r.Scope, r.Value} }

// Denies reports whether the row's code is one that a restriction may have.
func (r *Restriction) Denies() bool { return denies(r.Code) }

// Target is the set of addresses that the row is about; the error is for people.
func (r *Restriction) Target() (Target, error) { return parseTarget(r.Scope, r.Value) }

// denies says whether a status refuses without looking like an answer or an outage (FX-23).
func denies(code int) bool { return code >= 400 && code <= 499 }

func canonicalValue(scope, value string) (string, error) {
	switch scope {
	case ScopeIP:
		ip, err := parseIP(value)
		if err != nil {
			return "", err
		}
		return ip.String(), nil
	case ScopeSubnet:
		p, err := parseSubnet(value)
		if err != nil {
			return "", err
		}
		return p.String(), nil
	case ScopeCountry:
		code, ok := countryCode(value)
		if !ok {
			return "", fmt.Errorf("%q is no country's ISO 3166 code or English name", value)
		}
		return code, nil
	case ScopeContinent:
		code, ok := continentCode(value)
		if !ok {
			return "", fmt.Errorf("%q is no continent's code or English name", value)
		}
		return code, nil
	}
	return value, nil // scope all: free text
}

// Spellings are the values by which rows can be stored that mean the same as value in some scope:
// value itself, and what Normalize makes of it.
func Spellings(value string) []string {
	all := []string{value}
	for _, scope := range Scopes() {
		if v, err := canonicalValue(scope, strings.TrimSpace(value)); err == nil && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// foldIP is the form in which addresses are compared: IPv4 for v4-mapped ones, no zone
// (FX-57).
func foldIP(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

func parseIP(value string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is no IPv4 or IPv6 address", value)
	}
	return foldIP(ip), nil
}

func parseSubnet(value string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no IPv4 or IPv6 prefix", value)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errors.New("a v4-mapped prefix is at least 96 bits long")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
