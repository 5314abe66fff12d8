// Package apikey owns API keys: the rules by which their holders make, change and remove them, and
// the cache from which decisions check signatures.
//
// It does not own their holders (package account), the second factor that a change asks for
// (package factor), nonces or the signing of requests (package authz).
//
//	resource ──► Service ──► factor: a code ──► one transaction: row + activity + change-feed row
//	authz ─────► Cache ──► Source               keys with their secrets opened, cached,
//	               ▲                            dropped by the change feed
//	               └── feed.Follower
package apikey
