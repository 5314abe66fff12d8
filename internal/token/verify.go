package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrInvalid says that a bearer token is refused; the text around it says why, for logs.
var ErrInvalid = errors.New("token: invalid bearer token")

const (
	// maxBearer bounds the work on a header that anyone can send.
	maxBearer = 8 << 10
	// leeway is how far another replica's clock may be ahead.
	leeway = 2 * time.Second
)

// Verify checks a bearer token (the JWT alone, without "Bearer ") that was minted for this
// service, and returns its uid. State and role are the directory's to tell, never the token's
// (design D7).
//
// It is accepted only if it is signed by the bearer key that its kid names, in any of the
// key's states, with that key's own algorithm, whatever the header claims; and if iss is
// barong, aud a list or string with barong, azp barong, so that a component's token for
// a person's request opens nothing here (design D7d), sub is session, jti and uid are not
// empty, exp is there and in the future, and iat and nbf, if there, are not in the future (2 s
// of leeway). Everything else is ErrInvalid.
func (m *Minter) Verify(bearer string, now time.Time) (uid string, err error) {
	uid, _, err = m.VerifyKey(bearer, now)
	return uid, err
}

// VerifyKey is Verify that also returns the id of the API key that signed the request, "" for
// another credential.
func (m *Minter) VerifyKey(bearer string, now time.Time) (uid, kid string, err error) {
	claims, word := m.keys.set.Load().open(bearer, UseBearer, maxBearer)
	if word == "" {
		word = bearerProblem(claims, now)
	}
	if word != "" {
		return "", "", fmt.Errorf("%w: %s", ErrInvalid, word)
	}
	return text(claims["uid"]), text(claims["apikey"]), nil
}

func bearerProblem(c map[string]json.RawMessage, now time.Time) string {
	exp, expires := NumericDate(c["exp"])
	late := now.Add(leeway)
	ahead := func(name string) bool {
		t, ok := NumericDate(c[name])
		return c[name] != nil && (!ok || t.After(late))
	}
	switch {
	case text(c["iss"]) != issuer:
		return "iss is not " + issuer
	case !slices.Contains(texts(c["aud"]), audience):
		return "aud has no " + audience
	case text(c["azp"]) != PartyBarong:
		return "azp is not " + PartyBarong
	case text(c["sub"]) != subject:
		return "sub is not " + subject
	case text(c["jti"]) == "":
		return "jti is missing"
	case text(c["uid"]) == "":
		return "uid is missing"
	case !expires:
		return "exp is missing"
	case !now.Before(exp):
		return "it has expired"
	case ahead("iat"):
		return "iat is in the future"
	case ahead("nbf"):
		return "nbf is in the future"
	}
	return ""
}
