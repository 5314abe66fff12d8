// Package captcha is the contract between the endpoints that want proof of a human and the
// service that judges it: the client's value, its checker, and the answers that differ on
// the wire.
//
// It does not own the services themselves (internal/provider/captcha) nor which endpoints are
// protected (package identity).
package captcha
