// Package resource owns the REST endpoints by which signed-in users manage their own
// account: see it, set up the second factor, keep API keys.
//
// It takes bearer tokens only: the gateway has turned the cookie or the signature into one.
// A record of somebody else is indistinguishable from a missing one.
//
//	Authorization: Bearer <jwt> ──► Verifier ──► user row ──► account.Service as that Actor
package resource
