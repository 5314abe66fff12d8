package identity

import (
	"context"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
)

type ping struct {
	Ping string `json:"ping"`
}

type clock struct {
	Time int64 `json:"time" doc:"Since 1970, in the unit of precision."`
}

type precision struct {
	Precision string `name:"precision" enum:"s,ms" default:"s" value:".invalid_precision" doc:"Seconds, or milliseconds, as nonces of API keys have them."`
}

// Version names the build that answers.
type Version struct {
	GitTag    string         `json:"git_tag"` // which is the version
	GitSHA    string         `json:"git_sha"`
	BuildDate view.LocalTime `json:"build_date"`
	Version   string         `json:"version"`
}

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

func (a *API) time(_ context.Context, _ visitor, in precision) (clock, error) {
	if in.Precision == "ms" {
		return clock{a.Now().UnixMilli()}, nil
	}
	return clock{a.Now().Unix()}, nil
}

func (a *API) version(context.Context, visitor, rest.None) (Version, error) {
	return a.Version, nil
}
