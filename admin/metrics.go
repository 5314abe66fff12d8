package admin

import (
	"context"

	"barong/internal/rest"
	"barong/policy/ability"
)

// metricsRange bounds the figures; a day of which a bound cuts off a part counts the rest.
type metricsRange struct {
	From *int64 `name:"created_from" doc:"Seconds since 1970, included."`
	To   *int64 `name:"created_to" doc:"Seconds since 1970, not included."`
}

type metrics struct {
	SignUps  map[string]int `json:"signups" doc:"By UTC day, YYYY-MM-DD; no day has 0."`
	SignIns  map[string]int `json:"sucessful_logins" doc:"As signups; spelled as ever."`
	Failures map[string]int `json:"failed_logins" doc:"As signups."`
	Pending  int            `json:"pending_applications" doc:"Users whose documents wait for review now, whatever the range."`
}

func (a *API) metrics(s section) {
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "GET", Summary: "Count sign-ups, sign-ins and refused sign-ins by day, and the applications that wait.",
	}, a.readMetrics)
}

func (a *API) readMetrics(ctx context.Context, _ staff, in metricsRange) (metrics, error) {
	n, err := a.Activities.Numbers(ctx, rest.Seconds(in.From), rest.Seconds(in.To))
	return metrics(n), err
}
