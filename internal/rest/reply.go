package rest

import (
	"fmt"
	"net/http"
	"reflect"
)

// A Reply is an output that comes with headers. H is a struct whose fields are tagged
//
//	header:"X-Policy-Version"   the header's name
//	doc:"…"                     a sentence for the document
//
// A field with its zero value sends no header; one of type []string sends a header for each text
// that is not empty. T may be None or a Page.
type Reply[T, H any] struct {
	Body   T
	Header H
}

// Cookies are the headers of a Reply that sets cookies: values of Set-Cookie, in order.
type Cookies struct {
	Set []string `header:"Set-Cookie" doc:"The session cookie."`
}

// reply is implemented by outputs that say more than their JSON.
type reply interface {
	// write adds headers and returns the body.
	write(r *http.Request, h http.Header) any
	// body is the type of the body and the headers that come with it, for the document.
	body() (reflect.Type, map[string]string)
}

func (a Reply[T, H]) write(r *http.Request, h http.Header) any {
	v := reflect.ValueOf(a.Header)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("header"), v.Field(i)
		if all, ok := f.Interface().([]string); ok {
			for _, text := range all {
				if text != "" {
					h.Add(name, text)
				}
			}
		} else if !f.IsZero() {
			h.Set(name, fmt.Sprint(f.Interface()))
		}
	}
	if inner, ok := any(a.Body).(reply); ok {
		return inner.write(r, h)
	}
	return a.Body
}

func (Reply[T, H]) body() (reflect.Type, map[string]string) {
	docs := map[string]string{}
	t := reflect.TypeFor[H]()
	for i := range t.NumField() {
		docs[t.Field(i).Tag.Get("header")] = t.Field(i).Tag.Get("doc")
	}
	return reflect.TypeFor[T](), docs
}
