// Package kycaid asks KYCAID how a verification ended, and checks that a callback comes from
// there. It decides nothing: package account interprets results.
package kycaid
