package rest

import "time"

// Seconds is the time that a parameter gives in seconds since 1970, within the years that stores and
// JSON can hold; the zero time for an absent one.
func Seconds(since1970 *int64) time.Time {
	const longest = 253402300799 // the last second of the year 9999
	if since1970 == nil {
		return time.Time{}
	}
	return time.Unix(min(max(*since1970, -longest), longest), 0)
}
