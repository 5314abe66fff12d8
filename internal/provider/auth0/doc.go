// Package auth0 verifies the ID tokens of people that sign in with Auth0, by the keys that the
// tenant publishes.
//
//	Verify ──► keys in memory, at most 10 minutes old ──► token.KeySet
//	             └── fetched again for a kid that is not among them, one fetch at a time
package auth0
