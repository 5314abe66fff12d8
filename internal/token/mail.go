package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Purposes of mail tokens, their claim sub.
const (
	Confirmation = "confirmation"
	Reset        = "reset"
)

const (
	mailAudience = "barong-mail" // no bearer token has it, and no verifier of ours takes both
	maxMail      = 4 << 10
)

// MailClaims are the claims of a mailed link's token: the user and the purpose, once, until a time.
type MailClaims struct {
	// Purpose is Confirmation or Reset.
	Purpose    string
	UID, Email string
	// ID is the claim jti, by which the caller knows that the link was used.
	ID string
	// Expires is exp, to the second.
	Expires time.Time
}

// A MailError says that a mail token is refused, and the one word of it that clients
// get: segments, encoding, raised, algorithm, expired, reached, jti or iat.
type MailError struct{ Word string }

func (e *MailError) Error() string { return "token: mail token refused: " + e.Word }

// Tokens is the refusal as the wire names it.
func (e *MailError) Tokens() []string { return []string{mailRefused + e.Word} }

const mailRefused = "jwt.decode_and_verify."

// mailClaims is the payload, in the order in which it is written.
type mailClaims struct {
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	Subject   string `json:"sub"`
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	Email     string `json:"email"`
	UID       string `json:"uid"`
}

// MailLifetime is how long mail tokens live.
func (k *Keys) MailLifetime() time.Duration { return k.config.MailLifetime }

// MintMail makes the token of a mailed link, signed by the active mail key, whose kid is
// published nowhere (design D7b). The claims must be complete but for Expires, which is
// MailLifetime from now when it is zero and may not be later.
func (k *Keys) MintMail(c MailClaims, now time.Time) (jwt string, err error) {
	last := now.Add(k.config.MailLifetime)
	if c.Expires.IsZero() {
		c.Expires = last
	}
	switch {
	case c.Purpose != Confirmation && c.Purpose != Reset:
		return "", fmt.Errorf("token: mail token for %q", c.Purpose)
	case c.UID == "" || c.Email == "" || c.ID == "":
		return "", errors.New("token: mail token without uid, e-mail or jti")
	case c.Expires.After(last):
		return "", fmt.Errorf("token: mail token that outlives %v", k.config.MailLifetime)
	}
	key, err := k.signer(UseMail)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(mailClaims{
		IssuedAt: now.Unix(), ExpiresAt: c.Expires.Unix(), Subject: c.Purpose, Issuer: issuer,
		Audience: mailAudience, ID: c.ID, Email: c.Email, UID: c.UID,
	})
	if err != nil {
		return "", fmt.Errorf("token: write mail token: %w", err)
	}
	text, err := key.sign(base64.RawURLEncoding.AppendEncode([]byte(key.header), claims), 0)
	return string(text), err
}

// VerifyMail checks the token of a mailed link for one purpose. It is accepted only if it is
// signed by the mail key that its kid names, in any of the key's states, with that key's own
// algorithm; if iss, aud and sub are those of MintMail; if exp is there and in the future,
// iat is there, and neither it nor nbf is in the future (2 s of leeway); and if jti, uid and
// email are not empty. Every error is a *MailError. Whether the link was used before is the
// caller's to know, by ID.
func (k *Keys) VerifyMail(jwt, purpose string, now time.Time) (MailClaims, error) {
	payload, word := k.set.Load().open(jwt, UseMail, maxMail)
	if word != "" {
		return MailClaims{}, &MailError{word}
	}
	c, word := readMail(payload, purpose, now)
	if word != "" {
		return MailClaims{}, &MailError{word}
	}
	return c, nil
}

// readMail checks the claims.
func readMail(payload map[string]json.RawMessage, purpose string, now time.Time) (c MailClaims, word string) {
	exp, ok := NumericDate(payload["exp"])
	if !ok || !now.Before(exp) {
		return c, "expired"
	}
	late := now.Add(leeway)
	if nbf, ok := NumericDate(payload["nbf"]); payload["nbf"] != nil && (!ok || nbf.After(late)) {
		return c, "reached"
	}
	if iat, ok := NumericDate(payload["iat"]); !ok || iat.After(late) {
		return c, "iat"
	}
	c = MailClaims{
		Purpose: text(payload["sub"]), UID: text(payload["uid"]), Email: text(payload["email"]),
		ID: text(payload["jti"]), Expires: exp,
	}
	switch {
	case c.ID == "":
		return c, "jti"
	case text(payload["iss"]) != issuer, text(payload["aud"]) != mailAudience, c.Purpose != purpose,
		c.UID == "", c.Email == "":
		return c, notVerified // never the received text (W-I28)
	}
	return c, ""
}

// MailRefusals are all tokens that a MailError can have.
func MailRefusals() []string {
	words := MailErrorWords()
	for i, word := range words {
		words[i] = mailRefused + word
	}
	return words
}

// MailErrorWords are all words that a MailError can have.
func MailErrorWords() []string {
	return []string{notThreeParts, notEncoded, notVerified, notAlgorithm, "expired", "reached", "jti", "iat"}
}
