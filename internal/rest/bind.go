package rest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"barong/internal/param"
)

// plan is how one input struct is filled: by the tags that the package comment lists.
type plan struct {
	fields []*field
	raw    bool     // a field wants the body as it was sent
	files  []string // the parameters that are files
}

// field is one parameter.
type field struct {
	name               string
	index              []int
	kind               kind
	required, nonblank bool
	valueFirst         bool // the rule on values is reported before nonblank
	enum               []string
	min, max           *int64
	fallback           any // nil for none
	in                 string
	secret             bool // by its name
	tokens             map[Breach]word
	oneOf, anyOf       string // token of the group that it is in, "" for none
	doc                string
}

// word is a token, and whether the declaration names it.
type word struct {
	token string
	named bool
}

// problem is a breach of f.
func (f *field) problem(b Breach, absence bool) Problem {
	return Problem{b, []string{f.name}, f.tokens[b].token, f.tokens[b].named, absence}
}

// secretNames are parts of names that must not slip into a query string unnoticed.
var secretNames = []string{"password", "code", "token", "secret", "captcha"}

// planOf reads the tags of t; base is "<namespace>.<resource>".
func planOf(t reflect.Type, method, path, base string) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("input %v is not a struct", t)
	}
	p := &plan{}
	if err := p.add(t, nil, base); err != nil {
		return nil, err
	}
	p.raw = slices.ContainsFunc(p.fields, func(f *field) bool { return f.in == inRaw })
	for segment := range strings.SplitSeq(path, "/") {
		name, ok := pathParam(segment)
		if !ok {
			continue
		}
		i := slices.IndexFunc(p.fields, func(f *field) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("input %v has no field for {%s}", t, name)
		}
		p.fields[i].in, p.fields[i].required = "path", true
	}
	seen := map[string]bool{}
	for _, f := range p.fields {
		if seen[f.name] {
			return nil, fmt.Errorf("input %v names %q twice", t, f.name)
		}
		seen[f.name] = true
		if f.kind.format == "binary" {
			p.files = append(p.files, f.name)
		}
		f.secret = slices.ContainsFunc(secretNames, func(s string) bool {
			return strings.Contains(f.name, s)
		})
		if f.secret && f.in == "" {
			return nil, fmt.Errorf(`field %q looks like a secret: say in:"body" or in:"query"`, f.name)
		}
		if f.in == "body" && method == http.MethodGet {
			return nil, fmt.Errorf("field %q of a GET is taken from the body only", f.name)
		}
	}
	return p, nil
}

func (p *plan) add(t reflect.Type, index []int, base string) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			if err := p.add(sf.Type, at, base); err != nil {
				return err
			}
			continue
		}
		f, err := fieldOf(sf, at, base)
		if err != nil {
			return fmt.Errorf("field %s: %w", sf.Name, err)
		}
		p.fields = append(p.fields, f)
	}
	return nil
}

