package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/expect"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// user is the caller of the groups below, by the header X-User.
type user struct {
	name   string
	passed []string
}

var (
	errNobody = errors.New("nobody")
	errShort  = errors.New("a short name")
	errOdd    = errors.New("an odd name")
)

func users(s *rest.Server, done func(who user, err error)) rest.Group[user] {
	return rest.NewGroup(s, "staff", rest.Guard[user]{
		Admit: func(r *http.Request) (user, error) {
			who := user{name: r.Header.Get("X-User")}
			if who.name == "" {
				return who, errNobody
			}
			return who, nil
		},
		Principal: func(who user) string { return who.name },
		Changes:   limit.Staff,
		Done:      func(_ context.Context, who user, _ any, err error) { done(who, err) },
		Refusals:  rest.On(errNobody, 401, "who"),
	}).At("/rows", "row")
}

func nothing(context.Context, user, rest.None) (rest.None, error) { return rest.None{}, nil }

func newTestServer(t *testing.T, change func(*rest.Config)) *rest.Server {
	t.Helper()
	c := rest.Config{Log: discard(), MaxBody: 1 << 20}
	if change != nil {
		change(&c)
	}
	s, err := rest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The method implies status and cost, for callers that are known; a declaration overrides them.
func TestDefaultsOfAnOp(t *testing.T) {
	s := newTestServer(t, nil)
	g := users(s, func(user, error) {})
	page := func(context.Context, user, rest.Paging) (rest.Page[int], error) { return rest.Page[int]{}, nil }
	rest.Add(g, rest.Op{Method: "GET", Path: "/page", Summary: "x"}, page)
	rest.Add(g, rest.Op{Method: "GET", Path: "/one", Summary: "x"}, nothing)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		rest.Add(g, rest.Op{Method: method, Path: "/one", Summary: "x"}, nothing)
	}
	rest.Add(g, rest.Op{Method: "POST", Path: "/other", Status: 200, Cost: limit.Preview, Summary: "x"}, nothing)
	var got []string
	c := resttest.New(t, s).With("X-User", "ann")
	for _, e := range s.Endpoints() {
		a := c.JSON(t, e.Method, "/api/v2"+e.Path, nil)
		got = append(got, fmt.Sprint(e.Method, " ", e.Path, " ", a.Status, " ", e.Cost))
	}
	expect.Equal(t, got, []string{
		"GET /staff/rows/page 200 list", "GET /staff/rows/one 200 read",
		"POST /staff/rows/one 201 staff", "PUT /staff/rows/one 200 staff", "PATCH /staff/rows/one 200 staff",
		"DELETE /staff/rows/one 204 staff", "POST /staff/rows/other 200 preview",
	})
}

// Narrowing admits fewer, in order, never more, and its checks' callers reach the handler and Done.
func TestNarrow(t *testing.T) {
	s := newTestServer(t, nil)
	var seen []string
	g := users(s, func(who user, err error) { seen = append(seen, fmt.Sprint(who.passed, err)) })
	check := func(name string, bad func(string) bool, refusal error) func(*http.Request, user) (user, error) {
		return func(_ *http.Request, who user) (user, error) {
			who.passed = append(slices.Clone(who.passed), name)
			if bad(who.name) {
				return who, refusal
			}
			return who, nil
		}
	}
	long := g.Narrow(check("long", func(s string) bool { return len(s) < 3 }, errShort), rest.On(errShort, 403, ".short"))
	even := long.Narrow(check("even", func(s string) bool { return len(s)%2 == 1 }, errOdd), rest.On(errOdd, 403, ".odd"))
	for path, g := range map[string]rest.Group[user]{"/any": g, "/long": long, "/even": even} {
		rest.Add(g, rest.Op{Method: "GET", Path: path, Summary: "x"},
			func(_ context.Context, who user, _ rest.None) (string, error) {
				return strings.Join(who.passed, " "), nil
			})
	}
	c := resttest.New(t, s)
	for _, test := range []struct{ user, path, want, done string }{
		{"", "/any", "401 who", ""}, {"", "/even", "401 who", ""},
		{"al", "/any", `200 ""`, "[] <nil>"}, {"al", "/long", "403 staff.row.short", "[long] a short name"},
		{"al", "/even", "403 staff.row.short", "[long] a short name"},
		{"ann", "/long", `200 "long"`, "[long] <nil>"}, {"ann", "/even", "403 staff.row.odd", "[long even] an odd name"},
		{"anna", "/even", `200 "long even"`, "[long even] <nil>"},
	} {
		seen = nil
		a := c.With("X-User", test.user).Get(t, "/api/v2/staff/rows"+test.path)
		status, want, _ := strings.Cut(test.want, " ")
		if !strings.HasPrefix(want, `"`) {
			want = `{"errors":["` + want + `"]}`
		}
		if itoa(a.Status) != status || a.Body != want {
			t.Errorf("%q %s: got %d %s, want %s", test.user, test.path, a.Status, a.Body, test.want)
		}
		if got := strings.Join(seen, ";"); got != test.done {
			t.Errorf("%q %s: Done got %q, want %q", test.user, test.path, got, test.done)
		}
	}
}

