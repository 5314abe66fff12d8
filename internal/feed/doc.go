// Package feed owns the change feed: the ordered list of everything that can change a
// verdict, written in the transaction that made the change and read by every replica.
//
//	store ── last statement of a transaction ──► feed counter + changes rows
//	Follower ── on a hint, else every 250 ms ──► Source.Changes(after cursor)
//	         ──► subscribers: policy snapshot, account directory, sessions, signing keys
//	Cache ── rows that subscribers hold: bounded, one load per key, dropped by Follower's changes
//
// The feed is the only truth about staleness: Follower.Age says how long ago it was read,
// and decisions stop trusting held rows when that is too long (design D21).
package feed
