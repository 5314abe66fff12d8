package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/logfold"
)

// A flood of outages is a line a second for each reason, and every one of them is counted:
// the lines and those folded into them add up.
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
		time.Sleep(5 * time.Second) // waiting lines are written without another one
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

// A flood of denials is a bounded number of lines: a few of each kind at once, then one a
// second that counts the others; those of another reason, address or account are still seen.
func TestDecisionLogFoldsDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewDecisionLog(&out, jsonLines, 0, 1<<20, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		asked := 0
		say := func(reason, ip, uid string) {
			d := decision{status: http.StatusUnauthorized, reason: reason, uid: uid}
			l.decided(&request{path: "api/v2/x", ip: netip.MustParseAddr(ip)}, &d, time.Now(), 0)
			asked++
		}
		const seconds = 10
		for second := range seconds {
			for range 2000 { // from one address
				say(reasonInvalidSession, "192.0.2.1", "")
			}
			for i := range 2000 { // from one network of IPv6
				say(reasonInvalidSession, fmt.Sprintf("2001:db8::%x", i+1), "")
			}
			for i := range 3000 { // from everywhere
				say(reasonPermissionDenied, fmt.Sprintf("10.%d.%d.%d", second, i/256, i%256), "")
			}
			say(reasonMissingCSRF, "192.0.2.1", "ID1")
			say(reasonMissingCSRF, "192.0.2.1", "ID2")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		lines, stand := 0, 0
		seen := map[string]int{}
		for _, line := range parsedLines(t, out.Bytes()) {
			folded, _ := line["folded"].(float64)
			lines++
			stand += 1 + int(folded)
			seen[line["reason"].(string)+" "+line["uid"].(string)]++
		}
		if stand != asked {
			t.Errorf("the lines stand for %d denials, want all %d", stand, asked)
		}
		if most := seconds * (logfold.Most*(logfold.Refusals+1) + 20); lines > most {
			t.Errorf("%d denials became %d lines, want at most %d", asked, lines, most)
		}
		for _, uid := range []string{"ID1", "ID2"} {
			if seen[reasonMissingCSRF+" "+uid] == 0 {
				t.Errorf("the denials of %s are nowhere", uid)
			}
		}
	})
}

func parsedLines(t *testing.T, text []byte) (all []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}