// Failures come from the endpoint, then the group, then the guard; the first of an error counts.
// Tokens with a dot continue the group's name, unless the set was put under another.
func TestFailureSets(t *testing.T) {
	s := newTestServer(t, nil)
	a, b := errors.New("a"), errors.New("b")
	shared := rest.All(rest.On(a, 404, ".a"), rest.All(rest.On(b, 409, ".b"), rest.Failure{}), rest.All())
	g := users(s, func(user, error) {}).Failing(shared)
	errs := map[string]error{
		"a": fmt.Errorf("deep: %w", a), "b": b, "nobody": errNobody,
		"wait": limit.TooMany{RetryAfter: 2100 * time.Millisecond}, "rules": rules{".same", "state.bad", "other"},
	}
	type which struct {
		Err string `name:"err"`
	}
	call := func(_ context.Context, _ user, in which) (rest.None, error) { return rest.None{}, errs[in.Err] }
	rest.Add(g, rest.Op{Method: "POST", Path: "/plain", Summary: "x", Errors: rest.All(
		rest.Rule("state.bad", ".bad_state"), rest.Rules(".same", "other"))}, call)
	rest.Add(g, rest.Op{Method: "POST", Path: "/own", Summary: "x", Errors: rest.All(
		rest.On(a, 410, ".gone"), shared.Under("old.name"), rest.TooMany().Under("old.name"),
		rest.Rules(".same", "state.bad", "other"))}, call)
	c := resttest.New(t, s).With("X-User", "ann")
	for _, test := range []struct {
		path, err, tokens string
		status            int
		after             string
	}{
		{"/plain", "a", "staff.row.a", 404, ""}, {"/plain", "b", "staff.row.b", 409, ""},
		{"/plain", "nobody", "who", 401, ""}, {"/plain", "wait", "staff.row.too_many_requests", 429, "3"},
		{"/plain", "rules", "staff.row.same staff.row.bad_state other", 422, ""},
		{"/own", "a", "staff.row.gone", 410, ""}, {"/own", "b", "old.name.b", 409, ""},
		{"/own", "wait", "old.name.too_many_requests", 429, "3"},
		{"/own", "rules", "staff.row.same state.bad other", 422, ""},
	} {
		got := c.JSON(t, "POST", "/api/v2/staff/rows"+test.path, map[string]any{"err": test.err})
		got.WantTokens(t, test.status, strings.Fields(test.tokens)...)
		if after := got.Header.Get("Retry-After"); after != test.after {
			t.Errorf("%s %s: Retry-After %q, want %q", test.path, test.err, after, test.after)
		}
	}
}

// shade is a parameter type that knows its values.
type shade string

func (shade) Values() ([]string, string) { return []string{"dark", "light"}, ".no_shade" }

func TestValuedParameters(t *testing.T) {
	type paint struct {
		One   shade  `name:"one" rule:"required,nonblank"`
		Maybe *shade `name:"maybe" rule:"nonblank" value:"own.shade"`
	}
	s := newTestServer(t, nil)
	g := users(s, func(user, error) {})
	rest.Add(g, rest.Op{Method: "POST", Status: 200, Summary: "x"},
		func(_ context.Context, _ user, in paint) (string, error) {
			if in.Maybe != nil {
				return string(in.One + " " + *in.Maybe), nil
			}
			return string(in.One), nil
		})
	c := resttest.New(t, s).With("X-User", "ann")
	const at = "/api/v2/staff/rows"
	c.JSON(t, "POST", at, map[string]any{"one": "dark", "maybe": "light"}).Want(t, 200, `"dark light"`)
	c.JSON(t, "POST", at, map[string]any{"one": "dark"}).Want(t, 200, `"dark"`)
	c.JSON(t, "POST", at, map[string]any{"one": "pale", "maybe": "red"}).WantTokens(t, 422, "staff.row.no_shade", "own.shade")
	c.JSON(t, "POST", at, nil).WantTokens(t, 400, "staff.row.missing_one", "staff.row.empty_one", "staff.row.no_shade")
	doc, err := s.Document("T", "1")
	if err != nil {
		t.Fatal(err)
	}
	body := doc.Paths.Find("/staff/rows").Post.RequestBody.Value.Content["application/json"].Schema.Value
	for _, name := range []string{"one", "maybe"} {
		expect.Equal(t, body.Properties[name].Value.Enum, []any{"dark", "light"})
	}
}

func TestPageOf(t *testing.T) {
	at := rest.Paging{Page: 2, Limit: 3}
	got := rest.PageOf([]int{4, 5}, 5, at, itoa)
	expect.Equal(t, got, rest.Page[string]{Items: []string{"4", "5"}, Total: 5, Paging: at})
	if none := rest.PageOf(nil, 0, at, itoa); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("of nothing: %#v", none.Items)
	}
}
