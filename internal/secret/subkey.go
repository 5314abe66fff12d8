package secret

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// SubKey derives a key of KeySize bytes from a master key, for one purpose of the caller's
// ("device"), by HKDF-SHA-256 (RFC 5869). It says nothing about the master key, the keys that
// this package derives for itself, or those of other purposes.
func SubKey(master []byte, purpose string) ([]byte, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("%w: has %d bytes, want %d", ErrKey, len(master), KeySize)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "barong/v1/key/"+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive %s key: %w", purpose, err)
	}
	return key, nil
}
