// Package captcha is the contract between the endpoints that want proof of a human and the
// service that judges it: what a client sends, who checks it, and the answers that differ on
// the wire.
//
// It does not own the services themselves (internal/provider/captcha) nor which endpoints are
// protected (package identity).
package captcha