func fieldOf(sf reflect.StructField, index []int, base string) (*field, error) {
	tag := func(key, otherwise string) string {
		if v, ok := sf.Tag.Lookup(key); ok {
			return v
		}
		return otherwise
	}
	name := tag("name", "")
	if name == "" || !sf.IsExported() {
		return nil, errors.New("is not exported or has no name tag")
	}
	k, err := kindOf(sf.Type)
	if err != nil {
		return nil, err
	}
	f := &field{
		name: name, index: index, in: tag("in", ""), doc: tag("doc", ""), kind: k, enum: k.enum,
		oneOf: under(base, tag("oneof", "")), anyOf: under(base, tag("anyof", "")),
	}
	token := func(key, otherwise string) word {
		text, named := sf.Tag.Lookup(key)
		if !named {
			text = otherwise
		}
		return word{under(base, text), named}
	}
	f.tokens = map[Breach]word{
		Missing: token("missing", ".missing_"+name), Blank: token("empty", ".empty_"+name),
		Mistyped: token("invalid", "invalid"), Unlisted: token("value", cmp.Or(k.value, "value")),
	}
	if !slices.Contains([]string{"", "body", "query", "header"}, f.in) {
		return nil, fmt.Errorf("in:%q is none of body, query and header", f.in)
	}
	if sf.Type == reflect.TypeFor[Raw]() {
		f.in = inRaw
	}
	for r := range strings.SplitSeq(tag("rule", ""), ",") {
		switch r {
		case "":
		case "required":
			f.required = true
		case "value":
			f.valueFirst = !f.nonblank
		case "nonblank":
			f.nonblank = true
		default:
			return nil, fmt.Errorf("unknown rule %q", r)
		}
	}
	if e := tag("enum", ""); e != "" {
		f.enum = strings.Split(e, ",")
	}
	for key, dst := range map[string]**int64{"min": &f.min, "max": &f.max} {
		if v, ok := sf.Tag.Lookup(key); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			*dst = &n
		}
	}
	if d, ok := sf.Tag.Lookup("default"); ok {
		f.fallback = d
		if !f.kind.set(reflect.New(sf.Type).Elem(), d) {
			return nil, fmt.Errorf("default %q does not fit", d)
		}
	}
	return f, nil
}

// inRaw is where fields of type Raw are taken from.
const inRaw = "raw"

// params are the parameters of one request, by where they came from.
type params struct {
	path, query, body map[string]any
	header            http.Header
	raw               []byte // the whole body, when a field wants it
}

func (p params) get(f *field) (any, bool) {
	if f.in == "path" {
		v, ok := p.path[f.name]
		return v, ok
	}
	if f.in == inRaw {
		return p.raw, true
	}
	if f.in == "header" {
		v := p.header.Values(f.name)
		return strings.Join(v, ", "), len(v) > 0 // RFC 9110 section 5.3
	}
	if v, ok := p.body[f.name]; ok {
		return v, true
	}
	if f.in == "body" {
		return nil, false
	}
	v, ok := p.query[f.name]
	return v, ok
}

// A Breach is a way in which a parameter breaks a rule.
type Breach int

// The breaches.
const (
	Missing   Breach = iota + 1 // a required one is absent
	Blank                       // one that must not be blank is
	Mistyped                    // of another type
	Unlisted                    // none of its values, or out of its range
	NoneOf                      // of several, of which exactly one must be sent, there is none
	SeveralOf                   // of such there are more than one
	NotAnyOf                    // of several, of which at least one must be sent, there is none
)

// A Problem is one broken rule.
type Problem struct {
	Breach Breach
	// Params names the parameter, or all of NoneOf and NotAnyOf, or those of SeveralOf that were sent.
	Params []string
	// Token refuses it; Named says that the declaration of the parameter names the token.
	Token string
	Named bool
	// absence is set when all that is wrong is that a required parameter is absent or blank
	// (design D2).
	absence bool
}

// broken is the error of parameters that break their rules.
type broken []Problem

func (b broken) Error() string { return "rest: broken parameters: " + strings.Join(b.tokens(), ", ") }

// tokens are those of the problems, each once.
func (b broken) tokens() (tokens []string) {
	for _, p := range b {
		if !slices.Contains(tokens, p.Token) {
			tokens = append(tokens, p.Token)
		}
	}
	return tokens
}

// status is 400 when required parameters are absent or blank and nothing else is wrong, else 422.
func (b broken) status() int {
	if slices.ContainsFunc(b, func(p Problem) bool { return !p.absence }) {
		return http.StatusUnprocessableEntity
	}
	return http.StatusBadRequest
}

