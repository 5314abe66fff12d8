package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrForeignEvent says that a message is no event of the service it should be of, or not any
// more; the text around it says why, for logs, and holds nothing of the message.
var ErrForeignEvent = errors.New("token: invalid event of another service")

const (
	maxForeign           = 256 << 10
	maxForeignSignatures = 8
	maxForeignID         = 255
	maxForeignSigner     = 100
	// foreignLeeway is how far another service's clock may be ahead of ours.
	foreignLeeway = time.Minute
)

// lastForeign is later than any sensible exp, and early enough to reckon with.
var lastForeign = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// A ForeignKey is the public key by which another service signs its events, with the one
// algorithm that it is used with. It never changes; the zero value verifies nothing.
type ForeignKey struct {
	signer string
	key    PublicKey
}

// Signer is the name under which the service signs, the kid of its messages (AZ-380).
func (k ForeignKey) Signer() string { return k.signer }

// ParseForeignKey reads the key of a signer as ParsePublicKey does; the signer's name has 1 to 100
// bytes. Errors are ErrBadKey.
func ParseForeignKey(signer, algorithm, text string) (ForeignKey, error) {
	if signer == "" || len(signer) > maxForeignSigner {
		return ForeignKey{}, fmt.Errorf("%w: the signer has no name, or a very long one", ErrBadKey)
	}
	key, err := ParsePublicKey(algorithm, text)
	return ForeignKey{signer, key}, err
}

// A ForeignEvent is an event that another service has signed.
type ForeignEvent struct {
	// ID is the claim jti, of 1 to 255 bytes, by which a repetition is known.
	ID string
	// Expires is exp, before the year 9999. Until KnownUntil the message may be accepted again.
	Expires, KnownUntil time.Time
	// Event is a JSON object: record, changes, name (AZ-382). It holds personal data.
	Event json.RawMessage
}

// String keeps the event out of logs and errors.
func (e ForeignEvent) String() string { return fmt.Sprintf("message %.64q", e.ID) }

// GoString keeps it out of %#v.
func (e ForeignEvent) GoString() string { return e.String() }

// VerifyForeignEvent checks a message of another service: a JWS in general JSON serialization
// (RFC 7515 §7.2.1, AZ-380) of at most 256 KiB. It is accepted only if one of its at most 8
// signatures has the signer's name as kid, protected or not, and is right by the key and the
// key's own algorithm, whatever the header claims; and if exp is there and in the future,
// iat and nbf, if there, are not (a minute of leeway), jti is not empty and event is an object
// (AZ-381). Everything else is ErrForeignEvent. Whether the message was seen before is the
// caller's to know, by ID.
func VerifyForeignEvent(message []byte, k ForeignKey, now time.Time) (ForeignEvent, error) {
	refuse := func(why string) (ForeignEvent, error) {
		return ForeignEvent{}, fmt.Errorf("%w: %s", ErrForeignEvent, why)
	}
	if k.key.public == nil {
		return refuse("there is no key")
	}
	if len(message) > maxForeign {
		return refuse("it is too long")
	}
	g, err := ParseGeneral(message, maxForeignSignatures)
	if err != nil {
		return ForeignEvent{}, fmt.Errorf("%w: %w", ErrForeignEvent, err)
	}
	why := "it is not signed by " + k.signer
	for _, s := range g.Signatures {
		if s.Kid != k.signer {
			continue
		}
		if why = k.key.Fault(g, s); why != "" {
			continue
		}
		e, problem := readForeign(g, now)
		if problem != "" {
			return refuse(problem)
		}
		return e, nil
	}
	return refuse(why)
}

// readForeign checks the claims of a payload whose signature is right.
func readForeign(g General, now time.Time) (e ForeignEvent, problem string) {
	claims, encoded := g.Object()
	if !encoded {
		return e, "the payload is no object"
	}
	late := now.Add(foreignLeeway)
	for _, name := range []string{"iat", "nbf"} {
		if claims[name] == nil {
			continue
		}
		if t, ok := NumericDate(claims[name]); !ok || t.After(late) {
			return e, name + " is in the future, or no time"
		}
	}
	exp, ok := NumericDate(claims["exp"])
	switch {
	case !ok || !exp.Before(lastForeign):
		return e, "exp is missing, or no sensible time"
	case !now.Before(exp):
		return e, "it has expired"
	}
	e = ForeignEvent{
		ID: text(claims["jti"]), Expires: exp, Event: claims["event"],
		// Another replica's clock may be behind ours.
		KnownUntil: exp.Add(foreignLeeway),
	}
	if e.ID == "" || len(e.ID) > maxForeignID {
		return ForeignEvent{}, "jti is missing or too long"
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(e.Event, &object) != nil || object == nil {
		return ForeignEvent{}, "event is no object"
	}
	return e, ""
}
