package token

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalid says that a bearer token is refused; the text around it says why, for logs.
var ErrInvalid = errors.New("token: invalid bearer token")

const (
	// maxBearer bounds the work on a header that anyone can send.
	maxBearer = 8 << 10
	// leeway is how far another replica's clock may be ahead.
	leeway = 2 * time.Second
)

// Verify checks a bearer token (the JWT alone, without "Bearer ") and returns its uid. State
// and role are the directory's to tell, never the token's (design D7).
//
// It is accepted only if it is signed by the bearer key that its kid names, in any of the
// key's states, with that key's own algorithm, whatever the header claims; and if iss is
// barong, aud a list or string with barong, sub is session, jti and uid are not empty, exp
// is there and in the future, and iat and nbf, if there, are not in the future (2 s of
// leeway). Everything else is ErrInvalid.
func (m *Minter) Verify(bearer string, now time.Time) (uid string, err error) {
	if len(bearer) > maxBearer {
		return "", fmt.Errorf("%w: it is too long", ErrInvalid)
	}
	var c bearerClaims
	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding(),
		jwt.WithValidMethods([]string{RS256, ES256, EdDSA}))
	_, err = parser.ParseWithClaims(bearer, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key := m.keys.set.Load().byKid[kid]
		if key == nil || key.Use != UseBearer {
			return nil, ErrNoKey
		}
		if t.Header["alg"] != key.Algorithm || t.Method != key.method {
			return nil, errors.New("the algorithm is not the key's")
		}
		if t.Header["crit"] != nil { // RFC 7515 §4.1.11: nothing is understood
			return nil, errors.New("it has critical header members")
		}
		return key.public, nil
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if problem := c.problem(now); problem != "" {
		return "", fmt.Errorf("%w: %s", ErrInvalid, problem)
	}
	return c.UID, nil
}

// bearerClaims is what Verify looks at.
type bearerClaims struct {
	jwt.RegisteredClaims
	UID string `json:"uid"`
}

func (c *bearerClaims) problem(now time.Time) string {
	switch {
	case c.Issuer != issuer:
		return "iss is not " + issuer
	case !slices.Contains(c.Audience, audience):
		return "aud has no " + audience
	case c.Subject != subject:
		return "sub is not " + subject
	case c.ID == "":
		return "jti is missing"
	case c.UID == "":
		return "uid is missing"
	case c.ExpiresAt == nil:
		return "exp is missing"
	case !now.Before(c.ExpiresAt.Time):
		return "it has expired"
	case c.IssuedAt != nil && c.IssuedAt.After(now.Add(leeway)):
		return "iat is in the future"
	case c.NotBefore != nil && c.NotBefore.After(now.Add(leeway)):
		return "nbf is in the future"
	}
	return ""
}
