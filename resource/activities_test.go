package resource_test

import (
	"fmt"
	"testing"
	"time"

	"barong/internal/apitest"
	"barong/internal/audit"
	"barong/internal/expect"
)

const activity = base + "/users/activity/"

// A person's own activities: newest first, by topic, time and result.
func TestActivities(t *testing.T) {
	w := newWorld(t)
	add := func(after time.Duration, uid, topic, action, result, data string) {
		t.Helper()
		expect.OK(t, w.DB.AddActivity(t.Context(), audit.Activity{
			ActorUID: uid, ActorKind: "user", ActorRef: uid, Category: audit.CategoryUser, IP: "192.0.2.1", IPCountry: "Malta",
			UserAgent: apitest.Agent, Topic: topic, Action: action, Result: result, Data: data, CreatedAt: w.Now.Add(after),
		}))
	}
	add(0, me, "session", "login", "succeed", "")
	add(time.Second, me, "otp", "enable 2FA", "failed", `{"reason":"OTP code is invalid"}`)
	add(2*time.Second, stranger, "session", "login", "succeed", "")
	add(3*time.Second, me, "password", "password change", "succeed", "")
	add(4*time.Second, me, "account", "label create", "succeed", "")
	c := w.mine()
	c.Get(t, activity+"otp").Want(t, 200, `[{"id":2,"user_ip":"192.0.2.1","user_ip_country":"Malta","user_agent":"`+apitest.Agent+`",
		"topic":"otp","action":"enable 2FA","result":"failed","data":"{\"reason\":\"OTP code is invalid\"}","created_at":"2026-11-21T08:00:01Z"}]`)
	start := w.Now.Unix()
	for query, want := range map[string][]int{
		"all":                                    {5, 4, 2, 1},
		"session":                                {1},
		"password":                               {4},
		"account":                                {5},
		"all?result=failed":                      {2},
		fmt.Sprintf("all?time_from=%d", start+1): {5, 4, 2},
		fmt.Sprintf("all?time_to=%d", start+3):   {2, 1},
		fmt.Sprintf("all?time_from=%d&time_to=%d&limit=1", start+1, start+4): {4},
		"all?limit=2&page=2":            {2, 1},
		"all?limit=4&page=2":            {},
		"all?time_to=99999999999999999": {5, 4, 2, 1},
	} {
		t.Run(query, func(t *testing.T) {
			var list []struct{ ID int }
			a := c.Get(t, activity+query)
			a.Into(t, &list)
			ids := []int{}
			for _, x := range list {
				ids = append(ids, x.ID)
			}
			expect.Equal(t, a.Status, 200)
			expect.Equal(t, ids, want)
		})
	}
	expect.Equal(t, c.Get(t, activity+"all?limit=2").Header.Get("Total"), "4")
	for query, tokens := range map[string][]string{
		"all?result=denied":                      {"resource.user.no_activity"},
		fmt.Sprintf("all?time_from=%d", start+9): {"resource.user.no_activity"},
		"labels":                                 {"resource.user.wrong_topic"},
		"all?time_from=x&time_to=1.5":            {"resource.user.non_integer_time_from", "resource.user.non_integer_time_to"},
		"all?time_from=&time_to=":                {"resource.user.empty_time_from", "resource.user.empty_time_to"},
		"all?result=":                            {"resource.user.empty_result"},
		"all?result[]=x":                         {"resource.user.non_string_result"},
		"all?limit=101&page=0":                   {"non_positive_page", "invalid_limit"},
		"all?limit=x&page=y":                     {"non_integer_page", "non_positive_page", "non_integer_limit", "invalid_limit"},
		"%ff":                                    {"invalid", "resource.user.wrong_topic"},
	} {
		t.Run(query, func(t *testing.T) { c.Get(t, activity+query).WantTokens(t, 422, tokens...) })
	}
	w.Faults.Fail(apitest.ErrOutage, "Activities")
	c.Get(t, activity+"all").WantTokens(t, 503, "server.internal_error")
}
