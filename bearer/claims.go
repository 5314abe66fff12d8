package bearer

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Claims are the claims of a token that was verified.
type Claims struct {
	// UID is the account's public id, Role, Level and State are those that it had when the token was
	// made. State is "active" or "pending": whether pending is enough is the upstream's to decide.
	UID, Email, Role, State string
	Level                   int
	// Username and ReferralID are "" and 0 where the token has null, or is a service account's.
	Username   string
	ReferralID int64
	// ServiceAccount is true for a token without the members username and referral_id.
	ServiceAccount bool
	// APIKey is the id of the key that signed the request, "" for another credential; Barong
	// shows it to itself alone.
	APIKey string

	// ID is jti. Requests of one credential may share a token for up to a minute, so it may come again.
	ID string
	// Party is azp; KeyID is the kid that the token was verified by.
	Party, KeyID string
	// IssuedAt and Expires are iat and exp.
	IssuedAt, Expires time.Time
}

// check reads the claims of a payload whose signature is right.
func (v *Verifier) check(o *object, now time.Time) (c Claims, err error) {
	claim := func(name string) error { return fmt.Errorf("%w: %s is missing or wrong", ErrClaims, name) }
	exp, expires := o.seconds("exp")
	iat, issued := o.seconds("iat")
	switch {
	case o.text("iss") != v.issuer:
		return c, claim("iss")
	case o.text("sub") != subject:
		return c, claim("sub")
	case !o.holds("aud", v.audience):
		return c, claim("aud")
	case o.text("azp") != v.party:
		return c, claim("azp")
	case o.text("jti") == "":
		return c, claim("jti")
	case !expires:
		return c, claim("exp")
	case !issued:
		return c, claim("iat")
	case !now.Before(time.Unix(exp, 0).Add(v.leeway)):
		return c, ErrExpired
	case time.Unix(iat, 0).After(now.Add(v.leeway)):
		return c, ErrEarly
	}
	if o.get("nbf") != "" {
		nbf, ok := o.seconds("nbf")
		switch {
		case !ok:
			return c, claim("nbf")
		case time.Unix(nbf, 0).After(now.Add(v.leeway)):
			return c, ErrEarly
		}
	}
	c = Claims{
		UID: o.text("uid"), Email: o.text("email"), Role: o.text("role"), State: o.text("state"),
		APIKey: o.text("apikey"), ID: o.text("jti"), Party: v.party,
		IssuedAt: time.Unix(iat, 0).UTC(), Expires: time.Unix(exp, 0).UTC(),
		ServiceAccount: o.get("username") == "" && o.get("referral_id") == "",
	}
	if c.Level, err = strconv.Atoi(o.get("level")); err != nil || c.Level < 0 {
		return Claims{}, claim("level")
	}
	for _, must := range [...]struct{ name, value string }{{"uid", c.UID}, {"email", c.Email}, {"role", c.Role}, {"state", c.State}} {
		if must.value == "" {
			return Claims{}, claim(must.name)
		}
	}
	if username := o.get("username"); username != "" && username != "null" {
		var ok bool
		if c.Username, ok = unquote(username); !ok {
			return Claims{}, claim("username")
		}
	}
	if id := o.get("referral_id"); id != "" && id != "null" {
		if c.ReferralID, err = strconv.ParseInt(id, 10, 64); err != nil {
			return Claims{}, claim("referral_id")
		}
	}
	return c, nil
}

type contextKey struct{}

// NewContext returns a context that holds the claims.
func NewContext(ctx context.Context, c Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, &c)
}

// FromContext returns the claims that a middleware has left; false without one.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(*Claims)
	if !ok {
		return Claims{}, false
	}
	return *c, true
}
