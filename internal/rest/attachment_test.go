package rest_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"barong/internal/rest"
	"barong/internal/rest/resttest"
)

// content is a file that notes its end, and may fail after its text.
type content struct {
	io.Reader
	closed bool
}

func (c *content) Close() error { c.closed = true; return nil }

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// download is a server with one endpoint, which answers with a file.
func download(t *testing.T, log io.Writer, file func() rest.Attachment) *rest.Server {
	t.Helper()
	s := newServer(t, log, nil)
	g := rest.NewGroup(s, "files", nobody).At("/documents", "document")
	rest.Add(g, rest.Op{Method: "GET", Path: "/{id}", Cost: 1, Summary: "Download a document."},
		func(_ context.Context, _ struct{}, in struct {
			ID string `name:"id"`
		}) (rest.Attachment, error) {
			if in.ID == "none" {
				return rest.Attachment{}, errGone
			}
			return file(), nil
		})
	return s
}

func TestAttachment(t *testing.T) {
	for name, test := range map[string]struct {
		file     rest.Attachment
		text     string
		media    string
		filename string
		length   string
	}{
		"a document":               {rest.Attachment{Name: "passport.pdf", Type: "application/pdf", Size: 3}, "PDF", "application/pdf", "passport.pdf", "3"},
		"of unknown size":          {rest.Attachment{Name: "a.png", Type: "image/png", Size: -1}, "PNG", "image/png", "a.png", ""},
		"an empty one":             {rest.Attachment{Name: "a.csv", Type: "text/csv"}, "", "text/csv", "a.csv", "0"},
		"a page is no page":        {rest.Attachment{Name: "a.html", Type: "text/html", Size: 8}, "<script>", "application/octet-stream", "a.html", "8"},
		"nor is a drawing":         {rest.Attachment{Name: "a.svg", Type: "image/svg+xml", Size: 5}, "<svg>", "application/octet-stream", "a.svg", "5"},
		"a name with folders":      {rest.Attachment{Name: `../../etc\passwd`, Size: 1}, "x", "application/octet-stream", "passwd", "1"},
		"a name that splits":       {rest.Attachment{Name: "a\r\nSet-Cookie: x\"; filename=b", Size: 1}, "x", "application/octet-stream", `aSet-Cookie: x"; filename=b`, "1"},
		"a name in another script": {rest.Attachment{Name: "паспорт.pdf", Size: 1}, "x", "application/octet-stream", "паспорт.pdf", "1"},
		"no name":                  {rest.Attachment{Name: "/", Size: 1}, "x", "application/octet-stream", "file", "1"},
		"bytes that are no text":   {rest.Attachment{Name: "\xff\xfe", Size: 1}, "x", "application/octet-stream", "file", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			body := &content{Reader: strings.NewReader(test.text)}
			c := resttest.New(t, download(t, io.Discard, func() rest.Attachment { f := test.file; f.Content = body; return f }))
			a := c.Get(t, "/api/v2/files/documents/1")
			kind, args, err := mime.ParseMediaType(a.Header.Get("Content-Disposition"))
			if a.Status != 200 || a.Body != test.text || err != nil || kind != "attachment" || args["filename"] != test.filename {
				t.Errorf("got %d %q, %q (%v)", a.Status, a.Body, a.Header.Get("Content-Disposition"), err)
			}
			for name, want := range map[string]string{
				"Content-Type": test.media, "Content-Length": test.length, "X-Content-Type-Options": "nosniff",
				"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store", "Set-Cookie": "",
			} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if !body.closed {
				t.Error("the file is still open")
			}
		})
	}
}

// A HEAD has the headers alone, a failure no file, and both close it.
func TestAttachmentsThatAreNotSent(t *testing.T) {
	var log strings.Builder
	body := &content{Reader: strings.NewReader("PDF")}
	c := resttest.New(t, download(t, &log, func() rest.Attachment { return rest.Attachment{Name: "a", Size: 3, Content: body} }))
	if a := c.Send(t, "HEAD", "/api/v2/files/documents/1", "", ""); a.Status != 200 || a.Body != "" || a.Header.Get("Content-Length") != "3" || !body.closed {
		t.Errorf("HEAD: got %d %q %v, closed %v", a.Status, a.Body, a.Header, body.closed)
	}
	*body = content{Reader: failingReader{errOutage}}
	c.Get(t, "/api/v2/files/documents/1").WantTokens(t, 503, "server.internal_error")
	if !body.closed || strings.Contains(log.String(), `"status":200,"bytes":3`) {
		t.Errorf("closed %v; log %s", body.closed, log.String())
	}
	if a := c.Get(t, "/api/v2/files/documents/1"); a.Header.Get("Content-Disposition") != "" {
		t.Errorf("a failure has the headers of a file: %v", a.Header)
	}
}

// A file that ends early breaks the connection off: with and without a known size no client takes
// the part for the whole.
func TestBrokenAttachments(t *testing.T) {
	for name, size := range map[string]int64{"known size": 10_000, "unknown size": -1} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			body := &content{Reader: io.MultiReader(strings.NewReader(strings.Repeat("a", 9000)), failingReader{errors.New("the disk is gone")})}
			s := download(t, &log, func() rest.Attachment { return rest.Attachment{Name: "a", Size: size, Content: body} })
			server := httptest.NewServer(s)
			defer server.Close()
			r, err := http.Get(server.URL + "/api/v2/files/documents/1")
			if err == nil {
				_, err = io.ReadAll(r.Body)
				r.Body.Close()
			}
			server.Close()
			s.Flush()
			if err == nil || !body.closed || !strings.Contains(log.String(), "the disk is gone") {
				t.Errorf("got %v, closed %v, log %s", err, body.closed, log.String())
			}
		})
	}
	body := &content{Reader: strings.NewReader("short")}
	server := httptest.NewServer(download(t, io.Discard, func() rest.Attachment { return rest.Attachment{Name: "a", Size: 6, Content: body} }))
	defer server.Close()
	r, err := http.Get(server.URL + "/api/v2/files/documents/1")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if err == nil {
		t.Error("a short file passes for a whole one")
	}
}
