// Package peer owns the trust in peer services, which call the management API: their public keys, the
// scopes that they may and must sign for, and the verification of their messages, each of which
// is accepted once.
//
//	body ──► token.ParseGeneral ──► signatures of the scope's permitted signers ──► claims
//	     ──► mandatory signers, number of signers ──► Store.ClaimMessage ──► Message
//
// It knows neither HTTP nor the endpoints. Everything in it is safe for concurrent use.
package peer
