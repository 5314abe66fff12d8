// Package account owns the people and programs that hold credentials: users, service
// accounts, their labels, levels, one-time-code secrets and API keys, and the rules by
// which these change.
//
// It does not own sessions (package session), tokens (package token), permissions
// (package policy) or any wire format: edges translate to and from it.
//
//	edges ──► Service ──► Store (internal/store) ──► one transaction:
//	                                                 rows + activity + change-feed row + events
//	authz ──► Directory ──► Reader                   principals and keys, cached,
//	             ▲                                   dropped by the change feed
//	             └── feed.Follower
package account
