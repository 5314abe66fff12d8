package rest

import (
	"fmt"
	"net/http"
	"reflect"
)

// Also is an output that comes with headers: H is a struct whose fields are tagged
//
//	header:"X-Policy-Version"   the header's name
//	doc:"…"                     a sentence for the document
//
// A field with its zero value sends no header.
type Also[T, H any] struct {
	Body    T
	Headers H
}

func (a Also[T, H]) write(r *http.Request, h http.Header) any {
	v := reflect.ValueOf(a.Headers)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			h.Set(v.Type().Field(i).Tag.Get("header"), fmt.Sprint(f.Interface()))
		}
	}
	if inner, ok := any(a.Body).(reply); ok {
		return inner.write(r, h)
	}
	return a.Body
}

func (Also[T, H]) body() (reflect.Type, map[string]string) {
	docs := map[string]string{}
	t := reflect.TypeFor[H]()
	for i := range t.NumField() {
		docs[t.Field(i).Tag.Get("header")] = t.Field(i).Tag.Get("doc")
	}
	return reflect.TypeFor[T](), docs
}
