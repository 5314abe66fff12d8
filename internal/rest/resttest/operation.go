package resttest

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// An Operation is a documented endpoint with its parameters.
type Operation struct {
	Method, Path string // the path without a prefix, its parameters in braces
	Params       []Param
}

// A Param is one parameter; In is "path", "query", "header" or "body".
type Param struct {
	Name, In string
	Schema   *openapi3.Schema
	Required bool
}

// Operations lists those of some namespaces, in order.
func (c *Client) Operations(namespaces ...string) (all []Operation) {
	for path, item := range c.doc.Paths.Map() {
		if !slices.Contains(namespaces, namespaceOf(path)) {
			continue
		}
		for method, op := range item.Operations() {
			all = append(all, Operation{method, path, paramsOf(op)})
		}
	}
	slices.SortFunc(all, func(a, b Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return all
}

func paramsOf(op *openapi3.Operation) (all []Param) {
	for _, p := range op.Parameters {
		all = append(all, Param{p.Value.Name, p.Value.In, p.Value.Schema.Value, p.Value.Required})
	}
	if op.RequestBody == nil {
		return all
	}
	for _, media := range op.RequestBody.Value.Content {
		body := media.Schema.Value
		for _, name := range slices.Sorted(maps.Keys(body.Properties)) {
			all = append(all, Param{name, "body", body.Properties[name].Value, slices.Contains(body.Required, name)})
		}
		break // each media type has the same
	}
	return all
}

func (o Operation) String() string { return o.Method + " " + o.Path }

// Has reports whether o has a parameter.
func (o Operation) Has(name string) bool {
	return slices.ContainsFunc(o.Params, func(p Param) bool { return p.Name == name })
}

// Request puts values where the document has their parameters: into the path below base, the query
// and the body. Values without a parameter are left out; headers are the caller's.
func (o Operation) Request(base string, values map[string]any) (target string, body map[string]any) {
	path, query := o.Path, url.Values{}
	for _, p := range o.Params {
		v, ok := values[p.Name]
		if !ok {
			continue
		}
		switch p.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(v)))
		case "query":
			query.Set(p.Name, fmt.Sprint(v))
		case "body":
			if body == nil {
				body = map[string]any{}
			}
			body[p.Name] = v
		}
	}
	if target = base + path; len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target, body
}
