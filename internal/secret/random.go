package secret

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Bytes returns n random bytes. crypto/rand never fails: it ends the process instead.
func Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Hex returns 2 × nBytes random lower-case hexadecimal characters.
func Hex(nBytes int) string { return hex.EncodeToString(Bytes(nBytes)) }

// UID makes a public account id: the prefix and ten upper-case hexadecimal characters,
// such as "ID1A2B3C4D5E". It is unique by chance only: the store's constraint decides.
func UID(prefix string) string { return prefix + strings.ToUpper(Hex(5)) }

// UUID makes a random one (RFC 9562, version 4), lower case.
func UUID() string {
	b := Bytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
