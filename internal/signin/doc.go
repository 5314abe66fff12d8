// Package signin owns the ways in: passwords, vouching providers, sign-up, the confirmation of
// addresses and the reset of passwords by mail, the devices that accounts are used from, and the
// bounds of trying any of them.
//
// It does not own accounts (package account), second factors (package factor), sessions (package
// session), or the rules and digests of passwords (packages password and secret).
//
//	identity ──► Service ──► Attempts ──► account: Match ──► factor: Use ──► one transaction:
//	                │                                                       activity + events
//	                └──► mailed link: token + its hash, used once
package signin
