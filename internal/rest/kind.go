package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"barong/internal/param"
)

// Lenient is the text of a parameter that the documents leave untyped: an array, an object
// or text that no database takes reads as "".
type Lenient string

// Date is a calendar day, midnight UTC; "YYYY-MM-DD", or "DD-MM-YYYY" and "DD/MM/YYYY" as front ends
// send it.
type Date time.Time

// TextOrObject is a parameter that may be either (captcha_response).
type TextOrObject struct {
	Text   string
	Object map[string]any // nil when it was text
}

// JSON is the object as JSON, or the text, which need not be any.
func (v TextOrObject) JSON() []byte {
	if v.Object == nil {
		return []byte(v.Text)
	}
	b, _ := json.Marshal(v.Object) // it was read from JSON
	return b
}

// Object is a parameter that is a JSON object; no text of a form or a query is one.
type Object map[string]any

// Raw is the body as it was sent, for callers that sign it; the parameters in it are read as
// always. It is no parameter of the document.
type Raw []byte

// kind holds the values that a parameter of one Go type accepts.
type kind struct {
	typ, format string // OpenAPI; "" typ is anything
	array       bool
	emptyIsNull bool // "" reads as null
	anything    bool // no value has the wrong type
	// enum are the only values, nil for any, and value is the token of a refusal of others.
	enum  []string
	value string
	// set stores raw, which is not nil: string, json.Number, bool, []any, map[string]any, File or
	// longText. It reports whether raw has the type.
	set func(dst reflect.Value, raw any) bool
}

// Valued is implemented by string types of parameters that take a few values only: the values, and
// the token that refuses any other.
type Valued interface {
	Values() (allowed []string, token string)
}

// kindOf is the closed list of types that input fields may have. A pointer is nil for absent
// and null.
func kindOf(t reflect.Type) (kind, error) {
	if t.Kind() == reflect.Pointer {
		k, err := kindOf(t.Elem())
		inner := k.set
		k.set = func(dst reflect.Value, raw any) bool {
			v := reflect.New(t.Elem())
			if !inner(v.Elem(), raw) {
				return false
			}
			dst.Set(v)
			return true
		}
		return k, err
	}
	switch t {
	case reflect.TypeFor[Lenient]():
		return kind{typ: "string", anything: true, set: func(dst reflect.Value, raw any) bool {
			s, _ := param.Text(raw)
			dst.SetString(s)
			return true
		}}, nil
	case reflect.TypeFor[Date]():
		return kind{typ: "string", format: "date", emptyIsNull: true, set: setDate}, nil
	case reflect.TypeFor[TextOrObject]():
		return kind{set: setTextOrObject}, nil
	case reflect.TypeFor[Object]():
		return kind{typ: "object", emptyIsNull: true, set: func(dst reflect.Value, raw any) bool {
			o, ok := raw.(map[string]any)
			dst.Set(reflect.ValueOf(Object(o)))
			return ok
		}}, nil
	case reflect.TypeFor[Raw]():
		return kind{anything: true, set: func(dst reflect.Value, raw any) bool {
			body, _ := raw.([]byte)
			dst.SetBytes(body)
			return true
		}}, nil
	case reflect.TypeFor[[]File]():
		return kind{typ: "string", format: "binary", array: true, anything: true, set: setFiles}, nil
	case reflect.TypeFor[[]string]():
		return kind{typ: "string", array: true, set: setTexts}, nil
	}
	switch t.Kind() {
	case reflect.String:
		k := kind{typ: "string", set: func(dst reflect.Value, raw any) bool {
			s, ok := param.Text(raw)
			dst.SetString(s)
			return ok
		}}
		if v, ok := reflect.Zero(t).Interface().(Valued); ok {
			k.enum, k.value = v.Values()
		}
		return k, nil
	case reflect.Int, reflect.Int64:
		return kind{typ: "integer", format: "int64", emptyIsNull: true, set: setInt}, nil
	case reflect.Bool:
		return kind{typ: "boolean", emptyIsNull: true, set: setBool}, nil
	}
	return kind{}, fmt.Errorf("parameters of type %v are not known", t)
}

func setInt(dst reflect.Value, raw any) bool {
	var text string
	switch v := raw.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		return false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || dst.OverflowInt(n) {
		return false
	}
	dst.SetInt(n)
	return true
}

func setBool(dst reflect.Value, raw any) bool {
	if b, ok := raw.(bool); ok {
		dst.SetBool(b)
		return true
	}
	text, ok := param.Text(raw)
	lower := strings.ToLower(text)
	if !ok || (text != lower && text != strings.ToUpper(text) && text != capital(lower)) {
		return false
	}
	switch lower {
	case "1", "on", "t", "true", "y", "yes":
		dst.SetBool(true)
	case "0", "off", "f", "false", "n", "no":
		dst.SetBool(false)
	default:
		return false
	}
	return true
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func setDate(dst reflect.Value, raw any) bool {
	text, _ := raw.(string)
	for _, layout := range []string{"2006-01-02", "02-01-2006", "02/01/2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			dst.Set(reflect.ValueOf(Date(t)))
			return true
		}
	}
	return false
}

func setTextOrObject(dst reflect.Value, raw any) bool {
	if o, ok := raw.(map[string]any); ok {
		dst.Set(reflect.ValueOf(TextOrObject{Object: o}))
		return true
	}
	text, ok := param.Text(raw)
	dst.Set(reflect.ValueOf(TextOrObject{Text: text}))
	return ok
}

// setTexts takes an array of scalars; a lone scalar is an array of one.
func setTexts(dst reflect.Value, raw any) bool {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := param.Text(v)
		if !ok {
			return false
		}
		texts = append(texts, s)
	}
	dst.Set(reflect.ValueOf(texts))
	return true
}

// setFiles takes what plan.decode has made; texts of a query are no files.
func setFiles(dst reflect.Value, raw any) bool {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	files := make([]File, 0, len(list))
	for _, v := range list {
		f, _ := v.(File)
		files = append(files, f)
	}
	dst.Set(reflect.ValueOf(files))
	return true
}
