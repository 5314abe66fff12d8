package factor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"barong/internal/account"
	"barong/internal/secret"
)

// PasskeyCookie is the name of the cookie that holds a challenge's seed.
const PasskeyCookie = "_barong_passkey"

// ChallengeLife is how long a challenge can be answered.
const ChallengeLife = 5 * time.Minute

// SetChallenge is the Set-Cookie value of a challenge's seed. Insecure leaves the attribute Secure out.
func SetChallenge(value string, insecure bool) string {
	return (&http.Cookie{
		Name: PasskeyCookie, Value: value, Path: "/api/v2", MaxAge: int(ChallengeLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !insecure,
	}).String()
}

// Challenges make the challenges that passkeys sign, and know them again without a row for each:
// anybody may ask for one. The browser that asks keeps a cookie, 16 random bytes, a time and the mark of a
// key, and its challenge is the MAC of that cookie, under that key, which nobody else has: so no other
// browser can answer it, and nobody can make one up. limit.Attempts remember the used ones until their
// time is over. Challenges are immutable and safe for concurrent use.
type Challenges struct{ keys []challengeKey } // the first makes challenges

type challengeKey struct {
	key  []byte
	mark [markSize]byte // the beginning of its SHA-256
}

// maxPublicKey is the longest public key that is stored: more than one of RSA with 4096 bits.
const maxPublicKey = 2048

const (
	seedSize   = 16
	markAt     = seedSize + 8 // behind the time in seconds since 1970, big-endian
	markSize   = 4
	cookieSize = markAt + markSize
)

// NewChallenges derives the key of new challenges from the master key (secret.ParseKey), and those of
// challenges that can be answered as well from others.
func NewChallenges(master []byte, others ...[]byte) (*Challenges, error) {
	c := &Challenges{}
	for _, m := range append([][]byte{master}, others...) {
		key, err := secret.SubKey(m, "passkey challenge")
		if err != nil {
			return nil, fmt.Errorf("passkey challenges: %w", err)
		}
		sum := sha256.Sum256(key)
		c.keys = append(c.keys, challengeKey{key, [markSize]byte(sum[:])})
	}
	return c, nil
}

// String keeps the key out of logs and errors.
func (*Challenges) String() string { return "factor.Challenges" }

// GoString keeps it out of %#v.
func (c *Challenges) GoString() string { return c.String() }

// make returns a challenge for a purpose, and the cookie that it is known by.
func (c *Challenges) make(purpose string, now time.Time) (cookie string, challenge []byte) {
	raw := binary.BigEndian.AppendUint64(secret.Bytes(seedSize), uint64(now.Add(ChallengeLife).Unix()))
	raw = append(raw, c.keys[0].mark[:]...)
	return base64.RawURLEncoding.EncodeToString(raw), c.keys[0].challenge(raw, purpose)
}

// find returns the challenge of a cookie and how long it is still good; false for a cookie that can
// be none, or is over.
func (c *Challenges) find(cookie, purpose string, now time.Time) (challenge []byte, left time.Duration, ok bool) {
	if len(cookie) != base64.RawURLEncoding.EncodedLen(cookieSize) {
		return nil, 0, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil {
		return nil, 0, false
	}
	ends := binary.BigEndian.Uint64(raw[seedSize:markAt])
	if ends > uint64(now.Add(ChallengeLife).Unix()) || ends <= uint64(now.Unix()) {
		return nil, 0, false
	}
	for _, k := range c.keys {
		if bytes.Equal(raw[markAt:], k.mark[:]) {
			return k.challenge(raw, purpose), time.Unix(int64(ends), 0).Sub(now), true
		}
	}
	return nil, 0, false
}

func (k challengeKey) challenge(raw []byte, purpose string) []byte {
	m := hmac.New(sha256.New, k.key)
	m.Write(raw)
	m.Write([]byte(purpose))
	return m.Sum(nil)
}

// Purposes of challenges: one of a registration is for one user, in one generation of sessions.
const toSignIn = "sign in"

func toRegister(u account.User) string {
	return "register " + u.UID + " " + strconv.FormatInt(u.SessionGeneration, 10)
}

// answered returns the challenge that a browser answers and uses it up, whatever the answer is worth.
// ErrNoChallenge.
func (s *Service) answered(ctx context.Context, cookie, purpose string) (challenge []byte, err error) {
	if s.site == nil {
		return nil, ErrNoPasskeys
	}
	challenge, left, ok := s.challenges.find(cookie, purpose, s.now())
	if !ok {
		return nil, ErrNoChallenge
	}
	fresh, err := s.attempts.Once(ctx, "passkey challenge "+base64.RawURLEncoding.EncodeToString(challenge), left+time.Second)
	if err != nil {
		return nil, fmt.Errorf("use challenge: %w", err)
	}
	if !fresh {
		return nil, ErrNoChallenge
	}
	return challenge, nil
}

// A Creation is the content of navigator.credentials.create: the challenge of a new passkey.
type Creation struct {
	RPID, RPName string
	Handle       []byte // of the user
	Email        string // that the device shows
	Challenge    []byte
	Algorithms   []int    // of COSE, the best first
	Exclude      [][]byte // credential ids that the user has already
	Cookie       string   // the cookie's value; it must not be logged
}

// String keeps the cookie out of logs and errors.
func (Creation) String() string { return "challenge of a new passkey" }

// GoString keeps it out of %#v.
func (c Creation) GoString() string { return c.String() }

// A Request is the content of navigator.credentials.get: the challenge of a sign-in, which names
// no account.
type Request struct {
	RPID      string
	Challenge []byte
	Cookie    string // as in Creation
}

// String keeps the cookie out of logs and errors.
func (Request) String() string { return "challenge of a sign-in" }

// GoString keeps it out of %#v.
func (r Request) GoString() string { return r.String() }

// newSite makes the checker of passkeys of cfg's site; nil when it names none.
func newSite(cfg Config) (*webauthn.WebAuthn, error) {
	if cfg.PasskeySite == "" {
		return nil, nil
	}
	return webauthn.New(&webauthn.Config{
		RPID: cfg.PasskeySite, RPDisplayName: cfg.AppName, RPOrigins: cfg.PasskeyOrigins,
		// Browsers add results of their own, and none is used.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
}

// algorithms are those of new passkeys: Ed25519, ES256, RS256.
func algorithms() []protocol.CredentialParameter { return webauthn.CredentialParametersRecommendedL3() }

// NewPasskey makes the challenge of a new passkey of u, who is the actor and has proved the
// password. Errors: ErrNoPasskeys, ErrTooManyPasskeys.
func (s *Service) NewPasskey(ctx context.Context, u account.User) (c Creation, err error) {
	if s.site == nil {
		return c, ErrNoPasskeys
	}
	var held []Passkey
	err = s.update(ctx, func(tx work) error {
		if c.Handle, err = tx.UserHandle(ctx, u.UID, secret.Bytes(handleSize)); err != nil {
			return err
		}
		held, err = tx.Passkeys(ctx, u.UID)
		return err
	})
	if err != nil {
		return Creation{}, fmt.Errorf("begin passkey: %w", err)
	}
	if len(held) >= MaxPasskeys {
		return Creation{}, ErrTooManyPasskeys
	}
	c.RPID, c.RPName, c.Email = s.cfg.PasskeySite, s.cfg.AppName, u.Email
	c.Cookie, c.Challenge = s.challenges.make(toRegister(u), s.now())
	for _, a := range algorithms() {
		c.Algorithms = append(c.Algorithms, int(a.Algorithm))
	}
	for _, p := range held {
		c.Exclude = append(c.Exclude, p.CredentialID)
	}
	return c, nil
}

// PasskeyRequest makes the challenge of a sign-in; ErrNoPasskeys.
func (s *Service) PasskeyRequest() (Request, error) {
	if s.site == nil {
		return Request{}, ErrNoPasskeys
	}
	cookie, challenge := s.challenges.make(toSignIn, s.now())
	return Request{RPID: s.cfg.PasskeySite, Challenge: challenge, Cookie: cookie}, nil
}

// session is the state of a ceremony as the library has it: the user must be verified.
func (s *Service) session(challenge []byte) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(challenge), RelyingPartyID: s.cfg.PasskeySite,
		UserVerification: protocol.VerificationRequired, CredParams: algorithms(),
	}
}

// created checks the answer to a challenge of NewPasskey (WebAuthn level 3, registering a new credential). ErrNoPasskeys,
// ErrNoChallenge, ErrBadPasskey.
func (s *Service) created(ctx context.Context, u account.User, cookie string, answer []byte) (p Passkey, err error) {
	challenge, err := s.answered(ctx, cookie, toRegister(u))
	if err != nil {
		return p, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrBadPasskey, err)
	}
	// No attestation is asked for, so no statement but these two can come from a browser.
	switch protocol.AttestationFormat(parsed.Response.AttestationObject.Format) {
	case protocol.AttestationFormatNone, protocol.AttestationFormatPacked:
	default:
		return p, fmt.Errorf("%w: attestation was not asked for", ErrBadPasskey)
	}
	err = s.update(ctx, func(tx work) error {
		p.Handle, err = tx.UserHandle(ctx, u.UID, secret.Bytes(handleSize))
		return err
	})
	if err != nil {
		return p, fmt.Errorf("load user handle: %w", err)
	}
	state := s.session(challenge)
	state.UserID = p.Handle
	made, err := s.site.CreateCredential(owner{handle: p.Handle}, state, parsed)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrBadPasskey, err)
	}
	if len(made.PublicKey) > maxPublicKey {
		return p, fmt.Errorf("%w: a public key of %d bytes", ErrBadPasskey, len(made.PublicKey))
	}
	return Passkey{
		UserUID: u.UID, Handle: p.Handle, CredentialID: made.ID, PublicKey: made.PublicKey,
		SignCount: made.Authenticator.SignCount, Synced: made.Flags.BackupEligible,
	}, nil
}

