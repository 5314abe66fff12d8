package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"barong/internal/account"
	"barong/policy"
)

func jsonLines(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }

// written runs a log until its queue is written, and returns its lines.
func written(t *testing.T, l *DecisionLog, out *bytes.Buffer) []map[string]any {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return decoded(t, out)
}

// A refusal names the user or key as soon as it is known whose was presented, although nothing
// was proved, and says that it ended a session.
func TestDecisionLogNamesWhoseCredentialWasRefused(t *testing.T) {
	const kid = "61d025b8573501c2"
	for name, test := range map[string]struct {
		ask, reason, uid, kid string
		ended                 bool
		later                 time.Duration
		change                func(*request)
	}{
		"no CSRF token": {ask: "by session, audited", reason: reasonMissingCSRF, uid: "ID1",
			change: func(r *request) { r.csrf, r.hasCSRF = "", false }},
		"another CSRF token": {ask: "by session, audited", reason: reasonCSRFMismatch, uid: "ID1",
			change: func(r *request) { r.csrf = "x" }},
		"another browser":        {ask: "by session, from another browser", reason: reasonClientMismatch, uid: "ID1", ended: true},
		"a session that ran out": {ask: "by session", reason: reasonClientMismatch, uid: "ID1", later: time.Hour},
		"a bad signature": {ask: "by API key", reason: reasonInvalidSignature, uid: "ID1", kid: kid,
			change: func(r *request) { r.signature = strings.Repeat("0", 64) }},
		"a key of nobody": {ask: "by API key", reason: reasonUnknownAPIKey, kid: "made-up",
			change: func(r *request) { r.apiKey = "made-up" }},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := small(t)
			l := NewDecisionLog(&out, jsonLines, 0, 10, nil)
			s := fakeServer(t, &fakes{w: w}, func(_ *Config, p *Parts) {
				p.Log, p.Now = l, func() time.Time { return w.Now().Add(test.later) }
			})
			r := asked(t, w, test.ask)
			if test.change != nil {
				test.change(&r)
			}
			var d decision
			s.conclude(t.Context(), &r, &d, nil)
			lines := written(t, l, &out)
			if len(lines) != 1 {
				t.Fatalf("got %d lines, want 1", len(lines))
			}
			got := lines[0]
			ended, _ := got["session_ended"].(bool)
			if got["reason"] != test.reason || got["uid"] != test.uid || got["kid"] != test.kid || ended != test.ended {
				t.Errorf("got %v, want reason %s, uid %q, kid %q, ended %v", got, test.reason, test.uid, test.kid, test.ended)
			}
		})
	}
}

// A refusal by a restriction names its row.
func TestDecisionLogNamesTheRestriction(t *testing.T) {
	var out bytes.Buffer
	l := NewDecisionLog(&out, jsonLines, 0, 10, nil)
	r := request{method: "GET", path: "api/v2/x", ip: netip.MustParseAddr("203.0.113.10")}
	var d decision
	d.restricted(&policy.Denial{Status: 471, Reason: "authz.restrict.maintenance", ID: 17})
	l.decided(&r, &d, time.Unix(0, 0), time.Microsecond)
	lines := written(t, l, &out)
	if len(lines) != 1 || lines[0]["restriction"] != 17.0 || lines[0]["status"] != 471.0 {
		t.Errorf("got %v, want one line with restriction 17", lines)
	}
}