// bind fills dst from p. Every problem of every parameter is reported, in the order of
// declaration, as a broken.
func (pl *plan) bind(dst reflect.Value, p params) error {
	var bad broken
	for _, f := range pl.fields {
		bad = append(bad, f.bind(dst.FieldByIndex(f.index), p)...)
	}
	for _, g := range pl.groups() {
		var all, sent []string
		for _, f := range g.fields {
			all = append(all, f.name)
			if _, present := p.get(f); present {
				sent = append(sent, f.name)
			}
		}
		switch {
		case len(sent) == 0:
			bad = append(bad, Problem{Breach: g.none, Params: all, Token: g.token, Named: true})
		case len(sent) > 1 && g.none == NoneOf:
			bad = append(bad, Problem{Breach: SeveralOf, Params: sent, Token: g.token, Named: true})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// A choice is some parameters of which exactly one, or at least one, must be sent.
type choice struct {
	token  string
	none   Breach // NoneOf or NotAnyOf
	fields []*field
}

// groups are the choices of pl, in the order of their first parameters.
func (pl *plan) groups() (all []choice) {
	add := func(f *field, token string, none Breach) {
		if token == "" {
			return
		}
		i := slices.IndexFunc(all, func(g choice) bool { return g.token == token && g.none == none })
		if i < 0 {
			i, all = len(all), append(all, choice{token: token, none: none})
		}
		all[i].fields = append(all[i].fields, f)
	}
	for _, f := range pl.fields {
		add(f, f.oneOf, NoneOf)
		add(f, f.anyOf, NotAnyOf)
	}
	return all
}

// bind runs the rules of one parameter: presence, type, then the others;
// one that fails does not stop the next. An absent required parameter breaks them all, an
// absent optional one none.
func (f *field) bind(dst reflect.Value, p params) (bad []Problem) {
	raw, present := p.get(f)
	if !present && !f.required {
		if f.fallback != nil {
			f.kind.set(dst, f.fallback)
		}
		return nil
	}
	blank := isBlank(raw)
	absence := f.required && (!present || blank)
	if !present {
		bad = append(bad, f.problem(Missing, true))
	}
	null := raw == nil || (f.kind.emptyIsNull && raw == "")
	typed := null || f.kind.set(dst, raw)
	if !typed {
		bad = append(bad, f.problem(Mistyped, absence && isBlankText(raw)))
	}
	if null && f.fallback != nil {
		f.kind.set(dst, f.fallback)
	}
	allowed := f.allows(dst, raw, typed, null)
	if f.valueFirst && !allowed {
		bad = append(bad, f.problem(Unlisted, absence))
	}
	if f.nonblank && blank {
		bad = append(bad, f.problem(Blank, absence))
	}
	if !f.valueFirst && !allowed {
		bad = append(bad, f.problem(Unlisted, absence))
	}
	return bad
}

// allows is the rule on values: null passes unless the parameter is required, a value of the
// wrong type never does.
func (f *field) allows(dst reflect.Value, raw any, typed, null bool) bool {
	if f.enum == nil && f.min == nil && f.max == nil {
		return true
	}
	if null {
		return !f.required
	}
	if !typed {
		return false
	}
	if f.enum != nil {
		text, _ := param.Text(raw)
		return slices.Contains(f.enum, text)
	}
	n := reflect.Indirect(dst).Int()
	return (f.min == nil || n >= *f.min) && (f.max == nil || n <= *f.max)
}

// isBlank is null, empty or white space only. false is not blank.
func isBlank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return isBlankText(v)
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func isBlankText(v any) bool {
	s, ok := v.(string)
	return ok && strings.TrimSpace(s) == ""
}

// Values shows an input as the form that would say the same: the parameters that are not
// zero, by name.
func Values(in any) url.Values {
	out := url.Values{}
	var add func(v reflect.Value)
	add = func(v reflect.Value) {
		for i := range v.NumField() {
			name, field := v.Type().Field(i).Tag.Get("name"), v.Field(i)
			if v.Type().Field(i).Anonymous && field.Kind() == reflect.Struct {
				add(field)
				continue
			}
			if name == "" || field.IsZero() {
				continue
			}
			switch field = reflect.Indirect(field); field.Kind() {
			case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
				out.Set(name, fmt.Sprint(field.Interface()))
			default: // only that it was there
				out.Set(name, "")
			}
		}
	}
	if v := reflect.ValueOf(in); v.Kind() == reflect.Struct {
		add(v)
	}
	return out
}
