package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A flood of outages is a line a second for each reason, and every one of them is counted:
// the lines and what they stand for add up.
func TestDecisionLogFoldsOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewDecisionLog(&out, jsonLines, 0, 0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		say := func(reason string, cause error) {
			d := decision{status: http.StatusServiceUnavailable, reason: reason, cause: cause}
			l.decided(&request{path: "api/v2/x"}, &d, time.Now(), 0)
		}
		asked := map[string]int{"authz.unavailable": 1}
		say("authz.unavailable", errors.New("down"))
		synctest.Wait()
		if out.Len() == 0 {
			t.Error("the first line of an outage waits")
		}
		for range 350 { // 3.5 s
			for _, reason := range []string{"authz.unavailable", "another"} {
				say(reason, errors.New("down"))
				asked[reason]++
			}
			time.Sleep(10 * time.Millisecond)
		}
		d := decision{status: http.StatusUnauthorized, reason: "a denial"}
		for range 5 {
			l.decided(&request{}, &d, time.Now(), 0)
		}
		time.Sleep(5 * time.Second) // what waits is written without another line
		say("authz.unavailable", errors.New("down again"))
		asked["authz.unavailable"]++
		synctest.Wait()
		before := out.Len()
		say("authz.unavailable", errors.New("down again"))
		asked["authz.unavailable"]++
		synctest.Wait()
		if out.Len() != before {
			t.Error("the second line of an outage was written at once")
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		lines, stand := map[string]int{}, map[string]int{}
		for _, line := range decoded(t, &out) {
			reason := line["reason"].(string)
			folded, _ := line["folded"].(float64)
			lines[reason]++
			stand[reason] += 1 + int(folded)
			if reason != "a denial" && line["level"] != "ERROR" {
				t.Errorf("an outage at level %v, want ERROR", line["level"])
			}
		}
		// At 0, 1, 2 and 3 s and the rest; and two of the outage that came later.
		for reason, want := range map[string]int{"another": 5, "authz.unavailable": 7, "a denial": 5} {
			if lines[reason] != want {
				t.Errorf("%s: %d lines, want %d", reason, lines[reason], want)
			}
		}
		for reason, want := range asked {
			if stand[reason] != want {
				t.Errorf("%s: the lines stand for %d, want %d", reason, stand[reason], want)
			}
		}
	})
}

func decoded(t *testing.T, out *bytes.Buffer) (lines []map[string]any) {
	t.Helper()
	for d := json.NewDecoder(out); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}
