// Package token owns bearer tokens and the keys that sign them: minting with reuse,
// verification, rotation, and the published key set (JWKS). It is the only package that
// knows a JOSE library.
//
//	KeyStore (sealed) ──► Keys: next → active → retiring ──► Minter.Mint, Verify, JWKS
//	warm request ──► Minter.Reuse(Slot): the token minted for this credential a moment ago
package token
