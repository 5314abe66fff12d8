package apikey

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"barong/internal/account"
	"barong/internal/token"
)

// A Record is an API key as a decision needs it, its secret opened.
type Record struct {
	Kid       string
	Algorithm string
	// Secret is the HMAC key: the 32 hex characters as bytes (AZ-119).
	Secret []byte
	State  string
	// HolderUID names the user or service account that owns the key.
	HolderUID  string
	HolderKind account.Kind
	// Scope has the names of the rules' scopes, one of which must cover a request; none covers all.
	// Without ScopeEnforced it restricts nothing: such a key was made when scopes were mere words.
	Scope         []string
	ScopeEnforced bool
	// Networks are where the key may be used from.
	Networks Networks
	// ExpiresAt is the time from which the key is refused; the zero time is never.
	ExpiresAt time.Time
	// LastUsedAt is the time of the last use that was written when the record was read, zero for none.
	LastUsedAt time.Time
}

// Expired reports whether the key's time is over.
func (k *Record) Expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// String keeps the secret out of logs and errors.
func (k Record) String() string { return "api key " + k.Kid }

// GoString keeps the secret out of %#v.
func (k Record) GoString() string { return k.String() }

// An Entry is an API key as decisions hold it: shared between requests and immutable but for
// its Token.
type Entry struct {
	Record
	// Token holds the bearer token last minted for this key.
	Token token.Slot
	mac   macKey
	noted atomic.Int64 // Unix seconds of the use that was handed on last; see Uses
}

// NewEntry makes the entry of a record that no Cache holds.
func NewEntry(r Record) *Entry {
	k := &Entry{}
	k.set(r)
	return k
}

// Bytes implements feed.Sized.
func (k *Entry) Bytes() int {
	return len(k.Kid) + len(k.Algorithm) + len(k.Secret) + len(k.State) + len(k.HolderUID) + len(k.HolderKind) +
		len(k.Networks)*int(unsafe.Sizeof(netip.Prefix{})) + len(k.Scope)*int(unsafe.Sizeof("")) + k.scopeBytes()
}

func (k *Record) scopeBytes() (n int) {
	for _, name := range k.Scope {
		n += len(name)
	}
	return n
}

// set fills a key nobody else sees yet.
func (k *Entry) set(r Record) {
	k.Record = r
	k.mac = newMACKey(r.Secret)
	k.noted.Store(r.LastUsedAt.Unix())
}

// stands reports whether a reload that found r may keep k, with its minted token.
func (k *Entry) stands(r Record) bool {
	return k.Kid == r.Kid && k.Algorithm == r.Algorithm && k.State == r.State &&
		k.HolderUID == r.HolderUID && k.HolderKind == r.HolderKind &&
		slices.Equal(k.Scope, r.Scope) && k.ScopeEnforced == r.ScopeEnforced &&
		slices.Equal(k.Networks, r.Networks) && k.ExpiresAt.Equal(r.ExpiresAt) &&
		subtle.ConstantTimeCompare(k.Secret, r.Secret) == 1
}

// MAC is the signature that the key's holder makes of a request: HMAC-SHA-256 over nonce
// followed by kid, both exactly as sent (AZ-119, RFC 2104). It allocates nothing for inputs
// of up to 448 bytes together.
func (k *Entry) MAC(nonce, kid string) [32]byte { return k.mac.sum(nonce, kid) }

// macKey is an HMAC key padded to SHA-256's block (RFC 2104 §2: K with zeros appended, or
// its hash when it is longer).
type macKey [sha256.BlockSize]byte

func newMACKey(secret []byte) (k macKey) {
	if len(secret) > len(k) {
		sum := sha256.Sum256(secret)
		secret = sum[:]
	}
	copy(k[:], secret)
	return k
}

// sum computes the two hashes over buffers on the stack: crypto/hmac allocates its state.
func (k *macKey) sum(nonce, kid string) [sha256.Size]byte {
	var inner [512]byte
	n := sha256.BlockSize + len(nonce) + len(kid)
	if n > len(inner) {
		return k.long(nonce, kid)
	}
	for i, b := range k {
		inner[i] = b ^ 0x36
	}
	copy(inner[sha256.BlockSize:], nonce)
	copy(inner[sha256.BlockSize+len(nonce):], kid)
	digest := sha256.Sum256(inner[:n])

	var outer [sha256.BlockSize + sha256.Size]byte
	for i, b := range k {
		outer[i] = b ^ 0x5c
	}
	copy(outer[sha256.BlockSize:], digest[:])
	return sha256.Sum256(outer[:])
}

// long is sum for an input that does not fit; no honest client sends one.
func (k *macKey) long(nonce, kid string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte(nonce))
	h.Write([]byte(kid))
	h.Sum(sum[:0])
	return sum
}
