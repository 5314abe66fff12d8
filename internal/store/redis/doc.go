// Package redis keeps sessions, the nonces of API keys and counters in Redis: one server, a
// master found by Sentinel, or a Cluster. It implements session.Store, the nonce store of
// package store, and limit.Store.
//
// It owns the form of keys and values, the batches, and the treatment of a failing server. The
// database says which sessions have ended (session.Ledger), so Redis may lose any or bring them
// back.
//
//	Session, UseNonce, … ──► batcher: all that wait go out in one pipeline ─┐
//	SlideSessions, Take, … ──► a script, once for each key ─────────────────┴► breaker ──► Redis
//
// In a Cluster there is a batcher and a breaker for each master.
//
// Keys, after the prefix; none needs another one beside it, so in a Cluster each lies where
// its own hash puts it and no hash tag is used:
//
//	session:<id in hex>                  a record (see record.go), gone an hour after its expiry
//	sessions:<uid>                       sorted set: the ids of a user's sessions (see session_index.go)
//	nonce:<length of kid>:<kid>:<nonce>  a mark, gone when the nonce is too old to be used
//	limit:<SHA-256 of the key in hex>    when its bucket is full, in microseconds; gone soon after
//
// Redis 6 or later with maxmemory-policy noeviction: any other one ends sessions when memory
// runs short. A restricted user needs ~<prefix>* and +get +set +del +evalsha +eval, for the
// scripts also +getrange +setrange +pexpire, for the lists of sessions +zadd +zrange +zrem
// +zremrangebyscore +zremrangebyrank, and +ping +hello, or +cluster|slots and +cluster|shards
// in a Cluster. With +info, and +config|get if it may have it, Watch warns of settings by which Redis
// would lose data.
package redis
