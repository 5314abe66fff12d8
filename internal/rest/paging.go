package rest

import (
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// Paging is embedded by inputs of lists. Out of range is refused, never
// clamped; an empty value means the default.
type Paging struct {
	Page  int `name:"page" default:"1" min:"1" invalid:"non_integer_page" value:"non_positive_page" doc:"Which page, from 1."`
	Limit int `name:"limit" default:"100" min:"1" max:"100" invalid:"non_integer_limit" value:"invalid_limit" doc:"How many on a page."`
}

// Offset is the number of rows before the page; a page beyond the range of int gives the
// largest int.
func (p Paging) Offset() int {
	if p.Limit > 0 && p.Page-1 > math.MaxInt/p.Limit {
		return math.MaxInt
	}
	return (p.Page - 1) * p.Limit
}

// LongPaging is Paging for the lists whose pages may have 1000 rows (design D17).
type LongPaging struct {
	Page  int `name:"page" default:"1" min:"1" invalid:"non_integer_page" value:"non_positive_page" doc:"Which page, from 1."`
	Limit int `name:"limit" default:"100" min:"1" max:"1000" invalid:"non_integer_limit" value:"invalid_limit" doc:"How many on a page."`
}

// Offset is the number of rows before the page.
func (p LongPaging) Offset() int { return Paging(p).Offset() }

// Page is the output of a list: a bare array, and where it lies among all rows in the
// headers Total, Per-Page, Page and Link.
type Page[T any] struct {
	Items []T
	Total int // of all pages
	Paging
}

func (p Page[T]) write(r *http.Request, h http.Header) any {
	h.Set("Total", strconv.Itoa(p.Total))
	h.Set("Per-Page", strconv.Itoa(p.Limit))
	h.Set("Page", strconv.Itoa(p.Page))
	if l := p.links(r); l != "" {
		h.Set("Link", l)
	}
	if p.Items == nil {
		return []T{}
	}
	return p.Items
}

func (Page[T]) body() (reflect.Type, map[string]string) {
	return reflect.TypeFor[[]T](), map[string]string{
		"Total":    "Rows on all pages.",
		"Per-Page": "The effective limit.",
		"Page":     "The effective page.",
		"Link":     "Neighbouring pages (RFC 8288): first, prev, last, next.",
	}
}

// PageOf is the page of a list of which there are total rows, each shown by show.
func PageOf[S, T any](list []S, total int, at Paging, show func(S) T) Page[T] {
	p := Page[T]{Items: make([]T, len(list)), Total: total, Paging: at}
	for i, one := range list {
		p.Items[i] = show(one)
	}
	return p
}

// links is the Link header: first and prev after page 1; last and next before the last one.
func (p Page[T]) links(r *http.Request) string {
	last := 0
	if p.Limit > 0 {
		last = (p.Total + p.Limit - 1) / p.Limit
	}
	var out []string
	add := func(page int, rel string) {
		out = append(out, "<"+pageURL(r, page)+`>; rel="`+rel+`"`)
	}
	if p.Page > 1 {
		add(1, "first")
		add(p.Page-1, "prev")
	}
	if p.Page < last {
		add(last, "last")
		add(p.Page+1, "next")
	}
	return strings.Join(out, ", ")
}

// pageURL is the request's own URL with another page, keys sorted.
func pageURL(r *http.Request, page int) string {
	u := *passageOf(r.Context()).sent
	u.Scheme, u.Host, u.Fragment = "http", r.Host, ""
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		u.Scheme = "https"
	}
	q, _ := url.ParseQuery(u.RawQuery) // binding has refused a bad one
	q.Set("page", strconv.Itoa(page))
	u.RawQuery = q.Encode()
	return u.String()
}
