// Package person owns the proofs about the person behind an account: verifications of documents and
// addresses by an outside provider, each of which ends in a private label.
//
// It does not own the labels or the level that follows from them (package account), nor the
// provider's protocol (internal/provider/kycaid).
//
//	callback, submitted profile ──► outbox ──► KYC.Send ──► Provider
//	                                          │
//	                                          └► label ──► level, state (account.Writer)
package person
