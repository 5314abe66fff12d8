package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// maxDepth bounds the nesting of form keys: a[b][c].
	maxDepth = 8
	// maxInMemory is how much of an upload stays off the disk.
	maxInMemory = 4 << 20
)

// read takes the query and the body of r apart, whatever the verb; raw keeps the body as it
// was sent, too. done removes spooled uploads; it is nil when there are none. Errors are
// refusals.
func read(w http.ResponseWriter, r *http.Request, limit int64, raw bool) (p params, done func(), err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return p, nil, refusal{status: http.StatusBadRequest, tokens: []string{tokenQuery}}
	}
	p.query = nest(query)
	var sent io.Reader = http.MaxBytesReader(w, r.Body, limit)
	if raw {
		if p.raw, err = io.ReadAll(sent); err != nil {
			return p, nil, unreadable(err, tokenForm)
		}
		sent = bytes.NewReader(p.raw)
	}
	body := bufio.NewReader(sent)
	if _, err := body.Peek(1); err == io.EOF {
		return p, nil, nil
	} else if err != nil {
		return p, nil, unreadable(err, tokenForm)
	}
	contentType := r.Header.Get("Content-Type")
	media, args, err := mime.ParseMediaType(contentType)
	if contentType == "" {
		media = "application/json"
	} else if err != nil {
		media = ""
	}
	switch media {
	case "application/json":
		p.body, err = readJSON(body)
	case "application/x-www-form-urlencoded":
		p.body, err = readForm(body)
	case "multipart/form-data":
		p.body, done, err = readMultipart(body, args["boundary"])
	default:
		err = refusal{status: http.StatusUnsupportedMediaType,
			text: fmt.Sprintf("The provided content-type '%s' is not supported.", clip(contentType, 128))}
	}
	return p, done, err
}

// readJSON reads one JSON value; anything but an object has no parameters.
func readJSON(r io.Reader) (map[string]any, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, unreadable(err, tokenJSON)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, unreadable(err, tokenJSON)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, unreadable(errors.New("more than one value"), tokenJSON)
	}
	object, _ := v.(map[string]any)
	return object, nil
}

func readForm(r io.Reader) (map[string]any, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, unreadable(err, tokenForm)
	}
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, unreadable(err, tokenForm)
	}
	return nest(values), nil
}

func readMultipart(r io.Reader, boundary string) (map[string]any, func(), error) {
	form, err := multipart.NewReader(r, boundary).ReadForm(maxInMemory)
	if err != nil {
		return nil, nil, unreadable(err, tokenForm)
	}
	values := nest(form.Value)
	for _, key := range slices.Sorted(maps.Keys(form.File)) {
		list := make([]any, len(form.File[key]))
		for i, h := range form.File[key] {
			list[i] = h
		}
		put(values, key, list)
	}
	return values, func() { _ = form.RemoveAll() }, nil
}

// unreadable is the refusal of a body that breaks off, is too large or is malformed.
func unreadable(err error, token string) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, multipart.ErrMessageTooLarge) {
		return refusal{status: http.StatusRequestEntityTooLarge, tokens: []string{tokenTooLarge}}
	}
	return refusal{status: http.StatusBadRequest, tokens: []string{token}}
}

// nest makes a tree of flat form keys: a=1, a[b]=1, a[]=1&a[]=2. The last of several equal
// keys wins; where keys contradict each other the one that sorts last does.
func nest(values url.Values) map[string]any {
	tree := make(map[string]any, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list := make([]any, len(values[key]))
		for i, v := range values[key] {
			list[i] = v
		}
		put(tree, key, list)
	}
	return tree
}

// put stores list, which is not empty, under a form key.
func put(tree map[string]any, key string, list []any) {
	names, isList, ok := splitKey(key)
	if !ok {
		return // no parameter has such a name
	}
	for _, name := range names[:len(names)-1] {
		next, ok := tree[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			tree[name] = next
		}
		tree = next
	}
	last := names[len(names)-1]
	if !isList {
		tree[last] = list[len(list)-1]
		return
	}
	if before, ok := tree[last].([]any); ok {
		list = append(before, list...)
	}
	tree[last] = list
}

// splitKey takes "a[b][c][]" apart into a, b, c and whether it names a list.
func splitKey(key string) (names []string, isList, ok bool) {
	name, rest, nested := strings.Cut(key, "[")
	if name == "" {
		return nil, false, false
	}
	names = []string{name}
	for nested {
		inner, after, closed := strings.Cut(rest, "]")
		if !closed || isList || len(names) > maxDepth {
			return nil, false, false
		}
		if inner == "" {
			isList = true
		} else {
			names = append(names, inner)
		}
		if after == "" {
			return names, isList, true
		}
		if after[0] != '[' {
			return nil, false, false
		}
		rest = after[1:]
	}
	return names, isList, true
}
