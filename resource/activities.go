package resource

import (
	"context"
	"errors"

	"barong/internal/audit"
	"barong/internal/rest"
	"barong/internal/view"
)

// errNoActivity says that nothing at all matches; the reference has no empty list here.
var errNoActivity = errors.New("resource: no activity matches")

// topic is one of the lists of activities.
type topic string

const everyTopic topic = "all"

func (topic) Values() ([]string, string) {
	return []string{string(everyTopic), "session", "otp", "password", "account"}, ".wrong_topic"
}

type activityPage struct {
	Topic  topic   `name:"topic"`
	From   *int64  `name:"time_from" rule:"nonblank" invalid:".non_integer_time_from" doc:"Seconds since 1970, included."`
	To     *int64  `name:"time_to" rule:"nonblank" invalid:".non_integer_time_to" doc:"Seconds since 1970, not included."`
	Result *string `name:"result" rule:"nonblank" invalid:".non_string_result" doc:"succeed, failed or denied."`
	rest.Paging
}

func (a *API) activities(g rest.Group[me]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/activity/{topic}", Summary: "List your activities, newest first.",
		Errors: rest.On(errNoActivity, 422, ".no_activity"),
	}, a.listActivities)
}

func (a *API) listActivities(ctx context.Context, who me, in activityPage) (out rest.Page[view.Activity], err error) {
	q := audit.Query{
		ActorUID: who.User.UID, From: rest.Seconds(in.From), To: rest.Seconds(in.To), Limit: in.Limit, Offset: in.Offset(),
	}
	if in.Topic != everyTopic {
		q.Topic = string(in.Topic)
	}
	if in.Result != nil {
		q.Result = *in.Result
	}
	list, total, err := a.Activities.Activities(ctx, q)
	if err == nil && total == 0 {
		err = errNoActivity
	}
	return rest.PageOf(list, total, in.Paging, view.ActivityOf), err
}
