package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"barong/internal/limit"
	"barong/internal/logfold"
	"barong/internal/rest"
)

// logged are the lines of a log as fields.
func logged(t *testing.T, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// why is a refusal that has a reason.
type why string

func (w why) Error() string   { return "the long text of " + string(w) }
func (w why) Reason() string  { return string(w) }
func (why) Is(err error) bool { return err == errWhy }

var errWhy = errors.New("refused")

// The line of a refusal has its reason, which the caller does not see, and no flood of one reason hides another.
func TestRefusalsSayTheirReasonToTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, &log, nil)
	reason := why("first")
	guard := rest.Guard[rest.None]{
		Admit:    func(*http.Request) (rest.None, error) { return rest.None{}, fmt.Errorf("wrapped: %w", reason) },
		Refusals: rest.On(errWhy, 401, "whys.refused"),
	}
	rest.Add(rest.NewGroup(s, "whys", guard), rest.Op{Method: "GET", Path: "/x", Status: 200, Summary: "x", Cost: limit.Answer},
		func(context.Context, rest.None, rest.None) (rest.None, error) { return rest.None{}, nil })
	get := func() {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v2/whys/x", nil))
		if w.Code != 401 || strings.Contains(w.Body.String(), string(reason)) {
			t.Fatalf("got %d %s, want 401 without the reason", w.Code, w.Body)
		}
	}
	for range 1000 {
		get()
	}
	reason = "second"
	get()
	s.Flush()
	lines := logged(t, log.String())
	if len(lines) > 50 {
		t.Errorf("%d lines", len(lines))
	}
	last := lines[len(lines)-1]
	for _, l := range lines {
		if l["reason"] == "second" {
			last = l
		}
	}
	if last["reason"] != "second" || last["detail"] != "wrapped: the long text of second" || last["error"] != "whys.refused" {
		t.Errorf("the line is %v", last)
	}
}

// In an outage or a fault the log has about a line a second of each kind, for any number
// of callers and requests. Its lines and those folded into them add up without another request
// or at the end.
func TestOutagesOfRESTAreALineASecond(t *testing.T) {
	for path, messages := range map[string][]string{
		"/fail":  {"request", "request failed"},
		"/panic": {"request", "panic in a REST handler"},
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				s, log := flooded(t, func(c *rest.Config) {
					c.ClientIP = func(*http.Request) netip.Addr {
						return netip.AddrFrom4([4]byte{10, 0, byte(asked >> 8), byte(asked)})
					}
				})
				const seconds = 14
				for range seconds * 160 { // as the outage of a database with 4 clients was seen
					asked++
					ask(s, t.Context(), path)
					time.Sleep(time.Second / 160)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				count := func() (lines, stand map[string]int) {
					lines, stand = map[string]int{}, map[string]int{}
					for _, l := range logged(t, log.String()) {
						folded, _ := l["folded"].(float64)
						lines[l["msg"].(string)]++
						stand[l["msg"].(string)] += 1 + int(folded)
						if l["msg"] == "request" && l["error"] != "server.internal_error" {
							t.Errorf("a request line says the error %v, want server.internal_error", l["error"])
						}
					}
					return lines, stand
				}
				lines, stand := count()
				for _, m := range messages {
					if lines[m] == 0 || lines[m] > seconds+2 {
						t.Errorf("%s: %d lines in %d s, want one a second", m, lines[m], seconds)
					}
					if stand[m] != asked {
						t.Errorf("%s: two seconds later the lines stand for %d, want %d", m, stand[m], asked)
					}
				}
				for range 50 {
					asked++
					ask(s, t.Context(), path)
				}
				s.Flush()
				if _, stand = count(); stand[messages[0]] != asked || stand[messages[1]] != asked {
					t.Errorf("at the end the lines stand for %v, want %d each", stand, asked)
				}
			})
		})
	}
}

// Of refusals a burst for each reason, address and account is written, then one a second; others
// are still seen.
func TestRefusalsOfRESTAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ip := netip.MustParseAddr("192.0.2.1")
		s, log := flooded(t, func(c *rest.Config) { c.ClientIP = func(*http.Request) netip.Addr { return ip } })
		const flood = 10_000
		for range flood {
			ask(s, t.Context(), "/refuse")
		}
		ip = netip.MustParseAddr("192.0.2.2")
		ask(s, t.Context(), "/refuse")
		ip = netip.MustParseAddr("192.0.2.1")
		ask(s, t.Context(), "/nothing")
		time.Sleep(logfold.For)
		synctest.Wait()
		stand, lines := map[string]int{}, map[string]int{}
		for _, l := range logged(t, log.String()) {
			folded, _ := l["folded"].(float64)
			kind := fmt.Sprint(l["ip"], " ", l["error"])
			lines[kind]++
			stand[kind] += 1 + int(folded)
		}
		for kind, want := range map[string]int{
			"192.0.2.1 floods.refused": flood, "192.0.2.2 floods.refused": 1, "192.0.2.1 Route is not found": 1,
		} {
			if stand[kind] != want || lines[kind] > logfold.Refusals+1 {
				t.Errorf("%s: %d lines stand for %d, want %d", kind, lines[kind], stand[kind], want)
			}
		}
	})
}
