// Package factor owns second factors: one-time codes, their secrets, the recovery codes that stand
// for them, the count of wrong ones, and passkeys. It does not own accounts: that a user has one is a field of
// account.User.
//
//	edges ──────────┐
//	signin, apikey ─┴► Service ──► Attempts ──► secret ──► the last step moves on, once
//	                      ├──► Challenges ──► the answer of a passkey, once, from one browser
//	                      │
//	                      └► account.Writer: user, label, sessions end, keys stop
package factor
