// Package audittest is the suite that every implementation of audit.Store passes.
package audittest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"barong/internal/audit"
	"barong/internal/expect"
)

// Known is the uid of the one user that a store given to TestStore must have.
const Known = "ID0KNOWN000"

// TestStore is the suite that every audit.Store passes; open returns one without activities and with
// the user Known.
func TestStore(t *testing.T, open func(testing.TB) audit.Store) {
	for name, test := range map[string]func(*testing.T, audit.Store){
		"a round trip keeps every field":                         roundTrip,
		"absent optional fields stay absent":                     absent,
		"a replayed batch is written once":                       replay,
		"long values are cut with a mark, never refused (FX-33)": cut,
		"bytes that are no text are kept readable":               noText,
		"data that is too long stays JSON":                       longData,
		"an unknown target goes into data (FX-33)":               unknownTarget,
		"every filter filters, alone and together":               filters,
		"a time range includes its beginning only":               timeRange,
		"newest first, in pages, with the number of all":         pages,
		"hundreds in one batch":                                  many,
		"no rows are no error":                                   none,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var base = time.Date(2030, 5, 6, 7, 8, 9, 123456000, time.UTC)

func entry(ref string) audit.Entry {
	return audit.Entry{Ref: ref, Activity: audit.Activity{
		ActorUID: "ID1", ActorKind: "service_account", ActorRef: "SI1", TargetUID: Known,
		Category: audit.CategoryAdmin, IP: "192.0.2.1", IPCountry: "Panama", UserAgent: "curl/8",
		Topic: "labels", Action: "create", Result: audit.Succeed, Data: `{"key":"email"}`, CreatedAt: base,
	}}
}

func add(t testing.TB, s audit.Store, rows ...audit.Entry) {
	t.Helper()
	expect.OK(t, s.AddActivities(t.Context(), rows))
}

func all(t testing.TB, s audit.Store, q audit.Query) []audit.Activity {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	rows, n, err := s.Activities(t.Context(), q)
	expect.OK(t, err)
	if q.Offset == 0 && len(rows) < q.Limit && n != len(rows) {
		t.Fatalf("%d rows, but %d in all", len(rows), n)
	}
	return rows
}

func equal(t testing.TB, got, want audit.Activity) {
	t.Helper()
	if got.ID == 0 {
		t.Error("ID is 0")
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Activity{}, "ID")); d != "" {
		t.Fatalf("want (-), got (+):\n%s", d)
	}
}

func roundTrip(t *testing.T, s audit.Store) {
	want := entry("a")
	add(t, s, want)
	equal(t, all(t, s, audit.Query{})[0], want.Activity)
}

func absent(t *testing.T, s audit.Store) {
	want := entry("a")
	want.ActorUID, want.TargetUID, want.IPCountry, want.Data, want.UserAgent = "", "", "", "", ""
	add(t, s, want)
	equal(t, all(t, s, audit.Query{})[0], want.Activity)
}

func replay(t *testing.T, s audit.Store) {
	add(t, s, entry("a"), entry("b"))
	changed := entry("a")
	changed.Topic = "other"
	add(t, s, changed, entry("c"), entry("b"))
	rows := all(t, s, audit.Query{})
	if len(rows) != 3 {
		t.Fatalf("got %d rows, want 3", len(rows))
	}
	for _, r := range rows {
		equal(t, r, entry("").Activity)
	}
}

func cut(t *testing.T, s audit.Store) {
	long := entry("a")
	text := strings.Repeat("ü", 300)
	long.UserAgent, long.Topic, long.Action, long.IP, long.IPCountry = text, text, text, text, text
	long.ActorUID, long.ActorRef, long.ActorKind, long.Category, long.Result = text, text, text, text, text
	exact := entry("b")
	exact.UserAgent = strings.Repeat("ü", 255)
	exact.CreatedAt = base.Add(-time.Second)
	add(t, s, long, exact)
	rows := all(t, s, audit.Query{})
	want := strings.Repeat("ü", 254) + "…"
	r := rows[0]
	for _, got := range []string{r.UserAgent, r.Topic, r.Action, r.IP, r.IPCountry, r.ActorUID, r.ActorRef,
		r.ActorKind, r.Category, r.Result} {
		if got != want {
			t.Errorf("got %d characters ending in %q, want 255 ending in an ellipsis",
				utf8.RuneCountInString(got), got[max(0, len(got)-6):])
		}
	}
	equal(t, rows[1], exact.Activity)
}

func noText(t *testing.T, s audit.Store) {
	e := entry("a")
	e.UserAgent, e.TargetUID = "caf\xe9\x00", "ID\x00\xff"
	add(t, s, e)
	r := all(t, s, audit.Query{})[0]
	if !utf8.ValidString(r.UserAgent) || !strings.HasPrefix(r.UserAgent, "caf") {
		t.Errorf("user agent %q, want readable text", r.UserAgent)
	}
	if r.TargetUID != "" || !json.Valid([]byte(r.Data)) {
		t.Errorf("target %q, data %q; want no target, JSON data", r.TargetUID, r.Data)
	}
}

func longData(t *testing.T, s audit.Store) {
	e := entry("a")
	e.Data = `{"x":"` + strings.Repeat("ü", 70000) + `"}`
	add(t, s, e)
	if got := all(t, s, audit.Query{})[0].Data; !json.Valid([]byte(got)) || len(got) > 65535 {
		t.Errorf("got %d bytes %.40q, want JSON within the column", len(got), got)
	}
}

func unknownTarget(t *testing.T, s audit.Store) {
	for n, c := range []struct{ data, want string }{
		{`{"key":"email"}`, `{"key":"email","target_uid":"ID404"}`},
		{"", `{"target_uid":"ID404"}`},
		{`[1]`, `{"data":"[1]","target_uid":"ID404"}`},
		{`null`, `{"target_uid":"ID404"}`},
	} {
		e := entry(fmt.Sprint(n))
		e.TargetUID, e.Data, e.Topic = "ID404", c.data, e.Ref
		add(t, s, e)
		got := all(t, s, audit.Query{Topic: e.Ref})[0]
		e.TargetUID, e.Data = "", c.want
		equal(t, got, e.Activity)
	}
}

func filters(t *testing.T, s audit.Store) {
	other := entry("other")
	other.ActorUID, other.TargetUID, other.Category = "ID2", "", audit.CategoryUser
	other.Topic, other.Action, other.Result = "session", "login", audit.Failed
	mine := entry("mine")
	add(t, s, mine, other)
	for _, q := range []audit.Query{
		{ActorUID: "ID1"}, {TargetUID: Known}, {Category: audit.CategoryAdmin}, {Topic: "labels"},
		{Action: "create"}, {Result: audit.Succeed},
		{ActorUID: "ID1", TargetUID: Known, Category: audit.CategoryAdmin, Topic: "labels", Action: "create",
			Result: audit.Succeed, From: base, To: base.Add(time.Second)},
	} {
		rows := all(t, s, q)
		if len(rows) != 1 {
			t.Fatalf("%+v: got %d rows, want 1", q, len(rows))
		}
		equal(t, rows[0], mine.Activity)
	}
	if rows := all(t, s, audit.Query{ActorUID: "ID1", Topic: "session"}); len(rows) != 0 {
		t.Errorf("conditions are not joined by and: got %d rows", len(rows))
	}
}

func timeRange(t *testing.T, s audit.Store) {
	add(t, s, entry("a"))
	for _, c := range []struct {
		from, to time.Duration
		want     int
	}{{0, time.Microsecond, 1}, {-time.Hour, 0, 0}, {time.Microsecond, time.Hour, 0}} {
		got := len(all(t, s, audit.Query{From: base.Add(c.from), To: base.Add(c.to)}))
		if got != c.want {
			t.Errorf("from %v to %v: got %d rows, want %d", c.from, c.to, got, c.want)
		}
	}
}

func pages(t *testing.T, s audit.Store) {
	for n := range 5 {
		e := entry(fmt.Sprint(n))
		e.Topic = e.Ref
		e.CreatedAt = base.Add(time.Duration(n/2) * time.Second) // some at the same time
		add(t, s, e)
	}
	var got []string
	for offset := 0; offset < 6; offset += 2 {
		rows, n, err := s.Activities(t.Context(), audit.Query{Limit: 2, Offset: offset})
		expect.OK(t, err)
		if n != 5 {
			t.Errorf("got %d in all, want 5", n)
		}
		for _, r := range rows {
			got = append(got, r.Topic)
		}
	}
	if s := strings.Join(got, ""); s != "43210" {
		t.Errorf("got order %s, want 43210", s)
	}
}

func many(t *testing.T, s audit.Store) {
	var rows []audit.Entry
	for n := range 501 {
		rows = append(rows, entry(fmt.Sprint(n)))
	}
	add(t, s, rows...)
	if _, n, err := s.Activities(t.Context(), audit.Query{Limit: 1}); err != nil || n != 501 {
		t.Errorf("got %d, %v; want 501", n, err)
	}
}

func none(t *testing.T, s audit.Store) {
	add(t, s)
	if rows := all(t, s, audit.Query{}); len(rows) != 0 {
		t.Errorf("got %d rows", len(rows))
	}
}
