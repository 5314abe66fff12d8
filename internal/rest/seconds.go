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

// Span is embedded by inputs of lists that a range of time bounds. Ranges that follow each other neither
// lose nor repeat a row.
type Span struct {
	From *int64 `name:"from" doc:"Seconds since 1970, included."`
	To   *int64 `name:"to" doc:"Seconds since 1970, not included."`
}

// Bounds are from, included, and to, not included; zero is none.
func (s Span) Bounds() (from, to time.Time) { return Seconds(s.From), Seconds(s.To) }
