package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoCountersign says that a message cannot be countersigned; Reason says why, for the client.
var ErrNoCountersign = errors.New("token: cannot be countersigned")

// A Countersigned is a JWS in general JSON serialization (RFC 7515, section 7.2.1).
type Countersigned struct {
	Payload    string           `json:"payload" doc:"As it was sent."`
	Signatures []map[string]any `json:"signatures" doc:"Those that were sent, and ours, of the kid barong, at the end."`
}

// refusedCountersign is an ErrNoCountersign.
type refusedCountersign struct{ reason string }

func (e refusedCountersign) Error() string { return ErrNoCountersign.Error() + ": " + e.reason }
func (refusedCountersign) Unwrap() error   { return ErrNoCountersign }

// ReasonOf is the reason of an ErrNoCountersign; it holds nothing of the message.
func ReasonOf(err error) string {
	if bad, ok := errors.AsType[refusedCountersign](err); ok {
		return bad.reason
	}
	return ""
}

// foreignClaims are top-level members of claims that we sign for nobody else: an identity's, and that
// of our own events (design D7b).
var foreignClaims = []string{"sub", "uid", "event"}

// Countersign adds our signature to a message, by the active wire key, in place of an earlier one of
// ours. It signs the payload as it was sent; the other signatures stay as they are and are not
// verified. ErrNoCountersign: the message is no JWS of a JSON object, or its claims could be taken for an
// identity or for an event of ours.
func (k *Keys) Countersign(message map[string]any) (Countersigned, error) {
	refuse := func(reason string) (Countersigned, error) { return Countersigned{}, refusedCountersign{reason} }
	payload, ok := message["payload"].(string)
	if !ok {
		return refuse("payload is missing")
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil || strings.ContainsAny(payload, "\r\n") {
		return refuse("payload is not base64url")
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(text, &claims) != nil || claims == nil {
		return refuse("payload is not a JSON object")
	}
	for _, name := range foreignClaims {
		for claim := range claims {
			if strings.EqualFold(claim, name) { // as readers in Go take them
				return refuse("payload has the member " + name)
			}
		}
	}
	out := Countersigned{Payload: payload, Signatures: []map[string]any{}}
	list, ok := message["signatures"].([]any)
	if !ok {
		return refuse("signatures are missing")
	}
	for _, one := range list {
		signature, ok := one.(map[string]any)
		if !ok {
			return refuse("a signature is not an object")
		}
		out.Signatures = append(out.Signatures, signature)
	}
	out.Signatures = slices.DeleteFunc(out.Signatures, func(s map[string]any) bool {
		header, _ := s["header"].(map[string]any)
		return header["kid"] == any(wireKid)
	})
	key, err := k.signer(UseWire)
	if err != nil {
		return Countersigned{}, fmt.Errorf("token: countersign: %w", err)
	}
	ours, err := signPayload(payload, PrivateKey{wireKid, key.Algorithm, key.private, key.method})
	if err != nil {
		return Countersigned{}, fmt.Errorf("token: countersign with %v: %w", key.SigningKey, err)
	}
	out.Signatures = append(out.Signatures, map[string]any{
		"protected": ours.Protected, "header": map[string]any{"kid": wireKid}, "signature": ours.Signature,
	})
	return out, nil
}
