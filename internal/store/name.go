package store

import "math/rand/v2"

// Generations, epochs and principal versions are names: readers compare them for equality, in
// caches, in Redis, in tokens. A database that goes back to an earlier state must not give one
// again to something else, so each has nameBits random bits below a count. By the count a later
// one of one history is the larger, which shows a stale copy beside a new value; it proves nothing
// else.
const (
	nameBits = 40
	// nextInSQL is nextName of a column, which %s stands for; the random bits are $1.
	nextInSQL = `(%s / 1099511627776 + 1) * 1099511627776 + $1`
)

func nextName(n int64) int64 { return (n>>nameBits+1)<<nameBits + nameNoise() }

func nameNoise() int64 { return rand.Int64N(1 << nameBits) }
