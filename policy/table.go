package policy

import (
	"math/bits"
	"unsafe"
)

// A table finds every pattern that a path starts with in one pass over the path, whatever the
// number of patterns. Patterns that share a text share an entry, in which the verdicts of all
// rows with that text are already put together for each kind of place that a text can end at.
//
// The pass keeps a running hash, to which each token adds: a name with the byte before it.
// Only where a token ends and some pattern is as long as that (or, for raw prefixes, wherever
// one is as long) is the hash looked up, and a hit is compared byte by byte. So the cost
// follows the length of the path and not the number of rules. A hostile path can neither
// lengthen a chain, which is made of stored patterns only, nor make the pass longer than the
// longest pattern.
//
// Everything is in a few slices without pointers: the garbage collector does not walk it.
type table struct {
	texts   []byte // of all entries, end to end
	entries []entry
	slots   []slot // open addressing, at most half full; len is a power of two
	shift   uint8
	longest int
	ends    bitmap // lengths of texts
	rawEnds bitmap // lengths of texts that a row with bound anything has
	topics  []topics
}

type slot struct {
	tag   uint32 // high half of the hash
	entry uint32 // index + 1, 0 = free
}

// An entry's verdicts are indexed by the continuation of the text in the path.
type entry struct {
	off, size           uint32
	topics              uint32 // index + 1 into table.topics, 0 = none
	accept, drop, audit [numBounds]verbs
}

// topics holds, for each bound and verb, the index of the topic of the AUDIT row with the
// lowest id (FX-52).
type topics [numBounds][numVerbs]uint32

type bitmap []uint64

func (b bitmap) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b *bitmap) set(i int) {
	for i>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

const (
	hashStart = 0x243f6a8885a308d3
	hashMul   = 0x9e3779b97f4a7c15
)

// hash is the sum of the tokens of a text.
func hash(text string) uint64 {
	h, start := uint64(hashStart), 0
	for i := 1; i <= len(text); i++ {
		if i == len(text) || bounds[text[i]] != anything {
			h = token(h, text, start, i)
			start = i
		}
	}
	return h
}

// token adds text[from:to] to a hash, eight bytes at a time.
func token(h uint64, text string, from, to int) uint64 {
	for to-from > 8 {
		h = (bits.RotateLeft64(h, 23) ^ load(text[from:from+8])) * hashMul
		from += 8
	}
	n := to - from
	var v uint64
	switch {
	case from+8 <= len(text):
		v = load(text[from : from+8])
	case len(text) >= 8:
		v = load(text[len(text)-8:]) >> (8 * (from + 8 - len(text)))
	default:
		for i := to - 1; i >= from; i-- {
			v = v<<8 | uint64(text[i])
		}
	}
	v &= 1<<(8*n) - 1 // all of it when n is 8
	return (bits.RotateLeft64(h, 23) ^ v) * hashMul
}

// load is the first eight bytes as one word; the compiler makes one instruction of it.
func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// The last multiplication has brought every bit of the text into the high half.
func (t *table) home(h uint64) uint64 { return (h ^ h>>32) * hashMul >> t.shift }
func tagOf(h uint64) uint32           { return uint32(h >> 32) }

// find returns the entry whose text is the given one, of which h is the hash.
func (t *table) find(h uint64, text string) *entry {
	mask := uint64(len(t.slots) - 1)
	for i := t.home(h) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.entry == 0 {
			return nil
		}
		if s.tag == tagOf(h) {
			e := &t.entries[s.entry-1]
			if string(t.texts[e.off:e.off+e.size]) == text {
				return e
			}
		}
	}
}

// put adds a row's verdict. Rows come in the order of their ids.
func (t *table) put(s spelling, action string, v verbs, topic uint32) {
	e := t.upsert(s.text)
	t.ends.set(len(s.text))
	if s.bound == anything {
		t.rawEnds.set(len(s.text))
	}
	t.longest = max(t.longest, len(s.text))
	for b := s.bound; b < numBounds; b++ {
		switch action {
		case Accept:
			e.accept[b] |= v
		case Drop:
			e.drop[b] |= v
		case Audit:
			if e.topics == 0 {
				t.topics = append(t.topics, topics{})
				e.topics = uint32(len(t.topics))
			}
			to := &t.topics[e.topics-1]
			for fresh := v &^ e.audit[b]; fresh != 0; fresh &= fresh - 1 {
				to[b][bits.TrailingZeros8(uint8(fresh))] = topic
			}
			e.audit[b] |= v
		}
	}
}

