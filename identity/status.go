package identity

import (
	"context"
	"time"

	"barong/internal/limit"
	"barong/internal/rest"
)

// Build says which build answers.
type Build struct {
	Tag     string    // git tag, which is the version
	SHA     string    // git commit
	BuiltAt time.Time // shown with its own offset
}

type ping struct {
	Ping string `json:"ping"`
}

type clock struct {
	Time int64 `json:"time" doc:"Seconds since 1970."`
}

type version struct {
	GitTag    string    `json:"git_tag"`
	GitSHA    string    `json:"git_sha"`
	BuildDate buildDate `json:"build_date"`
	Version   string    `json:"version"`
}

// buildDate is shown as RFC 3339 with milliseconds and offset.
type buildDate time.Time

func (d buildDate) MarshalText() ([]byte, error) {
	return time.Time(d).AppendFormat(nil, "2006-01-02T15:04:05.000-07:00"), nil
}

// DescribeJSON is for the document.
func (buildDate) DescribeJSON() (typ, format string) { return "string", "date-time" }

func (a *API) general(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/ping", Cost: limit.Answer, Summary: "Ask whether the service answers.",
	}, a.ping)
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/time", Cost: limit.Answer, Summary: "Read the server's clock.",
	}, a.time)
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/version", Cost: limit.Answer, Summary: "Read which build answers.",
	}, a.version)
}

func (a *API) ping(context.Context, visitor, rest.None) (ping, error) {
	return ping{"pong"}, nil
}

func (a *API) time(context.Context, visitor, rest.None) (clock, error) {
	return clock{a.Now().Unix()}, nil
}

func (a *API) version(context.Context, visitor, rest.None) (version, error) {
	b := a.Build
	return version{GitTag: b.Tag, GitSHA: b.SHA, BuildDate: buildDate(b.BuiltAt), Version: b.Tag}, nil
}
