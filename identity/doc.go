// Package identity owns the REST endpoints before sign-in: signing in and out, getting
// onto the whitelist, public facts about the service; and the JSON Web Key Set.
//
// Gateways let its paths pass without a session, so nothing here may trust one further than
// to end it. What signing in means is package account's; what a session is, package
// session's.
//
//	POST /identity/sessions ──► account.Service ──► session.Manager ──► cookie + view
package identity
