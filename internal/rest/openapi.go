package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Document is the OpenAPI 3.0.3 document of everything mounted at or below the paths, which have no
// prefix ("identity", "resource/labels"), or of all when none is named. It is validated; an error means
// that a declaration cannot be described.
func (s *Server) Document(title, version string, paths ...string) (*openapi3.T, error) {
	types := newSchemas()
	doc := &openapi3.T{
		OpenAPI: "3.0.3",
		Info:    &openapi3.Info{Title: title, Version: version},
		Paths:   openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: types.doc, Responses: openapi3.ResponseBodies{},
			SecuritySchemes: openapi3.SecuritySchemes{},
		},
	}
	for _, p := range s.config.Prefixes {
		doc.Servers = append(doc.Servers, &openapi3.Server{URL: p})
	}
	shared := sharedResponses()
	for _, x := range shared {
		doc.Components.Responses[x.name] = &openapi3.ResponseRef{Value: x.response}
	}
	for _, e := range s.endpoints {
		if len(paths) > 0 && !slices.ContainsFunc(paths, e.below) {
			continue
		}
		o, err := e.operation(types)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", e, err)
		}
		for _, x := range shared {
			if o.Responses.Value(x.status) == nil && !(e.sourced && x.name == mediaResponse) {
				o.Responses.Set(x.status, &openapi3.ResponseRef{
					Ref: "#/components/responses/" + x.name, Value: x.response,
				})
			}
		}
		for _, x := range e.schemes {
			doc.Components.SecuritySchemes[x.Name] = &openapi3.SecuritySchemeRef{Value: &openapi3.SecurityScheme{
				Type: x.Type, Scheme: x.Scheme, In: x.In, Name: x.Key, Description: x.Description,
			}}
		}
		doc.AddOperation(e.path, e.op.Method, o)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("validate the document: %w", err)
	}
	return doc, nil
}

// below reports whether e is mounted at or below a path.
func (e *endpoint) below(path string) bool { return strings.HasPrefix(e.path+"/", "/"+path+"/") }

// mediaResponse is the shared response to a body of another type, which endpoints do not give whose
// guard reads the body.
const mediaResponse = "UnsupportedMediaType"

type sharedResponse struct {
	status, name string
	response     *openapi3.Response
}

// sharedResponses are the responses that any endpoint may give.
func sharedResponses() []sharedResponse {
	response := func(description string, body *openapi3.Schema) *openapi3.Response {
		return openapi3.NewResponse().WithDescription(description).
			WithContent(openapi3.NewContentWithJSONSchema(body))
	}
	large := response("The body is too large.", errorsSchema([]string{tokenTooLarge}))
	media := response("The body's media type is not supported.", textSchema("The provided content-type 'text/plain' is not supported."))
	broken := response("Something failed on our side; try again later when it is 503.", errorsSchema([]string{tokenInternal}))
	return []sharedResponse{
		{"413", "BodyTooLarge", large}, {"415", mediaResponse, media},
		{"500", "ServerError", broken}, {"503", "ServerError", broken},
	}
}

func (e *endpoint) operation(types *schemas) (*openapi3.Operation, error) {
	o := openapi3.NewOperation()
	o.OperationID = e.id()
	o.Summary = e.op.Summary
	o.Tags = []string{e.namespace}
	o.Security = openapi3.NewSecurityRequirements()
	for _, x := range e.schemes {
		o.Security.With(openapi3.NewSecurityRequirement().Authenticate(x.Name))
	}
	e.parameters(o, types)
	return o, e.responses(o, types)
}

// id is the operation's name in generated clients: "postResourceApiKeys".
func (e *endpoint) id() string {
	id := strings.ToLower(e.op.Method)
	for _, word := range strings.FieldsFunc(e.path, func(r rune) bool {
		return strings.ContainsRune("/{}_-.", r)
	}) {
		id += capital(word)
	}
	return id
}

// parameters describes fields where the old documents have them: in the query for GET and
// DELETE, else in the body. The other place works too where a field's tag allows it.
func (e *endpoint) parameters(o *openapi3.Operation, types *schemas) {
	inQuery := !e.sourced && (e.op.Method == http.MethodGet || e.op.Method == http.MethodDelete)
	body := openapi3.NewObjectSchema()
	for _, f := range e.in.fields {
		switch {
		case f.in == inRaw:
		case f.in == "path":
			o.AddParameter(openapi3.NewPathParameter(f.name).WithSchema(f.schema()).WithDescription(f.doc))
		case f.in == "header":
			o.AddParameter(openapi3.NewHeaderParameter(f.name).WithSchema(f.schema()).
				WithDescription(f.doc).WithRequired(f.required))
		case inQuery && f.in != "body":
			o.AddParameter(openapi3.NewQueryParameter(f.name).WithSchema(f.schema()).
				WithDescription(f.doc).WithRequired(f.required))
		default:
			property := f.schema()
			property.Description = f.doc
			body.WithProperty(f.name, property)
			if f.required {
				body.Required = append(body.Required, f.name)
			}
		}
	}
	if len(body.Properties) == 0 {
		return
	}
	name := capital(e.id()) + "Params"
	types.doc[name] = &openapi3.SchemaRef{Value: body}
	ref := &openapi3.SchemaRef{Ref: "#/components/schemas/" + name, Value: body}
	media := []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}
	if e.sourced {
		media = media[:1]
	}
	o.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().
		WithRequired(len(body.Required) > 0 || e.sourced).WithDescription(e.sourceDoc).
		WithContent(openapi3.NewContentWithSchemaRef(ref, media))}
}

