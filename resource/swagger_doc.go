package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"barong/internal/limit"
	"barong/internal/rest"
)

// description is an OpenAPI document.
type description struct{ json.RawMessage }

// DescribeJSON implements rest.Described.
func (description) DescribeJSON() (typ, format string) { return "object", "" }

type part struct {
	Name   rest.Lenient `name:"name" doc:"The segment after resource: labels, api_keys, users."`
	Locale rest.Lenient `name:"locale" doc:"Ignored: the document is in English."`
}

// errNoPart says that the namespace has no part of that name.
var errNoPart = errors.New("resource: no such part of the API")

// swaggerDoc describes the namespace to everybody, as `barong openapi` does. The documents are made
// when the first of them is asked for: the server is fully mounted by then.
func (a *API) swaggerDoc(s *rest.Server) {
	g := rest.NewGroup(s, "resource", rest.Guard[rest.None]{
		Admit: func(*http.Request) (rest.None, error) { return rest.None{}, nil },
	}).At("/swagger_doc", "swagger_doc")
	documents := sync.OnceValues(func() (map[string]description, error) { return describe(s) })
	read := func(name string) (description, error) {
		all, err := documents()
		if err != nil {
			return description{}, err
		}
		one, ok := all[name]
		if !ok {
			return description{}, errNoPart
		}
		return one, nil
	}
	rest.Add(g, rest.Op{
		Method: "GET", Cost: limit.List, Summary: "Read the OpenAPI document of the resource namespace.",
	}, func(context.Context, rest.None, rest.None) (description, error) { return read("") })
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/{name}", Cost: limit.List, Summary: "Read the OpenAPI document of one part of the resource namespace.",
		Errors: rest.On(errNoPart, 404, "record.not_found"),
	}, func(_ context.Context, _ rest.None, in part) (description, error) {
		if in.Name == "" {
			return description{}, errNoPart
		}
		return read(string(in.Name))
	})
}

// describe returns the document of the namespace under "", and that of each part under its name.
func describe(s *rest.Server) (map[string]description, error) {
	all := map[string]description{}
	add := func(name, path string) error {
		doc, err := s.Document("Barong resource API", "2", path)
		if err != nil {
			return fmt.Errorf("describe %s: %w", path, err)
		}
		text, err := json.Marshal(doc)
		all[name] = description{text}
		return err
	}
	if err := add("", "resource"); err != nil {
		return nil, err
	}
	for _, e := range s.Endpoints() {
		below, ours := strings.CutPrefix(e.Path, "/resource/")
		name, _, _ := strings.Cut(below, "/")
		if _, known := all[name]; !ours || known {
			continue
		}
		if err := add(name, "resource/"+name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
