package view

import (
	"encoding/base64"

	"barong/internal/factor"
)

// Passkey is a passkey as its own user sees it.
type Passkey struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Synced     bool   `json:"synced" doc:"Whether the device's maker keeps copies of it."`
	CreatedAt  Time   `json:"created_at"`
	LastUsedAt *Time  `json:"last_used_at" doc:"null before the first sign-in by it."`
}

// PasskeyOf shows p.
func PasskeyOf(p factor.Passkey) Passkey {
	v := Passkey{ID: p.ID, Name: p.Name, Synced: p.Synced, CreatedAt: Time(p.CreatedAt)}
	if !p.LastUsedAt.IsZero() {
		used := Time(p.LastUsedAt)
		v.LastUsedAt = &used
	}
	return v
}

// PasskeyCreation is the argument of PublicKeyCredential.parseCreationOptionsFromJSON under publicKey
// (WebAuthn level 3). Bytes are base64url without padding.
type PasskeyCreation struct {
	PublicKey CreationOptions `json:"publicKey"`
}

// CreationOptions is PublicKeyCredentialCreationOptionsJSON, as far as it is used.
type CreationOptions struct {
	RP struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"rp"`
	User struct {
		ID          string `json:"id" doc:"Random; it names nobody."`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	} `json:"user"`
	Challenge     string              `json:"challenge"`
	Parameters    []PasskeyAlgorithm  `json:"pubKeyCredParams"`
	Timeout       int64               `json:"timeout" doc:"Milliseconds."`
	Exclude       []PasskeyDescriptor `json:"excludeCredentials"`
	Authenticator struct {
		ResidentKey        string `json:"residentKey"`
		RequireResidentKey bool   `json:"requireResidentKey"`
		UserVerification   string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	Attestation string `json:"attestation"`
}

// PasskeyAlgorithm is one kind of key that is taken.
type PasskeyAlgorithm struct {
	Type      string `json:"type"`
	Algorithm int    `json:"alg" doc:"Of COSE: -8 Ed25519, -7 ES256, -257 RS256."`
}

// PasskeyDescriptor names a passkey that the account has already.
type PasskeyDescriptor struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

const (
	publicKeyType = "public-key"
	required      = "required"
)

// PasskeyCreationOf shows c.
func PasskeyCreationOf(c factor.Creation) (v PasskeyCreation) {
	o := &v.PublicKey
	o.RP.ID, o.RP.Name = c.RPID, c.RPName
	o.User.ID, o.User.Name, o.User.DisplayName = base64.RawURLEncoding.EncodeToString(c.Handle), c.Email, c.Email
	o.Challenge, o.Timeout = base64.RawURLEncoding.EncodeToString(c.Challenge), factor.ChallengeLife.Milliseconds()
	for _, a := range c.Algorithms {
		o.Parameters = append(o.Parameters, PasskeyAlgorithm{publicKeyType, a})
	}
	o.Exclude = []PasskeyDescriptor{}
	for _, id := range c.Exclude {
		o.Exclude = append(o.Exclude, PasskeyDescriptor{publicKeyType, base64.RawURLEncoding.EncodeToString(id)})
	}
	o.Authenticator.ResidentKey, o.Authenticator.RequireResidentKey, o.Authenticator.UserVerification = required, true, required
	o.Attestation = "none"
	return v
}

// PasskeyRequest is the argument of PublicKeyCredential.parseRequestOptionsFromJSON under publicKey.
type PasskeyRequest struct {
	PublicKey RequestOptions `json:"publicKey"`
}

// RequestOptions is PublicKeyCredentialRequestOptionsJSON. It lists no passkeys, and so
// shows nothing of anybody: the browser offers those that it has for the site.
type RequestOptions struct {
	Challenge        string `json:"challenge"`
	Timeout          int64  `json:"timeout" doc:"Milliseconds."`
	RPID             string `json:"rpId"`
	UserVerification string `json:"userVerification"`
}

// PasskeyRequestOf shows r.
func PasskeyRequestOf(r factor.Request) PasskeyRequest {
	return PasskeyRequest{RequestOptions{
		Challenge: base64.RawURLEncoding.EncodeToString(r.Challenge), Timeout: factor.ChallengeLife.Milliseconds(),
		RPID: r.RPID, UserVerification: required,
	}}
}
