package view

import (
	"barong/internal/audit"
	"barong/internal/chronicle"
)

// activity is the common beginning of the shapes of activities.
type activity struct {
	UserIP        string  `json:"user_ip"`
	UserIPCountry string  `json:"user_ip_country"`
	UserAgent     string  `json:"user_agent"`
	Topic         string  `json:"topic"`
	Action        string  `json:"action"`
	Result        string  `json:"result" doc:"succeed, failed or denied. In a row whose data has by gate, succeed says that the request was let through to its component, and nothing about the component's answer."`
	Data          *string `json:"data" doc:"JSON text."`
}

func activityOf(a audit.Activity) activity {
	v := activity{
		UserIP: a.IP, UserIPCountry: a.IPCountry, UserAgent: a.UserAgent, Topic: a.Topic,
		Action: a.Action, Result: a.Result,
	}
	if a.Data != "" {
		v.Data = &a.Data
	}
	return v
}

// Activity is an activity as its own user sees it.
type Activity struct {
	ID int64 `json:"id"`
	activity
	CreatedAt Time `json:"created_at"`
}

// ActivityOf shows a.
func ActivityOf(a audit.Activity) Activity {
	return Activity{ID: a.ID, activity: activityOf(a), CreatedAt: Time(a.CreatedAt)}
}

// ActivityWithUser is an activity of a user, as staff see it.
type ActivityWithUser struct {
	activity
	User      User `json:"user"`
	CreatedAt Time `json:"created_at"`
}

// ActivityWithUserOf shows d.
func ActivityWithUserOf(d chronicle.Deed) ActivityWithUser {
	return ActivityWithUser{activity: activityOf(d.Activity), User: UserOf(d.Actor), CreatedAt: Time(d.CreatedAt)}
}

// AdminActivity is an activity of staff, as staff see it.
type AdminActivity struct {
	activity
	Admin     User  `json:"admin" doc:"Of a service of the management API and of the command line there are no more than role, which is service or operator, and email, which has the name."`
	Target    *User `json:"target"`
	CreatedAt Time  `json:"created_at"`
}

// AdminActivityOf shows d.
func AdminActivityOf(d chronicle.Deed) AdminActivity {
	v := AdminActivity{activity: activityOf(d.Activity), Admin: UserOf(d.Actor), CreatedAt: Time(d.CreatedAt)}
	if d.Target != nil {
		u := UserOf(*d.Target)
		v.Target = &u
	}
	return v
}
