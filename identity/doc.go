// Package identity owns the REST endpoints before sign-in: signing up, in and out, proving an
// address and setting a forgotten password by mailed links, getting onto the whitelist, what
// pages must know of the configuration, where the KYC provider calls back; and the JSON Web
// Key Set.
//
// Gateways let its paths pass without a session, so nothing here may trust one further than
// to end it. What signing in means is package account's; what a session is, package
// session's; captchas and ID tokens are judged by what the wiring brings.
//
//	POST /identity/sessions ──► captcha ──► account.Service ──► session.Manager ──► cookies + view
//	POST /identity/users/email/generate_code ──► captcha ──► account.Service ──► outbox ──► mail
package identity
