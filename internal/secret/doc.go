// Package secret owns everything that must not be read or guessed: sealed columns and their
// blind indexes, password digests, one-time codes, the master key file and random ids.
// It knows no account, no store and no clock of its own.
//
//	master key (32 bytes) ──HKDF-SHA-256──► sealing key   Seal, Open     column ⇄ ciphertext
//	                                  ├───► indexing key  Index          value → key of a look-up
//	                                  └───► SubKey, for purposes of other packages
//	password ──► Hasher (bounded) ──► argon2id PHC string; bcrypt is read, never written
//	code ──► TOTPStep ──► RFC 6238 time step, for the caller's replay guard
//
// Nothing here prints a secret: errors name the operation that failed, never the value.
package secret
