// Package identity owns the REST endpoints before sign-in: signing up, in and out, proving an
// address and setting a forgotten password by mailed links, getting onto the whitelist, the
// configuration for pages, the callback of the KYC provider; and the JSON Web
// Key Set.
//
// Gateways let its paths pass without a session, so nothing here may trust one further than
// to end it. The rules of signing in are package account's; those of sessions, package
// session's, those of captchas package captcha's; the wiring brings the judges of captchas and ID tokens.
//
//	POST /identity/sessions ──► captcha ──► account.Service ──► session.Manager ──► cookies + view
//	POST /identity/users/email/generate_code ──► captcha ──► account.Service ──► outbox ──► mail
package identity
