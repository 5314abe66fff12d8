package peer

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"barong/internal/token"
)

// claimRules are the options of the file's key jwt.
type claimRules struct {
	expiration, notBefore, issuedAt, id bool // which to verify if they are there; id must be there
	requireExp                          bool
	maxLife                             time.Duration // 0 means none
	expLeeway, nbfLeeway, iatLeeway     time.Duration
	issuers, audiences, subjects        []string // nil: any
}

// registered are the claims of a message that outlive their check.
type registered struct {
	id      string
	expires time.Time // zero when there is none
}

// expired is the fault of a message whose time is over.
const expired = "it has expired"

// check judges the registered claims at a moment; fault is the first fault, "" for none.
func (r claimRules) check(claims map[string]json.RawMessage, enforce bool, now time.Time) (c registered, fault string) {
	if raw := claims["exp"]; raw != nil {
		t, ok := token.NumericDate(raw)
		if !ok {
			return c, "exp is no time"
		}
		c.expires = t
		if r.expiration && !now.Before(t.Add(r.expLeeway)) {
			return c, expired
		}
	} else if enforce || r.requireExp || r.maxLife > 0 {
		return c, "exp is missing"
	}
	if raw := claims["nbf"]; raw != nil && r.notBefore {
		if t, ok := token.NumericDate(raw); !ok || t.After(now.Add(r.nbfLeeway)) {
			return c, "nbf is in the future, or no time"
		}
	}
	begins := now
	if raw := claims["iat"]; raw != nil && (enforce || r.issuedAt || r.maxLife > 0) {
		t, ok := token.NumericDate(raw)
		if !ok || t.After(now.Add(r.iatLeeway)) {
			return c, "iat is in the future, or no time"
		}
		begins = t
	}
	most := r.maxLife
	if enforce && (most == 0 || most > MaxLifetime) {
		most = MaxLifetime
	}
	if most > 0 && c.expires.Sub(begins) > most {
		return c, "it lives too long"
	}
	if raw := claims["jti"]; raw != nil {
		if json.Unmarshal(raw, &c.id) != nil && (enforce || r.id) {
			return c, "jti is no text"
		}
	}
	if (enforce || r.id) && (strings.TrimSpace(c.id) == "" || len(c.id) > maxID) {
		return c, "jti is missing, blank or too long"
	}
	for _, x := range []struct {
		name string
		want []string
	}{{"iss", r.issuers}, {"aud", r.audiences}, {"sub", r.subjects}} {
		if x.want != nil && !meet(claims[x.name], x.name == "aud", x.want) {
			return c, x.name + " is missing or another"
		}
	}
	return c, ""
}

// meet reports whether a claim is one of the texts wanted; a list may hold it where lists are allowed.
func meet(raw json.RawMessage, list bool, want []string) bool {
	var one string
	var many []string
	switch {
	case raw == nil:
		return false
	case json.Unmarshal(raw, &one) == nil:
		many = []string{one}
	case !list || json.Unmarshal(raw, &many) != nil:
		return false
	}
	return slices.ContainsFunc(many, func(s string) bool { return s != "" && slices.Contains(want, s) })
}

// bound is the fault in the binding of a message to its call, "" for none or no binding.
func bound(claims map[string]json.RawMessage, r Request) string {
	var method, path string
	if raw := claims["method"]; raw != nil {
		if json.Unmarshal(raw, &method) != nil || method != r.Method {
			return "it is for another method"
		}
	}
	if raw := claims["path"]; raw != nil {
		if json.Unmarshal(raw, &path) != nil {
			return "it is for another path"
		}
		for _, prefix := range []string{"/api/v2/management", "/api/v2/barong/management", "/api/v2/auth/management"} {
			if rest, ok := strings.CutPrefix(path, prefix); ok {
				path = rest
				break
			}
		}
		if path != r.Path {
			return "it is for another path"
		}
	}
	return ""
}

// data is the claim data as an object, {} for anything else.
func data(claims map[string]json.RawMessage) json.RawMessage {
	if raw := claims["data"]; len(raw) > 0 && raw[0] == '{' { // it is valid JSON
		return raw
	}
	return json.RawMessage("{}")
}
