package resource_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"barong/internal/expect"
)

// The document needs no account, covers all that is mounted, and each part covers its own paths.
func TestSwaggerDoc(t *testing.T) {
	w := newWorld(t)
	c := w.Client() // nobody in particular
	read := func(path string) (paths []string) {
		t.Helper()
		var first string
		for _, prefix := range c.Prefixes() {
			a := c.Get(t, prefix+"/resource/swagger_doc"+path)
			if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: got %d %s", prefix+path, a.Status, a.Body)
			}
			if first == "" {
				first = a.Body
			}
			expect.Equal(t, a.Body == first, true)
		}
		doc, err := openapi3.NewLoader().LoadFromData([]byte(first))
		expect.OK(t, err)
		expect.OK(t, doc.Validate(t.Context()))
		for p := range doc.Paths.Map() {
			paths = append(paths, p)
		}
		slices.Sort(paths)
		return paths
	}
	whole := read("")
	parts := map[string][]string{}
	for _, path := range whole {
		name := strings.Split(path, "/")[2]
		parts[name] = append(parts[name], path)
	}
	for name, want := range parts {
		expect.Equal(t, read("/"+name), want)
	}
	expect.Equal(t, read("/labels?locale=de"), []string{"/resource/labels", "/resource/labels/{key}"})
	if len(parts) < 9 {
		t.Errorf("%d parts, want all", len(parts))
	}
	mounted := map[string]bool{}
	for _, e := range w.Server().Endpoints() {
		if strings.HasPrefix(e.Path, "/resource/") {
			mounted[e.Path] = true
		}
	}
	expect.Equal(t, len(whole), len(mounted))

	for _, name := range []string{"/nothing", "/label", "/labelss", "/Labels", "/%00", "/%ff", "/labels%2F", "/identity", "/%20"} {
		c.Get(t, base+"/swagger_doc"+name).WantTokens(t, 404, "record.not_found")
	}
}
