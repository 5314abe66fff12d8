package secret

// A BlindIndex is the keyed hash of a value under one key of the ring.
type BlindIndex struct {
	Sum   []byte // 32 bytes
	KeyID string // 16 lower-hex characters
}

// Index is the blind index to write beside a sealed column: HMAC-SHA-256 of the value, bound
// to its table and column, under the current key, and the id of that indexing key. Equal
// values of one column have equal indexes; without the key neither the value nor equality
// across columns can be seen. The caller normalises the value (case, spaces) first.
func (s *Sealer) Index(value, table, column string) (index []byte, keyID string) {
	k := s.ring[0]
	return k.mac(table, column, value), k.indexID
}

// Indexes returns the value's blind index under every key of the ring, current first: a
// lookup that must find rows written before a key rotation matches any of them.
func (s *Sealer) Indexes(value, table, column string) []BlindIndex {
	all := make([]BlindIndex, len(s.ring))
	for i, k := range s.ring {
		all[i] = BlindIndex{Sum: k.mac(table, column, value), KeyID: k.indexID}
	}
	return all
}
