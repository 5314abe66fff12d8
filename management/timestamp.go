package management

import (
	"context"

	"barong/internal/rest"
)

// timestamp is the time of this service.
type timestamp struct {
	Timestamp int64 `json:"timestamp" doc:"Seconds since 1970."`
}

func (a *API) clock(g rest.Group[services]) {
	rest.Add(a.scoped(g, toolsScope), rest.Op{Method: "POST", Reference: 200, Summary: "Read the time of this service."}, a.readTime)
}

func (a *API) readTime(context.Context, services, rest.None) (timestamp, error) {
	return timestamp{a.Now().Unix()}, nil
}