// A PasskeyProof is a passkey that has signed a challenge of PasskeyRequest, and the device's
// count. The sign-in notes the use: UsePasskey.
type PasskeyProof struct {
	Passkey
	Count uint32
}

// ProvePasskey checks the answer to a challenge of PasskeyRequest (WebAuthn level 3, verifying an assertion), for
// the browser that shows its cookie. ErrNoPasskeys, ErrNoChallenge, ErrBadPasskey.
func (s *Service) ProvePasskey(ctx context.Context, cookie string, answer []byte) (out PasskeyProof, err error) {
	challenge, err := s.answered(ctx, cookie, toSignIn)
	if err != nil {
		return out, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrBadPasskey, err)
	}
	var outage error
	find := func(credentialID, handle []byte) (webauthn.User, error) {
		var err error
		if out.Passkey, err = s.rows.PasskeyOf(ctx, credentialID); err != nil {
			if !errors.Is(err, ErrNoPasskey) {
				outage = fmt.Errorf("load passkey: %w", err)
			}
			return nil, err
		}
		if !bytes.Equal(handle, out.Handle) {
			return nil, ErrNoPasskey
		}
		return owner{handle: out.Handle, key: &out.Passkey}, nil
	}
	_, _, err = s.site.ValidatePasskeyLogin(find, s.session(challenge), parsed)
	switch {
	case outage != nil:
		return PasskeyProof{}, outage
	case err != nil:
		return PasskeyProof{}, fmt.Errorf("%w: %w", ErrBadPasskey, err)
	}
	out.Count = parsed.Response.AuthenticatorData.Counter
	return out, nil
}

// owner is a user as the library knows one. It implements webauthn.User.
type owner struct {
	handle []byte
	key    *Passkey // nil when a new one is made
}

func (o owner) WebAuthnID() []byte        { return o.handle }
func (owner) WebAuthnName() string        { return "" }
func (owner) WebAuthnDisplayName() string { return "" }

func (o owner) WebAuthnCredentials() []webauthn.Credential {
	if o.key == nil {
		return nil
	}
	return []webauthn.Credential{{
		ID: o.key.CredentialID, PublicKey: o.key.PublicKey,
		Flags: webauthn.CredentialFlags{BackupEligible: o.key.Synced},
	}}
}
