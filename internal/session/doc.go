// Package session owns browser sessions: the opaque cookie, what is remembered beside it,
// the cache that decisions read, sliding expiry, and the ways a session ends.
//
// It does not know what a session may do (package policy) or who its user is now (package
// account): it only says which uid, of which generation, the cookie proved.
//
//	Set-Cookie ◄── Manager.Open ──► Store (table or Redis)
//	cookie ──► Manager.Lookup ──► local bounded cache ──► Store, one load per key in flight
//	Manager.List ──► Store, and the Ledger for what has ended: what a user is shown
//	feed ──► Manager.Apply      drops ended sessions; the database alone says what has ended
package session
