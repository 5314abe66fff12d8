//go:build !linux

package hostile

import "time"

var began = time.Now()

// clock is how long ago the program began.
func clock() time.Duration { return time.Since(began) }
