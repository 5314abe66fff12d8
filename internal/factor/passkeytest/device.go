// Package passkeytest is a device with passkeys, for tests: it answers the challenges of the API as a
// browser with its authenticator does (WebAuthn level 3), and wrongly where a test says so.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// Flags of authenticator data.
const (
	Present  = 1 << 0
	Verified = 1 << 2
	Eligible = 1 << 3 // for backup
	BackedUp = 1 << 4
	attested = 1 << 6
)

// A Device keeps passkeys of one person. The zero value but for Origin is an honest one.
type Device struct {
	// Origin is that of the page which asks.
	Origin string
	// Flags of each answer; 0 for Present and Verified.
	Flags byte
	// Still devices do not count their uses.
	Still bool
	// Keys are the passkeys, the oldest first.
	Keys []*Key
	// Twist changes an answer before it is signed; nil changes nothing.
	Twist func(*Answer)
	// Forge changes it after that.
	Forge func(*Answer)
}

// A Key is a passkey.
type Key struct {
	ID, Handle []byte
	RPID       string
	Count      uint32
	private    *ecdsa.PrivateKey
}

// An Answer is the reply of a device, before it is encoded.
type Answer struct {
	Type, Challenge, Origin string
	CrossOrigin             bool
	RPID                    string
	Flags                   byte
	Count                   uint32
	ID, Handle              []byte
	Format                  string
	Signature               []byte
	ClientData, Data        []byte // made of the above before they are signed
}

// options is the answer of begin.
type options struct {
	PublicKey struct {
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		RPID string `json:"rpId"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Challenge string `json:"challenge"`
		Exclude   []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
	} `json:"publicKey"`
}

var b64 = base64.RawURLEncoding

// Clone is a second device with the same passkeys, as a thief would make one.
func (d *Device) Clone() *Device {
	c := *d
	c.Keys = nil
	for _, k := range d.Keys {
		copied := *k
		c.Keys = append(c.Keys, &copied)
	}
	return &c
}

func (d *Device) flags() byte {
	if d.Flags != 0 {
		return d.Flags
	}
	return Present | Verified
}

// Create is navigator.credentials.create: begun is the answer of begin, and the result that of
// PublicKeyCredential.toJSON. The device has the passkey from then on.
func (d *Device) Create(begun []byte) (json.RawMessage, error) {
	var o options
	if err := json.Unmarshal(begun, &o); err != nil {
		return nil, fmt.Errorf("read options: %w", err)
	}
	for _, one := range o.PublicKey.Exclude {
		if slices.ContainsFunc(d.Keys, func(k *Key) bool { return b64.EncodeToString(k.ID) == one.ID }) {
			return nil, fmt.Errorf("the device has a passkey of the account")
		}
	}
	handle, err := b64.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		return nil, fmt.Errorf("read user handle: %w", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	k := &Key{ID: make([]byte, 16), Handle: handle, RPID: o.PublicKey.RP.ID, private: private}
	_, _ = rand.Read(k.ID)
	a := Answer{
		Type: "webauthn.create", Challenge: o.PublicKey.Challenge, Origin: d.Origin, RPID: k.RPID,
		Flags: d.flags() | attested, ID: k.ID, Format: "none",
	}
	if d.Twist != nil {
		d.Twist(&a)
	}
	a.encode()
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	a.Data = append(a.Data, make([]byte, 16)...) // the AAGUID of nobody
	a.Data = binary.BigEndian.AppendUint16(a.Data, uint16(len(k.ID)))
	a.Data = append(a.Data, k.ID...)
	// COSE_Key: EC2, ES256, P-256, x, y
	a.Data = append(a.Data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32)
	a.Data = append(a.Data, point[1:33]...)
	a.Data = append(a.Data, 0x22, 0x58, 32)
	a.Data = append(a.Data, point[33:]...)
	if d.Forge != nil {
		d.Forge(&a)
	}
	d.Keys = append(d.Keys, k)
	object := []byte{0xa3}
	object = append(text(text(object, "fmt"), a.Format), text(nil, "attStmt")...)
	object = append(object, 0xa0)
	object = text(object, "authData")
	object = append(object, 0x59, byte(len(a.Data)>>8), byte(len(a.Data)))
	object = append(object, a.Data...)
	return a.json(map[string]any{
		"clientDataJSON": b64.EncodeToString(a.ClientData), "attestationObject": b64.EncodeToString(object),
		"transports": []string{"internal"},
	})
}

// Get is navigator.credentials.get with the newest passkey of the site.
func (d *Device) Get(begun []byte) (json.RawMessage, error) {
	var o options
	if err := json.Unmarshal(begun, &o); err != nil {
		return nil, fmt.Errorf("read options: %w", err)
	}
	var k *Key
	for _, one := range d.Keys {
		if one.RPID == o.PublicKey.RPID {
			k = one
		}
	}
	if k == nil {
		return nil, fmt.Errorf("the device has no passkey for %q", o.PublicKey.RPID)
	}
	if !d.Still {
		k.Count++
	}
	a := Answer{
		Type: "webauthn.get", Challenge: o.PublicKey.Challenge, Origin: d.Origin, RPID: k.RPID,
		Flags: d.flags(), Count: k.Count, ID: k.ID, Handle: k.Handle,
	}
	if d.Twist != nil {
		d.Twist(&a)
	}
	a.encode()
	hash := sha256.Sum256(a.ClientData)
	sum := sha256.Sum256(append(slices.Clone(a.Data), hash[:]...))
	var err error
	if a.Signature, err = ecdsa.SignASN1(rand.Reader, k.private, sum[:]); err != nil {
		return nil, err
	}
	if d.Forge != nil {
		d.Forge(&a)
	}
	return a.json(map[string]any{
		"clientDataJSON": b64.EncodeToString(a.ClientData), "authenticatorData": b64.EncodeToString(a.Data),
		"signature": b64.EncodeToString(a.Signature), "userHandle": b64.EncodeToString(a.Handle),
	})
}

// encode makes client data and the beginning of authenticator data.
func (a *Answer) encode() {
	a.ClientData, _ = json.Marshal(map[string]any{ // texts and a flag always marshal
		"type": a.Type, "challenge": a.Challenge, "origin": a.Origin, "crossOrigin": a.CrossOrigin,
	})
	site := sha256.Sum256([]byte(a.RPID))
	a.Data = binary.BigEndian.AppendUint32(append(site[:], a.Flags), a.Count)
}

func (a *Answer) json(response map[string]any) (json.RawMessage, error) {
	return json.Marshal(map[string]any{
		"id": b64.EncodeToString(a.ID), "rawId": b64.EncodeToString(a.ID), "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response,
	})
}

// text adds a CBOR text of less than 24 bytes.
func text(to []byte, s string) []byte { return append(append(to, 0x60|byte(len(s))), s...) }