func (t *table) upsert(text string) *entry {
	if len(t.slots) < 2*(len(t.entries)+1) {
		t.grow(2 * len(t.slots))
	}
	h := hash(text)
	if e := t.find(h, text); e != nil {
		return e
	}
	t.entries = append(t.entries, entry{off: uint32(len(t.texts)), size: uint32(len(text))})
	t.texts = append(t.texts, text...)
	t.insert(h, uint32(len(t.entries)))
	return &t.entries[len(t.entries)-1]
}

func (t *table) insert(h uint64, e uint32) {
	mask := uint64(len(t.slots) - 1)
	i := t.home(h) & mask
	for t.slots[i].entry != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{tagOf(h), e}
}

// newTable returns a table with room for some entries and bytes of text.
func newTable(entries, bytes int) *table {
	t := &table{texts: make([]byte, 0, bytes), entries: make([]entry, 0, entries)}
	t.grow(2 * (entries + 1))
	return t
}

// grow makes at least n slots.
func (t *table) grow(n int) {
	n = max(8, 1<<bits.Len(uint(n-1)))
	t.slots = make([]slot, n)
	t.shift = uint8(64 - bits.TrailingZeros(uint(n)))
	for i, e := range t.entries {
		t.insert(hash(string(t.texts[e.off:e.off+e.size])), uint32(i+1))
	}
}

// trim gives back unused memory.
func (t *table) trim() {
	t.texts = trimmed(t.texts)
	t.entries = trimmed(t.entries)
	t.topics = trimmed(t.topics)
}

func trimmed[T any](s []T) []T {
	if cap(s)-len(s) <= len(s)/8 {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// A match is the sum of all rows that match a path and a method.
type match struct {
	accept, drop, audit bool
	topic               uint32 // of the longest text with an AUDIT row
}

// match sums up the rows for a path. v is one verb. Rows that allow see the path as it is. Rows
// that deny or audit, whose texts are in lower case, see it with ASCII letters folded: upstreams
// that do not tell a from A serve both spellings (design D5).
func (t *table) match(path string, v verbs) (m match) {
	path = path[:min(len(path), t.longest+1)] // the last byte is the one after the longest text
	if !mayHaveUpper(path) {
		return t.scan(path, v)
	}
	var room [512]byte
	lower := room[:0]
	if len(path) > len(room) {
		lower = make([]byte, 0, len(path))
	}
	for i := range len(path) {
		c := path[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	m = t.scan(unsafe.String(unsafe.SliceData(lower), len(lower)), v)
	m.accept = t.scan(path, v).accept
	return m
}

// mayHaveUpper reports whether a path has an upper-case letter, or a byte that no canonical
// path has. It looks at eight bytes at a time: a sum has its highest bit where the byte is at
// least A, the other where it is beyond Z.
func mayHaveUpper(path string) bool {
	const each = 0x0101010101010101
	odd := func(w uint64) bool {
		return (w|((w+each*(0x80-'A'))^(w+each*(0x80-'Z'-1))))&(each*0x80) != 0
	}
	for ; len(path) >= 8; path = path[8:] {
		if odd(load(path[:8])) {
			return true
		}
	}
	var rest uint64
	for i := range len(path) {
		rest = rest<<8 | uint64(path[i])
	}
	return odd(rest)
}

// scan is one pass over a path.
func (t *table) scan(path string, v verbs) (m match) {
	h, start := uint64(hashStart), 0
	raw := len(t.rawEnds) > 0
	if raw && t.rawEnds.has(0) {
		t.add(&m, h, "", follows(path, 0), v)
	}
	last := min(t.longest, len(path))
	for i := 1; i <= last; i++ {
		b := slash
		if i < len(path) {
			b = bounds[path[i]]
		}
		if b != anything {
			h = token(h, path, start, i)
			start = i
			if t.ends.has(i) {
				t.add(&m, h, path[:i], b, v)
			}
		} else if raw && t.rawEnds.has(i) {
			t.add(&m, token(h, path, start, i), path[:i], b, v)
		}
	}
	return m
}

// add looks one text up, of which h is the hash, and adds its rows to the sum.
func (t *table) add(m *match, h uint64, text string, b bound, v verbs) {
	e := t.find(h, text)
	if e == nil {
		return
	}
	m.accept = m.accept || e.accept[b]&v != 0
	m.drop = m.drop || e.drop[b]&v != 0
	if e.audit[b]&v != 0 {
		m.audit = true
		m.topic = t.topics[e.topics-1][b][bits.TrailingZeros8(uint8(v))]
	}
}
