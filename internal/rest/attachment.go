package rest

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// An Attachment is an output that browsers save and never show: a file of somebody whom we do not
// trust. It is sent with a Content-Disposition, a sandbox for the case that a browser shows it all the
// same, and no guess at its type.
type Attachment struct {
	// Name is shown to the user; folders and control characters are left out of it.
	Name string
	// Type is one of AttachmentTypes; any other is sent as application/octet-stream.
	Type string
	// Size is the length of Content in bytes, negative when it is not known.
	Size int64
	// Content is closed in any case. An error of its first read is the endpoint's; one further on
	// breaks the connection off, so that no part of a file passes for the whole.
	Content io.ReadCloser
}

const anyType = "application/octet-stream"

// AttachmentTypes are the media types of attachments.
func AttachmentTypes() []string {
	return []string{"application/pdf", "image/gif", "image/jpeg", "image/png", "text/csv", anyType}
}

var attachmentHeaders = map[string]string{
	"Content-Disposition":     "attachment, and the name of the file.",
	"Content-Security-Policy": "Keeps whatever is in the file from running.",
}

func attachmentContent() openapi3.Content {
	content := openapi3.Content{}
	for _, media := range AttachmentTypes() {
		content[media] = openapi3.NewMediaType().WithSchema(openapi3.NewStringSchema().WithFormat("binary"))
	}
	return content
}

// send answers e with a file.
func (s *Server) send(w http.ResponseWriter, r *http.Request, e *endpoint, file Attachment) {
	defer file.Content.Close()
	content := bufio.NewReader(file.Content)
	if _, err := content.Peek(1); err != nil && err != io.EOF {
		s.fail(w, r, e, fmt.Errorf("read an attachment: %w", err))
		return
	}
	h := w.Header()
	media := file.Type
	if !slices.Contains(AttachmentTypes(), media) {
		media = anyType
	}
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", disposition(file.Name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	if file.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(file.Size, 10))
	}
	w.WriteHeader(e.op.Status)
	if r.Method == http.MethodHead {
		return
	}
	n, err := content.WriteTo(w)
	if err == nil && file.Size >= 0 && n != file.Size {
		err = fmt.Errorf("%d bytes in place of %d", n, file.Size)
	}
	if err != nil {
		s.logFailure(r, e, e.op.Status, fmt.Errorf("send an attachment: %w", err))
		panic(http.ErrAbortHandler)
	}
}

// disposition is the Content-Disposition of an attachment (RFC 6266).
func disposition(name string) string {
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return -1
		}
		return c
	}, path.Base(strings.ReplaceAll(name, `\`, "/")))
	if name == "" || name == "." || name == ".." || name == "/" {
		name = "file"
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}
