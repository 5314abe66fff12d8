// Package bearer is for upstreams of Barong: it verifies the token that Barong gives with every
// request that it allows, and returns its claims.
//
//	Authorization: Bearer <JWT>  ──►  Verifier.Verify  ──►  Claims
//	                                       │ a kid that is not known, or a set that is due
//	                                       ▼
//	                            the key set (JWKS) of Barong
//
// A Verifier takes a token only if its algorithm is one of the configured ones and that of the key
// that its kid names, the key verifies it, and the claims are those of a token for this party. It
// keeps the key set in memory, fetches it again in the background when it is due, and lives through an
// outage for a stated time. A warm verification takes no lock and does no I/O.
//
// Handler is the middleware for net/http; packages ginbearer and grpcbearer have those for gin and
// gRPC, and package bearertest makes tokens for tests. The package needs the standard library and
// golang-jwt alone.
package bearer
