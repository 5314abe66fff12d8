// Package directory holds the principals that decisions ask for in memory. It owns no account: rows
// are package account's, and the change feed says when one is another.
//
//	authz ──► Directory ──► Source (internal/store)
//	             ▲
//	             └── feed.Follower
package directory
