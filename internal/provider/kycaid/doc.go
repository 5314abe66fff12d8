// Package kycaid asks KYCAID how a verification ended, and checks that a callback comes from
// there. It decides nothing: what a result means is account's to say.
package kycaid
