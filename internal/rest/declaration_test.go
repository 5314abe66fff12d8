package rest_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"barong/internal/limit"
	"barong/internal/rest"
)

func ptr[T any](v T) *T { return &v }

func itoa(n int) string { return strconv.Itoa(n) }

// A declaration that contradicts itself must not reach production.
func TestAddPanics(t *testing.T) {
	op := rest.Op{Cost: limit.Read, Method: "GET", Path: "/{kid}", Status: 200, Summary: "x"}
	for name, add := range map[string]func(rest.Group[struct{}]){
		"a path parameter without a field": func(g rest.Group[struct{}]) { rest.Add(g, op, call[rest.None]()) },
		"a field without a name": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct{ Kid string }]())
		},
		"one name twice": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A string `name:"kid"`
				B string `name:"kid"`
			}]())
		},
		"a secret that does not say where it may be (D19)": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A string `name:"kid"`
				B string `name:"totp_code"`
			}]())
		},
		"a GET parameter from the body only": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A string `name:"kid"`
				B string `name:"password" in:"body"`
			}]())
		},
		"a type that no parameter has": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A float32 `name:"kid"`
			}]())
		},
		"an unknown rule": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A string `name:"kid" rule:"require"`
			}]())
		},
		"a default that does not fit": func(g rest.Group[struct{}]) {
			rest.Add(g, op, call[struct {
				A int `name:"kid" default:"x"`
			}]())
		},
		"a failure without a token": func(g rest.Group[struct{}]) {
			bad := op
			bad.Path, bad.Errors = "", rest.On(errGone, 404)
			rest.Add(g, bad, call[rest.None]())
		},
		"an endpoint that does not say what it costs": func(g rest.Group[struct{}]) {
			free := rest.Op{Method: "GET", Status: 200, Summary: "x"}
			rest.Add(g, free, call[rest.None]())
		},
		"a cost that is none": func(g rest.Group[struct{}]) {
			odd := rest.Op{Method: "GET", Status: 200, Summary: "x", Cost: 1 << 15}
			rest.Add(g, odd, call[rest.None]())
		},
		"a group that no guard made": func(rest.Group[struct{}]) {
			rest.Add(rest.Group[struct{}]{}, rest.Op{Cost: limit.Read, Method: "GET", Summary: "x"}, call[rest.None]())
		},
		"a guard that admits nobody": func(rest.Group[struct{}]) {
			rest.NewGroup(new(rest.Server), "x", rest.Guard[struct{}]{})
		},
		"no handler": func(g rest.Group[struct{}]) {
			var none func(context.Context, struct{}, rest.None) (rest.None, error)
			rest.Add(g, rest.Op{Cost: limit.Read, Method: "GET", Summary: "x"}, none)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if recover() == nil {
					t.Error("Add accepted it")
				}
			}()
			add(rest.NewGroup(s, "x", nobody))
		})
	}
}

func call[I any]() func(context.Context, struct{}, I) (rest.None, error) {
	return func(context.Context, struct{}, I) (rest.None, error) { return rest.None{}, nil }
}

func TestDocument(t *testing.T) {
	s := newServer(t, io.Discard, nil)
	doc, err := s.Document("T", "1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openapi3.NewLoader().LoadFromData(b); err != nil {
		t.Errorf("another reader of the document: %v", err)
	}
	for _, want := range []string{
		`"openapi":"3.0.3"`, `"operationId":"deleteResourceThingsKey"`, `"resource.thing.missing_need"`,
		`"own.ordering"`, `"application/x-www-form-urlencoded"`, `"#/components/responses/ServerError"`,
		`"Per-Page"`, `"kid.blank"`, `"Connection error"`, `"bearer"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	del := doc.Paths.Value("/resource/things/{key}").Delete
	for _, name := range []string{"need", "code", "page"} {
		if del.Parameters.GetByInAndName("query", name) == nil {
			t.Errorf("DELETE: parameter %s is not in the query", name)
		}
	}
	if del.Parameters.GetByInAndName("query", "password") != nil {
		t.Error("D19: the document offers a secret in the query")
	}
	none, err := s.Document("T", "1", "identity")
	if err != nil || none.Paths.Len() != 0 {
		t.Errorf("another namespace: got %d paths, %v", none.Paths.Len(), err)
	}
}

// Where an endpoint has a 503 of its own, its document still says that any endpoint may be out of order.
func TestDocumentOfAnOwnOutage(t *testing.T) {
	s := newServer(t, io.Discard, nil)
	rest.Add(rest.NewGroup(s, "own", nobody).At("", "own"), rest.Op{
		Cost: limit.Read, Method: "GET", Path: "/late", Status: 200, Summary: "x",
		Errors: rest.On(context.Canceled, 503, "own.late"),
	}, call[rest.None]())
	doc, err := s.Document("T", "1", "own")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc.Paths.Value("/own/late").Get.Responses.Value("503"))
	if err != nil || !strings.Contains(string(b), `["own.late","server.internal_error"]`) {
		t.Errorf("503: got %s, %v; want both tokens", b, err)
	}
}