func (e *endpoint) responses(o *openapi3.Operation, types *schemas) error {
	o.Responses = openapi3.NewResponsesWithCapacity(8)
	said := http.StatusText(e.op.Status)
	if other := e.op.Reference; other != 0 {
		said += fmt.Sprintf(". The setting success_status makes it %d.", other)
	}
	ok := openapi3.NewResponse().WithDescription(said)
	t, more := e.out, map[string]string(nil)
	for {
		r, replies := reflect.Zero(t).Interface().(reply)
		if !replies {
			break
		}
		inner, these := r.body()
		t, more = inner, merged(more, these)
	}
	switch {
	case e.op.Status == http.StatusNoContent:
	case t == reflect.TypeFor[Attachment]():
		ok.Content = attachmentContent()
		more = attachmentHeaders
	case t == reflect.TypeFor[None]():
		number := openapi3.NewIntegerSchema().WithEnum(e.op.Status)
		ok.WithContent(openapi3.NewContentWithJSONSchema(number))
	default:
		ref, err := types.of(t)
		if err != nil {
			return err
		}
		ok.WithContent(openapi3.NewContentWithJSONSchemaRef(ref))
	}
	ok.Headers = headers(more)
	o.Responses.Set(strconv.Itoa(e.op.Status), &openapi3.ResponseRef{Value: ok})
	return e.refusals(o, types)
}

// headers describes answer headers by name.
func headers(docs map[string]string) openapi3.Headers {
	out := openapi3.Headers{}
	for name, doc := range docs {
		out[name] = &openapi3.HeaderRef{Value: &openapi3.Header{Parameter: openapi3.Parameter{
			Description: doc, Schema: openapi3.NewSchemaRef("", openapi3.NewStringSchema()),
		}}}
	}
	return out
}

// A shape is all that is known of the refusals with one status.
type shape struct {
	tokens, texts []string
	bare          bool
	headers       map[string]string
	worded        []any // bodies of a Wording
}

// refusals describes every failure, by status: the bodies that the client may read.
func (e *endpoint) refusals(o *openapi3.Operation, types *schemas) error {
	shapes := map[int]*shape{}
	at := func(status int) *shape {
		if shapes[status] == nil {
			shapes[status] = &shape{headers: map[string]string{}}
		}
		return shapes[status]
	}
	add := func(status int, tokens ...string) {
		for _, t := range tokens {
			if s := at(status); !slices.Contains(s.tokens, t) {
				s.tokens = append(s.tokens, t)
			}
		}
	}
	say := func(status int, body any) { at(status).worded = append(at(status).worded, body) }
	if add(http.StatusBadRequest, tokenJSON); !e.sourced {
		add(http.StatusBadRequest, tokenForm, tokenQuery)
	}
	for _, p := range e.in.problems() {
		if e.wording.Params != nil {
			say(e.wording.Params([]Problem{p}))
			continue
		}
		if p.absence {
			add(http.StatusBadRequest, p.Token)
		}
		add(http.StatusUnprocessableEntity, p.Token)
	}
	for _, f := range e.failures {
		if f.accepts != nil {
			ref, err := types.of(f.body)
			if err != nil {
				return err
			}
			accepted := openapi3.NewResponse().WithDescription(http.StatusText(f.status)).WithJSONSchemaRef(ref)
			accepted.Headers = headers(map[string]string{"Location": "The path where the call can be looked after."})
			o.Responses.Set(strconv.Itoa(f.status), &openapi3.ResponseRef{Value: accepted})
			continue
		}
		s := at(f.status)
		if f.waits {
			s.headers["Retry-After"] = "Seconds to wait."
		}
		if f.header.name != "" {
			s.headers[f.header.name] = f.header.doc
		}
		switch {
		case f.bare:
			s.bare = true
		case f.text != "":
			s.texts = append(s.texts, f.text)
		case f.err == nil && e.wording.Rules != nil:
			for _, t := range f.tokens {
				say(e.wording.Rules([]string{t}))
			}
		default:
			add(f.status, f.tokens...)
		}
	}
	for status, token := range map[int]string{
		http.StatusRequestEntityTooLarge: tokenTooLarge,
		http.StatusInternalServerError:   tokenInternal, http.StatusServiceUnavailable: tokenInternal,
	} {
		if shapes[status] != nil { // the endpoint's own response stands in for the shared one
			add(status, token)
		}
	}
	for status, s := range shapes {
		if len(s.tokens)+len(s.texts)+len(s.worded) == 0 && !s.bare {
			continue // all that has it is worded with another
		}
		r, err := s.response(status, types)
		if err != nil {
			return err
		}
		o.Responses.Set(strconv.Itoa(status), &openapi3.ResponseRef{Value: r})
	}
	return nil
}

