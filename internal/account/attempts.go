package account

import "barong/internal/limit"

// ErrTooManyAttempts matches every TooManyAttempts in errors.Is.
var ErrTooManyAttempts = limit.ErrTooMany

// TooManyAttempts says that the caller must wait before trying again.
type TooManyAttempts = limit.TooMany
