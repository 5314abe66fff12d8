// Package store keeps everything that Barong remembers in one SQL database and implements
// the stores that the domain packages declare: account.Store, session.Store,
// session.Ledger, policy.Store, token.KeyStore, audit.Store, limit.Store and feed.Source.
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
// must agree share a snapshot.
//
// Times are UTC microseconds in BIGINT columns, JSON is text, and letter case is
// folded in Go before a value is stored or looked up.
package store
