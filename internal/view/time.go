package view

import "time"

// Time is shown as ISO 8601 in UTC to the second: "2020-06-01T07:01:20Z".
type Time time.Time

// MarshalText writes the form above.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05Z"), nil
}

// DescribeJSON is for the document.
func (Time) DescribeJSON() (typ, format string) { return "string", "date-time" }

// MilliTime is shown to the millisecond: "2020-06-01T07:03:18.000Z".
type MilliTime time.Time

// MarshalText writes the form above.
func (t MilliTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}

// DescribeJSON is for the document.
func (MilliTime) DescribeJSON() (typ, format string) { return "string", "date-time" }

// LocalTime is shown as RFC 3339 with milliseconds and its own offset: "2020-12-08T15:09:53.000+02:00".
type LocalTime time.Time

// MarshalText writes the form above.
func (t LocalTime) MarshalText() ([]byte, error) {
	return time.Time(t).AppendFormat(nil, "2006-01-02T15:04:05.000-07:00"), nil
}

// DescribeJSON is for the document.
func (LocalTime) DescribeJSON() (typ, format string) { return "string", "date-time" }
