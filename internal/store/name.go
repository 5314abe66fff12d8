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

// Ids and lock versions of policy rows are names too: staff send them back, and an edit made on the
// sight of a row must not meet another. They go out as JSON numbers, of which clients keep 53 bits.
const (
	// idStepBits bounds the random steps from one id to the next: millions of rows fit, and two
	// histories that begin at one row give the same id by a chance of one in four billion.
	idStepBits  = 32
	versionBits = 53
	// nextID is the id of a new row of the table that %s stands for, whose writers wait for each
	// other; idStep is its parameter. Ids ascend in the order of creation.
	nextID = `(SELECT COALESCE(MAX(id), 0) FROM %s) + CAST($1 AS BIGINT)`
)

func idStep() int64 { return 1 + rand.Int64N(1<<idStepBits) }

// newVersion is a lock version: a random number from 1, with no order.
func newVersion() int64 { return 1 + rand.Int64N(1<<versionBits-1) }

func nameNoise() int64 { return rand.Int64N(1 << nameBits) }
