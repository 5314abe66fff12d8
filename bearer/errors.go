package bearer

import (
	"errors"
	"fmt"
)

// ErrRefused says that a request has no token that is taken: answer 401. Every sentinel below but
// ErrUnavailable wraps it. No error holds a part of the token.
var ErrRefused = errors.New("bearer: refused")

// Why a token is refused.
var (
	// ErrNoToken is for a header that is missing, is there twice, or has another scheme than Bearer.
	ErrNoToken = fmt.Errorf("%w: no bearer token", ErrRefused)
	// ErrMalformed is for a text that is no token in compact serialization, or a longer one than 8 KiB.
	ErrMalformed = fmt.Errorf("%w: malformed token", ErrRefused)
	// ErrAlgorithm is for an algorithm that is not configured, or not that of the key.
	ErrAlgorithm = fmt.Errorf("%w: algorithm is not allowed", ErrRefused)
	// ErrHeader is for a header that brings a key, names a place of one, or has critical members.
	ErrHeader = fmt.Errorf("%w: header member is not allowed", ErrRefused)
	// ErrUnknownKey is for a kid that is missing, or in no key set that could be had now.
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrRefused)
	// ErrSignature is for a signature that is wrong.
	ErrSignature = fmt.Errorf("%w: wrong signature", ErrRefused)
	// ErrClaims is for a claim that is missing, has another type, or is for another party.
	ErrClaims = fmt.Errorf("%w: claims", ErrRefused)
	// ErrExpired is for a token whose exp is past.
	ErrExpired = fmt.Errorf("%w: expired", ErrRefused)
	// ErrEarly is for an iat or nbf in the future.
	ErrEarly = fmt.Errorf("%w: not valid yet", ErrRefused)
)

// ErrUnavailable says that nothing is known about a token, since there is no key set or the last one
// is older than Config.Hold: answer 503, never 200.
var ErrUnavailable = errors.New("bearer: no key set")

// ErrKeySet says that a document is no key set, or one with a key that must not be trusted.
var ErrKeySet = errors.New("bearer: invalid key set")
