package account

import "barong/internal/limit"

// ErrTooManyAttempts is what a TooManyAttempts is, for errors.Is.
var ErrTooManyAttempts = limit.ErrTooMany

// TooManyAttempts says that the caller must wait before trying again.
type TooManyAttempts = limit.TooMany
