package account

import (
	"errors"
	"fmt"
	"time"
)

// ErrTooManyAttempts is what a TooManyAttempts is, for errors.Is.
var ErrTooManyAttempts = errors.New("account: too many attempts")

// TooManyAttempts says that the caller must wait before trying again.
//
//nolint:errname // reads as a sentence where it is made and matched
type TooManyAttempts struct{ RetryAfter time.Duration }

func (e TooManyAttempts) Error() string {
	return fmt.Sprintf("%v; retry after %v", ErrTooManyAttempts, e.RetryAfter)
}

// Is makes errors.Is(err, ErrTooManyAttempts) true.
func (e TooManyAttempts) Is(target error) bool { return target == ErrTooManyAttempts }