func TestDecisionLogSaysWhoWhatAndWhy(t *testing.T) {
	var out bytes.Buffer
	l := NewDecisionLog(&out, jsonLines, 0, 10, nil)
	r := request{
		method: "POST", target: "/api/v2/x?password=hunter2", path: "api/v2/x", query: "password=hunter2",
		cookie: "_barong_session=secretcookie", signature: "secretsignature", csrf: "secrettoken",
		body: "secretbody", requestID: "4f2c", ip: netip.MustParseAddr("203.0.113.10"),
	}
	d := decision{
		status: 401, reason: reasonInvalidPermission, via: viaAPIKey, kid: "61d025b8573501c2", snapshot: 7,
		who: &account.Principal{UID: "ID1", Role: "member"},
	}
	l.decided(&r, &d, time.Unix(0, 0), 5*time.Microsecond)
	lines := written(t, l, &out)
	if len(lines) != 1 {
		t.Fatalf("got %d lines, want 1", len(lines))
	}
	for key, want := range map[string]any{
		"status": 401.0, "reason": reasonInvalidPermission, "method": "POST", "path": "api/v2/x",
		"ip": "203.0.113.10", "uid": "ID1", "role": "member", "kid": "61d025b8573501c2",
		"credential": "api_key", "request_id": "4f2c", "snapshot": 7.0, "decision": d.id, "took": 5000.0,
	} {
		if got := lines[0][key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	all, _ := json.Marshal(lines)
	for _, secret := range []string{"hunter2", "secret"} {
		if strings.Contains(string(all), secret) {
			t.Errorf("the log holds %q: %s", secret, all)
		}
	}
	if len(d.id) != 16 {
		t.Errorf("decision id %q, want 16 hex digits", d.id)
	}
}

func TestDecisionLogSamplesAllowsAndNotDenials(t *testing.T) {
	for sample, want := range map[int]int{0: 0, 1: 30, 10: 3} {
		var out bytes.Buffer
		l := NewDecisionLog(&out, jsonLines, sample, 100, nil)
		for range 30 {
			l.decided(&request{}, &decision{status: http.StatusOK}, time.Time{}, 0)
		}
		if got := len(written(t, l, &out)); got != want {
			t.Errorf("one of %d: got %d of 30 allows, want %d", sample, got, want)
		}
	}
	var out bytes.Buffer
	l := NewDecisionLog(&out, jsonLines, 0, 100, nil)
	for range 30 {
		l.decided(&request{}, &decision{status: 401, reason: "x"}, time.Time{}, 0)
	}
	stand := 0
	for _, line := range written(t, l, &out) {
		folded, _ := line["folded"].(float64)
		stand += 1 + int(folded)
	}
	if stand != 30 {
		t.Errorf("the lines stand for %d of 30 denials, want all", stand)
	}
}

func TestDecisionLogDropsAndCountsRatherThanWaits(t *testing.T) {
	var out bytes.Buffer
	var dropped atomic.Int64
	l := NewDecisionLog(&out, jsonLines, 0, 4, func() { dropped.Add(1) })
	for range 10 {
		l.decided(&request{}, &decision{status: 401, reason: "x"}, time.Time{}, 0)
	}
	if got := len(written(t, l, &out)); got != 4 || dropped.Load() != 6 {
		t.Errorf("got %d lines and %d dropped, want 4 and 6", got, dropped.Load())
	}
}

func TestDecisionLogSurvivesAFailingWriter(t *testing.T) {
	var out failingOnce
	var dropped atomic.Int64
	l := NewDecisionLog(&out, jsonLines, 0, 4, func() { dropped.Add(1) })
	l.write(&decisionLine{reason: "first"}, 0)
	l.flush()
	l.write(&decisionLine{reason: "second"}, 0)
	l.flush()
	if !strings.Contains(out.String(), "second") || dropped.Load() == 0 {
		t.Errorf("got %q and %d dropped, want the second line and a count of the first", out.String(), dropped.Load())
	}
}

type failingOnce struct {
	bytes.Buffer
	failed bool
}

func (f *failingOnce) Write(b []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errors.New("disk full")
	}
	return f.Buffer.Write(b)
}

// TestDecisionIDsDiffer also between processes, by their random start.
// The process's other lines go to the same stream: between two writes, one may come.
func TestDecisionLogWritesWholeLines(t *testing.T) {
	var out writes
	l := NewDecisionLog(&out, jsonLines, 1, 1000, nil)
	for range 1000 {
		l.decided(&request{method: "GET", path: "api/v2/x"}, &decision{status: 200}, time.Now(), 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(out) < 2 {
		t.Fatalf("got %d writes, want more lines than one buffer holds", len(out))
	}
	for i, w := range out {
		if !strings.HasPrefix(w, "{") || !strings.HasSuffix(w, "}\n") {
			t.Errorf("write %d is %q…%q, want whole lines", i, w[:20], w[len(w)-20:])
		}
	}
}

type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestDecisionIDsDiffer(t *testing.T) {
	var a, b decisionIDs
	a.start()
	b.start()
	if x, y, z := a.next(), a.next(), b.next(); x == y || x == z || len(x) != 16 {
		t.Errorf("got %s, %s and from another start %s", x, y, z)
	}
}

// TestMetadataHasADecisionID whether or not there is a log.
func TestMetadataHasADecisionID(t *testing.T) {
	w := small(t)
	s := fakeServer(t, &fakes{w: w}, func(c *Config, _ *Parts) { c.Metadata = true })
	r := asked(t, w, "by session")
	var d decision
	s.conclude(t.Context(), &r, &d, nil)
	if !d.metadata || len(d.id) != 16 {
		t.Errorf("metadata %v with decision id %q, want one", d.metadata, d.id)
	}
}

// BenchmarkDenialLogged is the cost that its line adds to a denial, on the path of the decision
// and in the writer together.
func BenchmarkDenialLogged(b *testing.B) {
	l := NewDecisionLog(io.Discard, jsonLines, 0, 0, nil)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	r := request{method: "GET", path: "api/v2/peatio/market/orders", requestID: "4f2c", ip: netip.MustParseAddr("203.0.113.10")}
	b.ReportAllocs()
	for b.Loop() {
		d := decision{status: 401, reason: reasonInvalidSession}
		l.decided(&r, &d, time.Time{}, time.Microsecond)
	}
	cancel()
	<-done
}

func TestMetricsCountByOutcomeReasonAndCredential(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	for range 3 {
		m.decided(&decision{status: 200, via: viaSession}, time.Microsecond)
	}
	m.decided(&decision{status: 401, reason: reasonInvalidSession, via: viaSession}, time.Microsecond)
	m.decided(&decision{status: 503, reason: reasonUnavailable, outage: true}, time.Millisecond)
	m.decided(&decision{status: 499, reason: "authz.of.another.version"}, time.Millisecond)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "barong_decisions_total" {
			continue
		}
		for _, series := range f.GetMetric() {
			var labels []string
			for _, l := range series.GetLabel() { // by name: credential, outcome, reason
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = series.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"none deny other": 1, "none outage authz.unavailable": 1, "session allow ": 3,
		"session deny authz.invalid_session": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	d := decision{status: 200, via: viaSession}
	if n := testing.AllocsPerRun(100, func() { m.decided(&d, time.Microsecond) }); n != 0 {
		t.Errorf("counting allocates %v times, want 0", n)
	}
	var none *Metrics
	none.decided(&d, 0)
	none.panicked()
	none.replayed()
}
