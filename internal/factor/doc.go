// Package factor owns second factors: one-time codes, their secrets, the recovery codes that stand
// for them, and the count of wrong ones. It does not own accounts: that a user has one is a field of
// account.User.
//
//	edges ──────────┐
//	signin, apikey ─┴► Service ──► Attempts ──► secret ──► the last step moves on, once
//	                      │
//	                      └► account.Writer: user, label, sessions end, keys stop
package factor
