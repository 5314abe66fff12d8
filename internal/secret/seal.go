package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// ErrOpen says that a sealed value cannot be opened: it is damaged, belongs to another
// table, column or row, or its key is not in the ring. It says nothing more on purpose.
var ErrOpen = errors.New("secret: sealed value cannot be opened")

// Layout of a sealed value: version, key id, nonce, ciphertext with the tag.
const (
	sealVersion  = "v1"
	keyIDSize    = 8
	nonceSize    = 12
	tagSize      = 16
	sealHeader   = len(sealVersion) + keyIDSize
	sealOverhead = sealHeader + nonceSize + tagSize
)

// Sub-keys of a master key: each purpose has its own, so that no key ever does two things.
const (
	purposeSeal    = "barong/v1/seal"
	purposeIndex   = "barong/v1/index"
	purposeSealID  = "barong/v1/seal-key-id"
	purposeIndexID = "barong/v1/index-key-id"
)

// A Sealer seals column values and computes their blind indexes with a ring of master keys:
// the current one writes, all of them read. It is immutable and safe for concurrent use.
type Sealer struct {
	ring []*ringKey // current first
}

// ringKey is everything derived from one master key.
type ringKey struct {
	id      [keyIDSize]byte
	aead    cipher.AEAD
	index   []byte
	indexID string
	macs    sync.Pool // of hash.Hash keyed with index
}

// NewSealer derives the sub-keys of the current master key and of older ones, which still
// open and index their own values but never seal again. Each key is KeySize bytes; a key
// given twice is an error.
func NewSealer(current []byte, older ...[]byte) (*Sealer, error) {
	s := &Sealer{}
	for i, master := range append([][]byte{current}, older...) {
		k, err := newRingKey(master)
		if err != nil {
			return nil, fmt.Errorf("secret: master key %d: %w", i+1, err)
		}
		if s.key(k.id[:]) != nil {
			return nil, fmt.Errorf("secret: master key %d: given twice", i+1)
		}
		s.ring = append(s.ring, k)
	}
	return s, nil
}

func newRingKey(master []byte) (*ringKey, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("has %d bytes, want %d", len(master), KeySize)
	}
	var sub [4][]byte
	for i, d := range []struct {
		purpose string
		size    int
	}{{purposeSeal, 32}, {purposeIndex, 32}, {purposeSealID, keyIDSize}, {purposeIndexID, keyIDSize}} {
		b, err := hkdf.Key(sha256.New, master, nil, d.purpose, d.size)
		if err != nil {
			return nil, fmt.Errorf("derive sub-key: %w", err)
		}
		sub[i] = b
	}
	block, err := aes.NewCipher(sub[0])
	if err != nil {
		return nil, fmt.Errorf("derive sub-key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive sub-key: %w", err)
	}
	k := &ringKey{aead: aead, index: sub[1], indexID: fmt.Sprintf("%x", sub[3])}
	copy(k.id[:], sub[2])
	k.macs.New = func() any { return hmac.New(sha256.New, k.index) }
	return k, nil
}

func (s *Sealer) key(id []byte) *ringKey {
	for _, k := range s.ring {
		if bytes.Equal(k.id[:], id) { // an id is no secret
			return k
		}
	}
	return nil
}

// Seal encrypts plain with AES-256-GCM under the current key. The result is
//
//	"v1" ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//
// and opens only for the same table, column and row: a value moved elsewhere is refused.
// Row is the row's uuid, made before the insert. Nonces are random, so one master key is
// good for 2³² values (NIST SP 800-38D §8.3); rotate before that.
func (s *Sealer) Seal(plain []byte, table, column, row string) ([]byte, error) {
	k := s.ring[0]
	out := make([]byte, sealHeader+nonceSize, sealOverhead+len(plain))
	copy(out, sealVersion)
	copy(out[len(sealVersion):], k.id[:])
	nonce := out[sealHeader : sealHeader+nonceSize]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal %s.%s: %w", table, column, err)
	}
	return k.aead.Seal(out, nonce, plain, place(out[:sealHeader], table, column, row)), nil
}

// Open decrypts a value that Seal made for the same table, column and row, with any key of
// the ring. Every failure is ErrOpen, wrapped with the place but not the value.
func (s *Sealer) Open(sealed []byte, table, column, row string) ([]byte, error) {
	fail := func() error { return fmt.Errorf("open %s.%s: %w", table, column, ErrOpen) }
	if len(sealed) < sealOverhead || string(sealed[:len(sealVersion)]) != sealVersion {
		return nil, fail()
	}
	k := s.key(sealed[len(sealVersion):sealHeader])
	if k == nil {
		return nil, fail()
	}
	nonce := sealed[sealHeader : sealHeader+nonceSize]
	plain, err := k.aead.Open(nil, nonce, sealed[sealHeader+nonceSize:],
		place(sealed[:sealHeader], table, column, row))
	if err != nil {
		return nil, fail()
	}
	return plain, nil
}

// Stale reports whether a sealed value was made with an older key of the ring, so that a
// rotation finds the values to seal again.
func (s *Sealer) Stale(sealed []byte) bool {
	return len(sealed) >= sealOverhead &&
		!bytes.Equal(sealed[len(sealVersion):sealHeader], s.ring[0].id[:])
}

// String keeps the keys out of logs and errors.
func (s *Sealer) String() string { return "secret.Sealer" }

// GoString keeps the keys out of %#v.
func (s *Sealer) GoString() string { return s.String() }

// place is the associated data: the header and the place, each part with its length before
// it, so that no two places have the same encoding.
func place(header []byte, table, column, row string) []byte {
	b := make([]byte, 0, len(header)+12+len(table)+len(column)+len(row))
	b = append(b, header...)
	for _, part := range [...]string{table, column, row} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// mac writes length-prefixed parts into an HMAC of the indexing key.
func (k *ringKey) mac(parts ...string) []byte {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	var n [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
