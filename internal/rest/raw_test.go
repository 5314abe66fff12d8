package rest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// callback is the input of an endpoint whose caller signs its body.
type callback struct {
	Body rest.Raw     `name:"body"`
	ID   rest.Lenient `name:"id"`
	Sign string       `name:"X-Signature" in:"header"`
}

var errForged = errors.New("forged")

// callbacks is a server with one such endpoint, which keeps its input.
func callbacks(t *testing.T, got *callback, answer *error) *rest.Server {
	t.Helper()
	s, err := rest.New(rest.Config{Log: slog.New(slog.DiscardHandler), MaxBody: 64})
	if err != nil {
		t.Fatal(err)
	}
	rest.Add(rest.NewGroup(s, "test", nobody).At("", "thing"), rest.Op{Cost: limit.Read,
		Method: http.MethodPost, Path: "/callback", Status: 200, Summary: "Called back.",
		Errors: rest.OnStatus(errForged, 422),
	}, func(_ context.Context, _ struct{}, in callback) (rest.None, error) {
		*got = in
		return rest.None{}, *answer
	})
	return s
}

// Raw is the body to the byte, whatever its type, and the parameters in it are read as always.
func TestRawBody(t *testing.T) {
	const multipart = "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n--b--"
	for name, c := range map[string]struct{ query, media, body, id string }{
		"JSON":                {"", "application/json", " {\"id\": 7,\n\t\"id2\":\"é\"} ", "7"},
		"JSON without a type": {"", "", `{"id":"7"}`, "7"},
		"a form":              {"", "application/x-www-form-urlencoded", "a=%20&id=7", "7"},
		"multipart":           {"", "multipart/form-data; boundary=b", multipart, "7"},
		"nothing":             {"?id=7", "", "", "7"},
		"a list":              {"", "application/json", `[1]`, ""},
		"a parameter body":    {"?body=x", "application/json", `{"body":"y"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got callback
			var answer error
			c2 := resttest.New(t, callbacks(t, &got, &answer)).With("X-Signature", "s")
			c2.Send(t, "POST", "/api/v2/test/callback"+c.query, c.media, c.body).Want(t, 200, "200")
			if string(got.Body) != c.body || string(got.ID) != c.id || got.Sign != "s" {
				t.Errorf("got %q, id %q, signature %q; want the body as sent, id %q", got.Body, got.ID, got.Sign, c.id)
			}
		})
	}
	var got callback
	var answer error
	s := callbacks(t, &got, &answer)
	c := resttest.New(t, s)
	c.Send(t, "POST", "/api/v2/test/callback", "application/json", `{"id":`).WantTokens(t, 400, "server.invalid_json")
	c.Send(t, "POST", "/api/v2/test/callback", "text/plain", "x").
		Want(t, 415, `{"error":"The provided content-type 'text/plain' is not supported."}`)
	c.Send(t, "POST", "/api/v2/test/callback", "application/json", `{"id":"`+strings.Repeat("7", 64)+`"}`).
		WantTokens(t, 413, "server.body_too_large")

	doc, err := s.Document("test", "1")
	if err != nil {
		t.Fatal(err)
	}
	op := doc.Paths.Find("/test/callback").Post
	var names []string
	for name := range op.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"id"}) || len(op.Parameters) != 1 {
		t.Errorf("documented: body %q and %d parameters; want id, and the header alone", names, len(op.Parameters))
	}
}

// OnStatus answers with the number, as a success without a body does, and says so.
func TestOnStatus(t *testing.T) {
	var got callback
	answer := fmt.Errorf("callback: %w", errForged)
	s := callbacks(t, &got, &answer)
	c := resttest.New(t, s) // which holds the answers against the document
	c.JSON(t, "POST", "/api/v2/test/callback", map[string]any{"id": 1}).Want(t, 422, "422")
	c.With("X-Signature", "\xff").JSON(t, "POST", "/api/v2/test/callback", nil).WantTokens(t, 422, "invalid")
	doc, err := s.Document("test", "1")
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Paths.Find("/test/callback").Post.Responses.Status(422).Value.Content["application/json"].Schema.Value
	if len(schema.OneOf) != 2 {
		t.Errorf("422 is documented as %d shapes, want tokens or the number", len(schema.OneOf))
	}
}
