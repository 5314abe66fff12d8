// Package person owns what is known about the person behind an account: profiles, stored texts, phones
// with the proof that they are the user's, and verifications of documents and addresses by an outside
// provider. Each proof ends in a private label.
//
// It does not own the labels or the level that follows from them (package account), nor the protocols
// of providers (internal/provider/kycaid, twilio).
//
//	AddPhone, SendPhoneCode ──► code, hashed ──► PhoneProvider ──► phone
//	VerifyPhone ──► a try is counted ──► proof, label ──► level, state (account.Writer)
//
//	callback, submitted profile ──► outbox ──► KYC.Send ──► Provider
//	                                          │
//	                                          └► label ──► level, state (account.Writer)
package person
