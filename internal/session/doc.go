// Package session owns browser sessions: the opaque cookie, its record,
// the cache that decisions read, sliding expiry, and the ways a session ends.
//
// It knows neither a session's rights (package policy) nor the present state of its user (package
// account): it only says which uid, of which generation, the cookie proved.
//
//	Set-Cookie ◄── Manager.Open ──► Store (table or Redis)
//	cookie ──► Manager.Lookup ──► local bounded cache ──► Store, one load per key in flight
//	Manager.List ──► Store, and the Ledger for ended ones: the list for a user
//	feed ──► Manager.Apply      drops ended sessions; the database alone knows the ended ones
package session
