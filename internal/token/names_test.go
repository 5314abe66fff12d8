package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// slowNamesOnce is namesOnce by the decoder of the library.
func slowNamesOnce(raw []byte) bool {
	type level struct {
		names map[string]bool // nil in a list
		name  bool            // a name comes next
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	levels := []level{{}}
	for {
		t, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		in := &levels[len(levels)-1]
		if name, isText := t.(string); isText && in.name {
			if in.names[name] {
				return false
			}
			in.names[name], in.name = true, false
			continue
		}
		switch t {
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
			continue
		}
		in.name = in.names != nil // after this value
		switch t {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}, name: true})
		case json.Delim('['):
			levels = append(levels, level{})
		}
	}
}

func FuzzNamesOnce(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `"a"`, `{"a":1,"a":2}`, `{"a":{"a":1}}`, `{"a":{"b":1,"b":2}}`, `[{"a":1},{"a":1}]`, `{"a":"a","b":["a","a"]}`,
		`{"\\":1,"\\\\":2}`, `{"a\\":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":"{\"a\":1","b":"\\"}`, ` { "a" : [ ] , "a" : 1 } `, `{"":1,"":2}`,
		`{"\"":1,"\u0022":2}`, `{"a":1,"b":{"c":[{"d":1,"d":2}]}}`, `[["a","a"],{"a":"a"}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		if got, want := namesOnce(raw), slowNamesOnce(raw); got != want {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	})
}

// A file in a member costs nothing, and neither do many escapes.
func TestNamesOnceCopiesNoValue(t *testing.T) {
	text := []byte(`{"a":"` + strings.Repeat("A", 1<<20) + strings.Repeat(`\\\"`, 1<<16) + `","b":1}`)
	if got := testing.AllocsPerRun(10, func() {
		if !namesOnce(text) {
			t.Fatal("two names are one")
		}
	}); got > 20 {
		t.Errorf("%v allocations, want a few", got)
	}
}
