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

func TestWithSetsEveryCookie(t *testing.T) {
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	type jar struct {
		One  string   `name:"one"`
		More []string `name:"more"`
	}
	rest.Add(s.Group("jars").At("", "jar"), rest.Op{Cost: limit.Read, Method: http.MethodGet, Path: "/jar", Status: 200, Summary: "Cookies."},
		rest.Guarded(rest.Guard[struct{}]{Admit: func(*http.Request) (struct{}, error) { return struct{}{}, nil }},
			func(_ context.Context, _ struct{}, in jar) (rest.With[string], error) {
				return rest.With[string]{Body: "b", SetCookie: in.One, SetCookies: in.More}, nil
			}))
	for query, want := range map[string][]string{
		"":                                   nil,
		"one=a%3D1":                          {"a=1"},
		"one=a%3D1&more[]=b%3D2&more[]=c%3D": {"a=1", "b=2", "c="},
		"more[]=&more[]=b%3D2":               {"b=2"},
	} {
		if got := resttest.New(t, s).Get(t, "/api/v2/jars/jar?"+query).Header.Values("Set-Cookie"); !slices.Equal(got, want) {
			t.Errorf("%q: set %q, want %q", query, got, want)
		}
	}
}
