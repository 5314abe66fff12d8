package twilio

import (
	"encoding/json"
	"errors"
	"testing"
)

// Only an object with an id and a status under a status of success is one.
func FuzzParseAnswer(f *testing.F) {
	f.Add(201, []byte(`{"sid":"SM1","status":"queued","error_code":null}`))
	f.Add(200, []byte(`{"sid":"VE1","status":"approved","valid":true}`))
	f.Add(400, []byte(`{"code":21610,"message":"m","status":400}`))
	f.Add(201, []byte(`{"sid":"SM1","status":"failed","error_code":"30006"}`))
	f.Add(502, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := parseAnswer(status, body)
		if err != nil {
			if _, refused := errors.AsType[refusal](err); !refused && !errors.Is(err, errAnswer) || a != (answer{}) {
				t.Errorf("%v with %+v", err, a)
			}
			return
		}
		if status < 200 || status > 299 || !json.Valid(body) || a.sid == "" || a.status == "" || a.status == "failed" {
			t.Errorf("status %d with %q is %+v", status, body, a)
		}
	})
}
