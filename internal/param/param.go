// Package param reads the parameters of a request. Query, JSON, form and multipart bodies
// become one tree of names and values, by the same rules for the handlers that act on them and
// for the audit that keeps whom they were about: of two values the same one wins.
//
// It bounds nothing but depth: callers bound the text.
package param

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of form keys: a[b][c].
const maxDepth = 8

// JSON reads one JSON value, nothing but white space after it; numbers are json.Number. Of
// members with one name the last wins. A blank text and anything but an object have no
// parameters.
func JSON(text []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	object, _ := v.(map[string]any)
	return object, nil
}

// Form reads a query or a urlencoded body: a=1, a[b]=1, a[]=1&a[]=2. The last of several equal
// keys wins; where keys contradict each other the one that sorts last does.
func Form(text string) (map[string]any, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	return nest(values), nil
}

// Multipart is Parts of a parsed multipart/form-data body; files are *multipart.FileHeader.
func Multipart(form *multipart.Form) map[string]any {
	files := make(map[string][]any, len(form.File))
	for key, list := range form.File {
		for _, h := range list {
			files[key] = append(files[key], h)
		}
	}
	return Parts(form.Value, files)
}

// Parts reads the texts and files of a multipart/form-data body by the rules of Form. Files are lists,
// and win over values of their name.
func Parts(values url.Values, files map[string][]any) map[string]any {
	tree := nest(values)
	for _, key := range slices.Sorted(maps.Keys(files)) {
		put(tree, key, files[key])
	}
	return tree
}

// Text is the text form of a scalar. Text with a NUL or broken UTF-8 has none: databases
// refuse it.
func Text(raw any) (string, bool) {
	switch v := raw.(type) {
	case string:
		if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
			return "", false
		}
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

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
