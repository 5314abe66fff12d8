package account

import (
	"crypto/hmac"
	"crypto/sha256"

	"barong/internal/token"
)

// A Key is an API key as decisions hold it: shared between requests and immutable but for
// its Token.
type Key struct {
	KeyRecord
	// Token holds the bearer token last minted for this key.
	Token token.Slot
	mac   macKey
}

// NewKey makes the key of a record that no Directory holds.
func NewKey(r KeyRecord) *Key {
	k := &Key{}
	k.set(r)
	return k
}

// Bytes implements feed.Sized.
func (k *Key) Bytes() int {
	return len(k.Kid) + len(k.Algorithm) + len(k.Secret) + len(k.State) + len(k.HolderUID) + len(k.HolderKind)
}

// set fills a key nobody else sees yet.
func (k *Key) set(r KeyRecord) {
	k.KeyRecord = r
	k.mac = newMACKey(r.Secret)
}

// MAC is the signature that the key's holder makes of a request: HMAC-SHA-256 over nonce
// followed by kid, both exactly as sent (AZ-119, RFC 2104). It allocates nothing for inputs
// of up to 448 bytes together.
func (k *Key) MAC(nonce, kid string) [32]byte { return k.mac.sum(nonce, kid) }

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
