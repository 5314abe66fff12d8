package token

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Registered claims of bearer tokens (AZ-213).
const (
	issuer   = "barong"
	subject  = "session"
	audience = "barong" // ours; tokens name peatio first
	prefix   = "Bearer "
)

// Parties that tokens are minted for, their claim azp (design D7d): this service itself, and
// all components behind the gate.
const (
	PartyBarong     = "barong"
	PartyComponents = "components"
)

// Claims are the claims of a bearer token about a principal (AZ-213), and its audience.
type Claims struct {
	// Party is for whom the token is: PartyBarong, PartyComponents or a component's name. It
	// may alias a message.
	Party                   string
	UID, Email, Role, State string
	Level                   int
	// Username and ReferralID are null when nil; tokens of service accounts lack both.
	Username       *string
	ReferralID     *int64
	ServiceAccount bool
	// APIKey is the id of the key that signed the request, "" for another credential. Tokens for
	// this service alone should say it: a component has no use for it.
	APIKey string
}

// A Minter makes and verifies bearer tokens. It is safe for concurrent use.
type Minter struct {
	keys   *Keys
	config Config
}

// NewMinter checks the configuration: a token must not outlive the time for which the keys
// keep its signing key.
func NewMinter(keys *Keys, c Config) (*Minter, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("token: configuration: %w", err)
	}
	if c.Lifetime > keys.config.Lifetime {
		return nil, fmt.Errorf("token: configuration: lifetime %v is above the %v for which retired keys are kept",
			c.Lifetime, keys.config.Lifetime)
	}
	return &Minter{keys: keys, config: c}, nil
}

// Reuse returns the slot's last token for a party, as "Bearer <jwt>", if it was minted for the
// same principal version, by the key that signs now, at most Config.Reuse ago (design D7), or up to
// an eighth less: tokens that were minted at one moment do not all run out at another. It
// takes no lock and allocates nothing.
//
// All requests that share a token share its jti, iat and exp: a consumer that wants to see
// every jti once needs Config.Reuse 0.
func (m *Minter) Reuse(slot *Slot, party string, version int64, now time.Time) (bearer string, ok bool) {
	last := slot.last.Load()
	for last != nil && last.party != party {
		last = last.older
	}
	if last == nil || last.version != version || last.kid != m.keys.set.Load().bearer.Kid {
		return "", false
	}
	// The lower bound is for clocks that were set back: such a token would be too young for
	// consumers. Two concurrent requests may differ by one second.
	left := last.until - now.UnixNano()
	if left <= 0 || left > int64(m.config.Reuse+time.Second) {
		return "", false
	}
	return last.bearer, true
}

// Mint makes a token for the claims and leaves it in the slot, as "Bearer <jwt>". Of several
// calls on one slot and party one mints and the others wait for its token; with Reuse 0 each
// mints. A slot keeps one token for each of at most 16 parties.
// The version must change whenever any claim does. Nothing of the claims is kept.
func (m *Minter) Mint(slot *Slot, version int64, c Claims, now time.Time) (bearer string, err error) {
	slot.minting.Lock()
	defer slot.minting.Unlock()
	if bearer, ok := m.Reuse(slot, c.Party, version, now); ok {
		return bearer, nil
	}
	if c.Party == "" {
		return "", errors.New("token: bearer token for nobody")
	}
	key := m.keys.set.Load().bearer
	text, err := m.compact(key, c, now)
	if err != nil {
		return "", err
	}
	bearer = string(text)
	if m.config.Reuse > 0 {
		at := now.UnixNano()
		slot.last.Store(&minted{
			bearer: bearer, party: strings.Clone(c.Party), kid: key.Kid, version: version,
			until: at + int64(m.config.Reuse) - mathrand.Int64N(int64(m.config.Reuse)/8+1),
			older: slot.last.Load().others(c.Party, at, maxParties-1),
		})
	}
	return bearer, nil
}

// compact builds the compact serialization (RFC 7515 §7.1) by hand: the header never
// changes and the claims are few.
func (m *Minter) compact(key *key, c Claims, now time.Time) ([]byte, error) {
	var space [768]byte
	claims := m.appendClaims(space[:0], c, now)
	out := make([]byte, 0, len(prefix)+len(key.header)+base64.RawURLEncoding.EncodedLen(len(claims))+1+
		base64.RawURLEncoding.EncodedLen(512))
	out = append(out, prefix...)
	out = append(out, key.header...)
	out = base64.RawURLEncoding.AppendEncode(out, claims)
	return key.sign(out, len(prefix))
}

func (m *Minter) appendClaims(b []byte, c Claims, now time.Time) []byte {
	unix := now.Unix()
	b = append(b, `{"iat":`...)
	b = strconv.AppendInt(b, unix-int64(m.config.IatBackdate/time.Second), 10)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, unix+int64(m.config.Lifetime/time.Second), 10)
	b = append(b, `,"sub":"`+subject+`","iss":"`+issuer+`","aud":["peatio","`+audience+`"],"azp":`...)
	b = appendString(b, c.Party)
	b = append(b, `,"jti":"`...)
	var id [10]byte
	_, _ = rand.Read(id[:]) // never fails
	b = hex.AppendEncode(b, id[:])
	b = append(b, `","uid":`...)
	b = appendString(b, c.UID)
	b = append(b, `,"email":`...)
	b = appendString(b, c.Email)
	b = append(b, `,"role":`...)
	b = appendString(b, c.Role)
	b = append(b, `,"level":`...)
	b = strconv.AppendInt(b, int64(c.Level), 10)
	b = append(b, `,"state":`...)
	b = appendString(b, c.State)
	if c.APIKey != "" {
		b = append(b, `,"apikey":`...)
		b = appendString(b, c.APIKey)
	}
	if c.ServiceAccount {
		return append(b, '}')
	}
	b = append(b, `,"username":`...)
	if c.Username == nil {
		b = append(b, "null"...)
	} else {
		b = appendString(b, *c.Username)
	}
	b = append(b, `,"referral_id":`...)
	if c.ReferralID == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *c.ReferralID, 10)
	}
	return append(b, '}')
}

// appendString appends a JSON string. Anything but plain ASCII goes the library's way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always has an encoding
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
