package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"barong/internal/session"
)

// A record is a session as bytes. The fields that scripts change have their place at the front; a
// checksum over the id and everything else refuses a record that was cut off, was written by
// another, or lies under another's key. All numbers are big-endian, times in microseconds since
// 1970.
//
//	 0  version 1
//	 1  expiry, 8 bytes
//	 9  generation, 8 bytes
//	17  CRC-32C of the id and of all that follows, 4 bytes
//	21  epoch, 8 bytes
//	29  creation, 8 bytes
//	37  address, uid, CSRF token, user agent: each its length as a shortest varint, and bytes
const (
	recordVersion = 1
	generationAt  = 9
	checksumAt    = 17
	bodyAt        = 21
	textsAt       = 37
)

var errRecord = errors.New("corrupt session record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(id session.ID, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, body)
}

// encode returns the record of s.
func encode(s session.Session) ([]byte, error) {
	expires := s.ExpiresAt.UnixMicro()
	if expires < 0 || expires >= 1<<53 { // scripts compute in doubles
		return nil, fmt.Errorf("session expires at %v", s.ExpiresAt)
	}
	ip, err := s.IP.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("address of session: %w", err)
	}
	b := make([]byte, bodyAt, textsAt+16+len(ip)+len(s.UID)+len(s.CSRFToken)+len(s.UserAgent))
	b[0] = recordVersion
	binary.BigEndian.PutUint64(b[1:], uint64(expires))
	binary.BigEndian.PutUint64(b[generationAt:], uint64(s.Generation))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(s.CreatedAt.UnixMicro()))
	for _, text := range []string{string(ip), s.UID, s.CSRFToken, s.UserAgent} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	binary.BigEndian.PutUint32(b[checksumAt:], checksum(s.ID, b[bodyAt:]))
	return b, nil
}

// decode reads the record of the session id; errRecord for everything that encode does not
// make.
func decode(id session.ID, record string) (session.Session, error) {
	b := []byte(record)
	if len(b) < textsAt || b[0] != recordVersion ||
		binary.BigEndian.Uint32(b[checksumAt:]) != checksum(id, b[bodyAt:]) {
		return session.Session{}, errRecord
	}
	expires := binary.BigEndian.Uint64(b[1:])
	if expires >= 1<<53 {
		return session.Session{}, errRecord
	}
	s := session.Session{
		ID:         id,
		ExpiresAt:  time.UnixMicro(int64(expires)).UTC(),
		Generation: int64(binary.BigEndian.Uint64(b[generationAt:])),
		Epoch:      int64(binary.BigEndian.Uint64(b[bodyAt:])),
		CreatedAt:  time.UnixMicro(int64(binary.BigEndian.Uint64(b[bodyAt+8:]))).UTC(),
	}
	rest := b[textsAt:]
	var texts [4][]byte
	for i := range texts {
		length, n := binary.Uvarint(rest)
		if n <= 0 || (n > 1 && rest[n-1] == 0) || length > uint64(len(rest)-n) {
			return session.Session{}, errRecord
		}
		texts[i], rest = rest[n:n+int(length)], rest[n+int(length):]
	}
	if len(rest) > 0 || s.IP.UnmarshalBinary(texts[0]) != nil {
		return session.Session{}, errRecord
	}
	s.UID, s.CSRFToken, s.UserAgent = string(texts[1]), string(texts[2]), string(texts[3])
	return s, nil
}
