package resttest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

type in struct {
	Name  string `name:"name" rule:"required"`
	Color string `name:"color" enum:"red,blue" value:"test.thing.color"`
}

var errGone = errors.New("gone")

// client asks a server with one endpoint under two prefixes.
func client(t *testing.T) *resttest.Client {
	t.Helper()
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20, Prefixes: []string{"/a", "/b"}})
	if err != nil {
		t.Fatal(err)
	}
	g := rest.NewGroup(s, "test", rest.Guard[struct{}]{
		Admit: func(*http.Request) (struct{}, error) { return struct{}{}, nil },
	}).At("", "thing")
	rest.Add(g, rest.Op{Cost: limit.Read,
		Method: http.MethodPost, Path: "/things", Summary: "Make one.", Errors: rest.On(errGone, 410, ".gone"),
	}, func(_ context.Context, _ struct{}, i in) (rest.None, error) {
		switch i.Name {
		case "gone":
			return rest.None{}, errGone
		case "many":
			return rest.None{}, limit.TooMany{RetryAfter: time.Second}
		}
		return rest.None{}, nil
	})
	return resttest.New(t, s)
}

// file writes a table; blanks separate its cells, "-" is an empty one.
func file(t *testing.T, rows ...string) string {
	t.Helper()
	for i, row := range rows {
		cells := strings.Fields(row)
		for j, c := range cells {
			if c == "-" {
				cells[j] = ""
			}
		}
		rows[i] = strings.Join(cells, "\t")
	}
	path := filepath.Join(t.TempDir(), "table.tsv")
	if err := os.WriteFile(path, []byte(strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCoverage(t *testing.T) {
	const (
		promises = "namespace method path params statuses"
		row      = "test POST /test/things name,color 201,400,404"
		excuses  = "method path status token rule"
		never    = "POST /test/things 404 - X1"
		later    = "method path reason"
	)
	// everything is a suite that misses nothing.
	everything := []func(*resttest.Client){
		func(c *resttest.Client) { c.JSON(t, "POST", "/a/test/things", map[string]any{"name": "x"}) },
		func(c *resttest.Client) { c.Send(t, "POST", "/b/test/things", "", "") },
		func(c *resttest.Client) { c.JSON(t, "POST", "/a/test/things?color=green", map[string]any{"name": "x"}) },
		func(c *resttest.Client) {
			c.JSON(t, "POST", "/a/test/things", map[string]any{"name": map[string]any{}})
		},
		func(c *resttest.Client) { c.JSON(t, "POST", "/a/test/things", map[string]any{"name": "gone"}) },
		func(c *resttest.Client) { c.JSON(t, "POST", "/a/test/things", map[string]any{"name": "many"}) },
	}
	without := func(i int) []func(*resttest.Client) {
		return slices.Delete(slices.Clone(everything), i, i+1)
	}
	for name, c := range map[string]struct {
		suite []func(*resttest.Client)
		row   string
		never []string
		later []string
		want  []string
	}{
		"nothing is missing":        {everything, row, []string{never}, nil, nil},
		"rows of others are theirs": {everything, row, []string{never, "GET /other/x 404 - X1"}, []string{"GET /other/x later"}, nil},
		"a success":                 {without(0), row, []string{never}, nil, []string{"POST /test/things: 201 is declared and no test sees it", "POST /test/things: 201 is documented and no test sees it"}},
		"a prefix, and a refusal": {without(1), row, []string{never}, nil, []string{
			"POST /test/things: 400 is declared and no test sees it", "POST /test/things: 400 is documented and no test sees it",
			"POST /test/things: 400 test.thing.missing_name is declared and no test sees it",
			"POST /test/things: 422 test.thing.missing_name is declared and no test sees it",
			"POST /test/things: no test asks for it under /b"}},
		"a parameter, and its token": {without(2), row, []string{never}, nil, []string{
			"POST /test/things: 422 test.thing.color is declared and no test sees it", "POST /test/things: no test sends color"}},
		"a declared failure": {without(4), row, []string{never}, nil, []string{
			"POST /test/things: 410 is declared and no test sees it", "POST /test/things: 410 test.thing.gone is declared and no test sees it"}},
		"a token's excuse":             {without(2), row + "", []string{never, "POST /test/things 422 test.thing.color X1"}, nil, []string{"POST /test/things: no test sends color"}},
		"a documented status":          {everything, row, nil, nil, []string{"POST /test/things: 404 is documented and no test sees it"}},
		"an excuse for what was seen":  {everything, row, []string{never, "POST /test/things 410 - X1"}, nil, []string{"POST /test/things: 410 was seen, yet has an excuse"}},
		"an excuse for nothing":        {everything, row, []string{never, "POST /test/things 418 - X1"}, nil, []string{"table.tsv: POST /test/things: 418 needs no excuse"}},
		"an endpoint that nobody asks": {everything, "test GET /test/things - 200", nil, nil, []string{"GET /test/things: no test asks for it"}},
		"an endpoint to come":          {everything, "test GET /test/things - 200", nil, []string{"GET /test/things later"}, nil},
		"one that has come": {everything, row, []string{never}, []string{"POST /test/things later"}, []string{
			"table.tsv: POST /test/things is mounted, or in no document"}},
		"one that nobody has promised": {everything, row, []string{never}, []string{"GET /test/x later"}, []string{
			"table.tsv: GET /test/x is mounted, or in no document"}},
		"nothing at all": {nil, row, nil, nil, []string{"POST /test/things: no test asks for it"}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen resttest.Coverage
			b := client(t).Recording(&seen)
			for _, ask := range c.suite {
				ask(b)
			}
			got := seen.Missing(resttest.Tables{
				Promised:    file(t, promises, c.row),
				Differences: file(t, append([]string{excuses}, c.never...)...),
				ToCome:      file(t, append([]string{later}, c.later...)...),
			})
			for i, text := range got {
				if at := strings.Index(text, "table.tsv"); at > 0 {
					got[i] = text[at:]
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
	for name, files := range map[string][3]string{
		"no file":          {filepath.Join(t.TempDir(), "none"), file(t, excuses), file(t, later)},
		"another header":   {file(t, "a b c d e", row), file(t, excuses), file(t, later)},
		"a cell too few":   {file(t, promises, "test POST /test/things 201"), file(t, excuses), file(t, later)},
		"a status of text": {file(t, promises, "test POST /test/things - ok"), file(t, excuses), file(t, later)},
		"no rule":          {file(t, promises, row), file(t, excuses, "POST /test/things 404 x -"), file(t, later)},
		"no reason":        {file(t, promises, row), file(t, excuses), file(t, later, "GET /test/x -")},
	} {
		var seen resttest.Coverage
		client(t).Recording(&seen)
		if got := seen.Missing(resttest.Tables{Promised: files[0], Differences: files[1], ToCome: files[2]}); len(got) != 1 {
			t.Errorf("%s: got %q, want the one problem", name, got)
		}
	}
}