// response describes the refusals with a status.
func (s *shape) response(status int, types *schemas) (*openapi3.Response, error) {
	var bodies openapi3.SchemaRefs
	if s.tokens != nil {
		bodies = append(bodies, &openapi3.SchemaRef{Value: errorsSchema(s.tokens)})
	}
	if s.texts != nil {
		bodies = append(bodies, &openapi3.SchemaRef{Value: textSchema(s.texts[0])})
	}
	if s.bare {
		bodies = append(bodies, &openapi3.SchemaRef{Value: openapi3.NewIntegerSchema().WithEnum(status)})
	}
	examples := openapi3.Examples{}
	var seen []reflect.Type
	for i, body := range s.worded {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		var example any
		if err := json.Unmarshal(text, &example); err != nil {
			return nil, err
		}
		examples[strconv.Itoa(i+1)] = &openapi3.ExampleRef{Value: openapi3.NewExample(example)}
		t := reflect.TypeOf(body)
		if slices.Contains(seen, t) {
			continue
		}
		seen = append(seen, t)
		ref, err := types.of(t)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, ref)
	}
	body := bodies[0]
	if len(bodies) > 1 {
		body = &openapi3.SchemaRef{Value: &openapi3.Schema{AnyOf: bodies}}
		if len(seen) == 0 { // no two of ours fit one body
			body.Value = &openapi3.Schema{OneOf: bodies}
		}
	}
	r := openapi3.NewResponse().WithDescription(http.StatusText(status)).
		WithContent(openapi3.NewContentWithJSONSchemaRef(body))
	if len(examples) > 0 {
		r.Content.Get("application/json").Examples = examples
	}
	if len(s.headers) > 0 {
		r.Headers = headers(s.headers)
	}
	return r, nil
}

// problems lists the problems that bind can report, in order.
func (pl *plan) problems() (out []Problem) {
	for _, f := range pl.fields {
		absent := f.required && f.in != "path" // a path without it leads elsewhere
		if absent {
			out = append(out, f.problem(Missing, true))
		}
		if !f.kind.anything {
			blankIsNone := f.kind.typ == "integer" || f.kind.typ == "boolean" || f.kind.format == "date"
			out = append(out, f.problem(Mistyped, absent && blankIsNone))
		}
		if f.nonblank {
			out = append(out, f.problem(Blank, absent))
		}
		if f.enum != nil || f.min != nil || f.max != nil {
			out = append(out, f.problem(Unlisted, absent))
		}
	}
	for _, g := range pl.groups() {
		var all []string
		for _, f := range g.fields {
			all = append(all, f.name)
		}
		out = append(out, Problem{Breach: g.none, Params: all, Token: g.token, Named: true})
		if g.none == NoneOf {
			out = append(out, Problem{Breach: SeveralOf, Params: all, Token: g.token, Named: true})
		}
	}
	return out
}

// errorsSchema is the body of a refusal with any of these tokens.
func errorsSchema(tokens []string) *openapi3.Schema {
	one := openapi3.NewStringSchema()
	var open openapi3.SchemaRefs
	for _, t := range tokens {
		if before, after, ok := strings.Cut(t, TokenWord); ok {
			word := openapi3.NewStringSchema().WithPattern("^" + regexp.QuoteMeta(before) + "[a-z0-9]*" + regexp.QuoteMeta(after) + "$")
			open = append(open, &openapi3.SchemaRef{Value: word})
			continue
		}
		one.Enum = append(one.Enum, t)
	}
	if open != nil {
		one = &openapi3.Schema{AnyOf: append(open, &openapi3.SchemaRef{Value: one})}
	}
	list := openapi3.NewArraySchema().WithMinItems(1)
	list.Items = &openapi3.SchemaRef{Value: one}
	return closedObject("errors", list)
}

// textSchema is the body of a refusal with a sentence.
func textSchema(example string) *openapi3.Schema {
	text := openapi3.NewStringSchema().WithMaxLength(512)
	text.Example = example
	return closedObject("error", text)
}

func closedObject(name string, property *openapi3.Schema) *openapi3.Schema {
	o := openapi3.NewObjectSchema().WithProperty(name, property)
	o.Required = []string{name}
	no := false
	o.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
	return o
}

func merged[K comparable, V any](a, b map[K]V) map[K]V {
	out := maps.Clone(a)
	if out == nil {
		out = map[K]V{}
	}
	maps.Copy(out, b)
	return out
}
