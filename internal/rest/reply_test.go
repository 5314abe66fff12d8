package rest_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

type stamped struct {
	Version int64  `header:"X-Version" doc:"Which one."`
	Note    string `header:"X-Note" doc:"A note."`
}

type conditional struct {
	Kind    string  `name:"kind" rule:"required,value,nonblank" enum:"a,b" value:"bad_kind"`
	Color   string  `name:"color" rule:"required,nonblank" enum:"red" value:"bad_color"`
	IfMatch *string `name:"If-Match" in:"header" doc:"The version that is meant."`
}

// anyone is a group that admits everybody.
func anyone(s *rest.Server) rest.Group[string] {
	return rest.NewGroup(s, "test", rest.Guard[string]{
		Admit: func(*http.Request) (string, error) { return "", nil },
	}).At("/things", "thing")
}

// Headers of outputs and inputs are sent, read from nowhere else, and in the document.
func TestDeclaredHeaders(t *testing.T) {
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var got *string
	g := anyone(s)
	for _, status := range []int{http.StatusOK, http.StatusNoContent} {
		method := map[int]string{200: "PUT", 204: "DELETE"}[status]
		rest.Add(g, rest.Op{Cost: limit.Read, Method: method, Status: status, Summary: "Change."},
			func(_ context.Context, _ string, in conditional) (out rest.Reply[rest.None, stamped], err error) {
				got = in.IfMatch
				out.Header.Version = 7
				return out, nil
			})
	}
	c := resttest.New(t, s)
	good := map[string]any{"kind": "a", "color": "red", "If-Match": "from the body"}
	a := c.JSON(t, "PUT", "/api/v2/test/things?If-Match=query", good)
	a.Want(t, 200, `200`)
	if a.Header.Get("X-Version") != "7" || a.Header.Values("X-Note") != nil {
		t.Errorf("got headers %v, want X-Version alone", a.Header)
	}
	if got != nil {
		t.Errorf("If-Match: got %q without the header", *got)
	}
	a = c.With("If-Match", `"1"`).JSON(t, "DELETE", "/api/v2/test/things", good)
	a.Want(t, 204, "")
	if a.Header.Get("X-Version") != "7" || got == nil || *got != `"1"` {
		t.Errorf("got %v and If-Match %v", a.Header, got)
	}

	doc, err := s.Document("test", "0")
	if err != nil {
		t.Fatal(err)
	}
	op := doc.Paths.Find("/test/things").Put
	if p := op.Parameters.GetByInAndName("header", "If-Match"); p == nil || p.Required {
		t.Errorf("the document has If-Match as %+v", p)
	}
	if h := op.Responses.Status(200).Value.Headers; h["X-Version"] == nil || h["X-Note"] == nil {
		t.Errorf("the document has headers %v", h)
	}
	if op.RequestBody.Value.Content["application/json"].Schema.Value.Properties["If-Match"] != nil {
		t.Error("the document has If-Match in the body")
	}
}

// "value" before "nonblank" turns the order of their tokens.
func TestValueFirst(t *testing.T) {
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	rest.Add(anyone(s), rest.Op{Cost: limit.Read, Method: "POST", Status: 200, Summary: "Make."},
		func(context.Context, string, conditional) (rest.None, error) { return rest.None{}, nil })
	c := resttest.New(t, s)
	c.JSON(t, "POST", "/api/v2/test/things", nil).WantTokens(t, 400,
		"test.thing.missing_kind", "bad_kind", "test.thing.empty_kind",
		"test.thing.missing_color", "test.thing.empty_color", "bad_color")
}

type choice struct {
	UID   string  `name:"uid" rule:"required"`
	State *string `name:"state" rule:"nonblank" oneof:"test.thing.one_of"`
	On    *bool   `name:"on" oneof:"test.thing.one_of"`
}

// Parameters with one "oneof" token: exactly one is sent, blank or not; reported last.
func TestOneOf(t *testing.T) {
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	rest.Add(anyone(s), rest.Op{Cost: limit.Read, Method: "POST", Status: 200, Summary: "Choose."},
		func(context.Context, string, choice) (rest.None, error) { return rest.None{}, nil })
	c := resttest.New(t, s)
	for name, test := range map[string]struct {
		target, body string
		status       int
		tokens       []string
	}{
		"one":                        {"", `{"uid":"a","state":"b"}`, 200, nil},
		"the other, false":           {"", `{"uid":"a","on":false}`, 200, nil},
		"one in the query":           {"?state=b", `{"uid":"a"}`, 200, nil},
		"none":                       {"", `{"uid":"a"}`, 422, []string{"test.thing.one_of"}},
		"both":                       {"", `{"uid":"a","state":"b","on":true}`, 422, []string{"test.thing.one_of"}},
		"one in each place":          {"?on=1", `{"uid":"a","state":"b"}`, 422, []string{"test.thing.one_of"}},
		"both, one of them null":     {"", `{"uid":"a","state":null,"on":true}`, 422, []string{"test.thing.empty_state", "test.thing.one_of"}},
		"one, but blank":             {"", `{"uid":"a","state":" "}`, 422, []string{"test.thing.empty_state"}},
		"none and something missing": {"", `{}`, 422, []string{"test.thing.missing_uid", "test.thing.one_of"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.Send(t, "POST", "/api/v2/test/things"+test.target, "application/json", test.body)
			if test.status == 200 {
				a.Want(t, 200, `200`)
				return
			}
			a.WantTokens(t, test.status, test.tokens...)
		})
	}
}

func TestReplySetsEveryCookie(t *testing.T) {
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	type jar struct {
		Set []string `name:"set"`
	}
	rest.Add(anyone(s), rest.Op{Cost: limit.Read, Method: "GET", Summary: "Cookies."},
		func(_ context.Context, _ string, in jar) (rest.Reply[string, rest.Cookies], error) {
			return rest.Reply[string, rest.Cookies]{Body: "b", Header: rest.Cookies(in)}, nil
		})
	for query, want := range map[string][]string{
		"":                                   nil,
		"set=a%3D1":                          {"a=1"},
		"set[]=a%3D1&set[]=b%3D2&set[]=c%3D": {"a=1", "b=2", "c="},
		"set[]=&set[]=b%3D2":                 {"b=2"},
	} {
		if got := resttest.New(t, s).Get(t, "/api/v2/test/things?"+query).Header.Values("Set-Cookie"); !slices.Equal(got, want) {
			t.Errorf("%q: set %q, want %q", query, got, want)
		}
	}
}
