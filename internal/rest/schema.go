package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Described is implemented by output types whose JSON differs from their fields, as a time in
// its own format: an OpenAPI type and format.
type Described interface {
	DescribeJSON() (typ, format string)
}

// schemas collects the named types of a document.
type schemas struct {
	byName map[string]reflect.Type
	doc    openapi3.Schemas
}

func newSchemas() *schemas {
	return &schemas{byName: map[string]reflect.Type{}, doc: openapi3.Schemas{}}
}

// of returns the schema of an output type: a reference for a named struct, inline
// otherwise. A pointer is nullable; a field without omitempty is always present.
func (s *schemas) of(t reflect.Type) (*openapi3.SchemaRef, error) {
	if t.Kind() == reflect.Pointer {
		ref, err := s.of(t.Elem())
		if err != nil {
			return nil, err
		}
		return nullable(ref), nil
	}
	if d, ok := reflect.Zero(t).Interface().(Described); ok {
		typ, format := d.DescribeJSON()
		return &openapi3.SchemaRef{Value: typed(typ, format)}, nil
	}
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return &openapi3.SchemaRef{Value: openapi3.NewSchema()}, nil
	case reflect.TypeFor[[]byte]():
		return &openapi3.SchemaRef{Value: typed("string", "byte")}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return &openapi3.SchemaRef{Value: typed("string", "")}, nil
	case reflect.Bool:
		return &openapi3.SchemaRef{Value: typed("boolean", "")}, nil
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return &openapi3.SchemaRef{Value: typed("integer", "int64")}, nil
	case reflect.Float64:
		return &openapi3.SchemaRef{Value: typed("number", "double")}, nil
	case reflect.Interface:
		anything := openapi3.NewSchema()
		anything.Nullable = true
		return &openapi3.SchemaRef{Value: anything}, nil
	case reflect.Slice:
		items, err := s.of(t.Elem())
		if err != nil {
			return nil, err
		}
		list := openapi3.NewArraySchema()
		list.Items = items
		return &openapi3.SchemaRef{Value: list}, nil
	case reflect.Map:
		values, err := s.of(t.Elem())
		if err != nil {
			return nil, err
		}
		object := openapi3.NewObjectSchema()
		object.AdditionalProperties = openapi3.AdditionalProperties{Schema: values}
		return &openapi3.SchemaRef{Value: object}, nil
	case reflect.Struct:
		return s.object(t)
	}
	return nil, fmt.Errorf("no schema for %v", t)
}

func (s *schemas) object(t reflect.Type) (*openapi3.SchemaRef, error) {
	name := capital(t.Name())
	if name == "" || strings.Contains(name, "[") {
		o := openapi3.NewObjectSchema()
		return &openapi3.SchemaRef{Value: o}, s.properties(o, t)
	}
	ref := "#/components/schemas/" + name
	if known, ok := s.byName[name]; ok {
		if known != t {
			return nil, fmt.Errorf("%v and %v share a name in the document", known, t)
		}
		return &openapi3.SchemaRef{Ref: ref, Value: s.doc[name].Value}, nil
	}
	o := openapi3.NewObjectSchema()
	s.byName[name] = t
	s.doc[name] = &openapi3.SchemaRef{Value: o}
	return &openapi3.SchemaRef{Ref: ref, Value: o}, s.properties(o, t)
}

func (s *schemas) properties(o *openapi3.Schema, t reflect.Type) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			if err := s.properties(o, f.Type); err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			return fmt.Errorf("%v.%s has no JSON name", t, f.Name)
		}
		ref, err := s.of(f.Type)
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		if doc := f.Tag.Get("doc"); doc != "" && ref.Ref == "" {
			ref.Value.Description = doc
		}
		o.WithPropertyRef(name, ref)
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			continue
		}
		o.Required = append(o.Required, name)
	}
	return nil
}

// nullable wraps references, beside which 3.0 allows no other key.
func nullable(ref *openapi3.SchemaRef) *openapi3.SchemaRef {
	if ref.Ref == "" {
		ref.Value.Nullable = true
		return ref
	}
	s := openapi3.NewAllOfSchema()
	s.AllOf = openapi3.SchemaRefs{ref}
	s.Nullable = true
	return &openapi3.SchemaRef{Value: s}
}

func typed(typ, format string) *openapi3.Schema {
	s := openapi3.NewSchema()
	if typ != "" {
		s.Type = &openapi3.Types{typ}
	}
	s.Format = format
	return s
}

// schema describes one parameter.
func (f *field) schema() *openapi3.Schema {
	s := typed(f.kind.typ, f.kind.format)
	for _, v := range f.enum {
		s.Enum = append(s.Enum, v)
	}
	s.Min, s.Max = bound(f.min), bound(f.max)
	if f.fallback != nil {
		s.Default = f.fallback
		switch f.kind.typ {
		case "integer":
			s.Default = json.Number(f.fallback.(string))
		case "boolean":
			on := reflect.New(reflect.TypeFor[bool]()).Elem()
			setBool(on, f.fallback)
			s.Default = on.Bool()
		}
	}
	if f.nonblank && f.kind.typ == "string" {
		s.MinLength = 1
	}
	if f.secret && f.kind.typ == "string" {
		s.Format = "password"
	}
	if f.kind.typ == "" { // text or object
		s.OneOf = openapi3.SchemaRefs{
			{Value: typed("string", "")}, {Value: openapi3.NewObjectSchema()},
		}
	}
	if f.kind.array {
		list := openapi3.NewArraySchema()
		list.Items = &openapi3.SchemaRef{Value: s}
		s = list
	}
	return s
}

func bound(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}
