// Package authz owns the decision: may this request pass, and with which token. It answers
// Envoy's ext_authz over gRPC, forward-auth over HTTP and the embedded gate of the REST
// listener, all three through one function.
//
//	gRPC message ─ wire.go ──┐
//	forward-auth ─ forward.go┼─► request ─ parse ─► decide ─► decision ─┬─► gRPC answer
//	REST listener ─ gate.go ─┘                       │                 ├─► HTTP answer
//	                                                 │                 └─► metrics, log
//	   policy.Snapshot ── restrictions, routes, permissions
//	   session.Manager, directory.Directory ── credential → principal
//	   token.Minter ── bearer;   audit.Writer ── activities, off the path
//
// Start with decide.go: decide is the order of the rules, from top to bottom. credential.go
// holds the session cookie, apikey.go the signed API key, audit.go the activities.
//
// Everything that goes wrong is a denial: an error, a timeout or a panic is 503
// authz.unavailable, never an allow and never a statement about the caller (FX-61, design
// D20). A warm decision takes no lock that another request holds and allocates nothing.
//
// The package does not sign users in, change sessions other than ending those that are
// misused, or know SQL.
package authz
