// Package store keeps everything that Barong remembers in one SQL database and implements
// the stores that the domain packages declare: the Tx and Source of each room of accounts,
// session.Store, session.Ledger, policy.Store, token.KeyStore, audit.Store, limit.Store and
// feed.Source. Update gives a service the part of a transaction that it uses.
//
// It knows no rules: services decide, stores write. It owns the schema, the sealing of
// secret columns, and the change feed, whose row every verdict-changing transaction leaves.
//
//	service ── Update(f) ──► one transaction ──► rows
//	                              │ f done
//	                              ├─► feed.seq + 1, changes (seq, kind, ref)
//	                              ├─► commit
//	                              └─► hint ──► feed.Follower ──► caches
//
// One SQL text serves SQLite and PostgreSQL over database/sql; an engine adds only the words
// of its dialect. SQLite has one writer at a time. PostgreSQL runs READ COMMITTED: inside a
// transaction, reads of a user, a service account or a part of one lock that account first,
// rules on other rows take a named lock, and the feed's row is locked last, so that commits
// that change a verdict become visible in the order of their numbers. Several reads that
// must agree are made together.
//
// A noun says once which columns of which tables one kind of row is, and what a missing one is
// called; one, many and page read by it. A read under a lock is for rows that are written back.
//
// Times are UTC microseconds in BIGINT columns, JSON is text, and letter case is
// folded in Go before a value is stored or looked up.
package store
