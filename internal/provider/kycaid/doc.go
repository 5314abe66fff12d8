// Package kycaid asks KYCAID how a verification ended, and checks that a callback comes from
// there. It decides nothing: package person interprets results.
package kycaid
