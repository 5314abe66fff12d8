// Package management owns the REST API of peer services: the endpoints that they call with signed
// bodies, on the internal network alone.
//
// It does not own the signatures: package peer verifies a body and names its signers, by the
// rules of the scope that an endpoint has. The parameters are the claim data of the signed payload, and the
// refusals have the six shapes that old clients know; a group of endpoints says which is its own.
//
//	POST /management/labels ──► no query, JSON alone ──► peer.Verifier, by the scope
//	     ──► parameters from the claim data ──► a service of internal/…, for the actor of that name
//	     ──► the answer, unsigned
package management
