package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"barong/internal/secret"
)

const (
	// wireKid is the name by which consumers of events look the key up. It is a name, not the key's id
	// (AZ-380).
	wireKid = "barong"
	// wireLifetime is exp minus iat of an event (AZ-381).
	wireLifetime = time.Hour
)

// ErrNoForm says that a public key cannot be had in a form; the text around it says why.
var ErrNoForm = errors.New("token: no such form of the key")

// ErrEvent says that an event can never be signed; the text around it says why.
var ErrEvent = errors.New("token: not an event")

// SignEvent returns the message that carries an event: a JWS in general JSON serialization
// (RFC 7515, section 7.2.1) with one signature, by the active wire key (AZ-380, AZ-381). Its
// lifetime begins at now, so sign when you send. An event that is no object, or has a member
// sub or uid, is ErrEvent: it must never pass for an identity (design D7b).
func (k *Keys) SignEvent(event json.RawMessage, now time.Time) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(event, &members); err != nil || members == nil {
		return nil, fmt.Errorf("%w: it is not a JSON object", ErrEvent)
	}
	for _, name := range []string{"sub", "uid"} {
		if _, ok := members[name]; ok {
			return nil, fmt.Errorf("%w: its member %s could be taken for an identity", ErrEvent, name)
		}
	}
	key, err := k.signer(UseWire)
	if err != nil {
		return nil, fmt.Errorf("token: sign event: %w", err)
	}
	claims, err := json.Marshal(struct {
		Issuer  string          `json:"iss"`
		ID      string          `json:"jti"`
		Issued  int64           `json:"iat"`
		Expires int64           `json:"exp"`
		Event   json.RawMessage `json:"event"`
	}{issuer, secret.UUID(), now.Unix(), now.Add(wireLifetime).Unix(), event})
	if err != nil {
		return nil, fmt.Errorf("token: sign event: %w", err)
	}
	message, err := SignGeneral(claims, PrivateKey{wireKid, key.Algorithm, key.private, key.method})
	if err != nil {
		return nil, fmt.Errorf("token: sign event with %v: %w", key.SigningKey, err)
	}
	return message, nil
}

// Forms of a public key.
const (
	FormPEM = "pem" // of its SubjectPublicKeyInfo (RFC 5280)
	FormRaw = "raw" // PEM around the 32 bytes of an Ed25519 key, as Rango 3.1 reads it (AZ-227)
	FormJWK = "jwk" // RFC 7517, as in the published set
)

// Public is the public half of a use's active key, for configuration by hand, in one of
// the forms, with a line end. Mail keys verify nothing outside of this service: ErrNoKey for
// them and for unknown uses. A key that is not for EdDSA has no raw form: ErrNoForm.
func (k *Keys) Public(use, form string) ([]byte, error) {
	if use == UseMail {
		return nil, fmt.Errorf("%w: keys of use %s are nobody else's", ErrNoKey, use)
	}
	key, err := k.signer(use)
	if err != nil {
		return nil, err
	}
	var block []byte
	switch form {
	case FormJWK:
		public, err := published(key)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(public)
		if err != nil {
			return nil, fmt.Errorf("token: encode public key: %w", err)
		}
		return append(text, '\n'), nil
	case FormRaw:
		raw, ok := key.public.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: the key is for %s, and only one for EdDSA (Ed25519) has 32 bytes; the setting is jwt_algorithm",
				ErrNoForm, key.Algorithm)
		}
		block = raw
	case FormPEM:
		if block, err = x509.MarshalPKIXPublicKey(key.public); err != nil {
			return nil, fmt.Errorf("token: encode public key: %w", err)
		}
	default:
		return nil, fmt.Errorf("%w: %q", ErrNoForm, form)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block}), nil
}
