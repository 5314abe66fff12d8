package rest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"barong/internal/param"
)

// maxInMemory is how much of an upload stays off the disk.
const maxInMemory = 4 << 20

// read takes the query and the body of r apart, whatever the verb; raw keeps the body as it
// was sent, too. done removes spooled uploads; it is nil when there are none. Errors are
// refusals.
func read(r *http.Request, raw bool) (p params, done func(), err error) {
	if p.query, err = param.Form(r.URL.RawQuery); err != nil {
		return p, nil, refusal{status: http.StatusBadRequest, tokens: []string{tokenQuery}}
	}
	var sent io.Reader = r.Body
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
	values, err := param.JSON(text)
	if err != nil {
		return nil, unreadable(err, tokenJSON)
	}
	return values, nil
}

func readForm(r io.Reader) (map[string]any, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, unreadable(err, tokenForm)
	}
	values, err := param.Form(string(text))
	if err != nil {
		return nil, unreadable(err, tokenForm)
	}
	return values, nil
}

func readMultipart(r io.Reader, boundary string) (map[string]any, func(), error) {
	form, err := multipart.NewReader(r, boundary).ReadForm(maxInMemory)
	if err != nil {
		return nil, nil, unreadable(err, tokenForm)
	}
	return param.Multipart(form), func() { _ = form.RemoveAll() }, nil
}

var tooLarge = refusal{status: http.StatusRequestEntityTooLarge, tokens: []string{tokenTooLarge}}

// unreadable is the refusal of a body that breaks off, is too large or is malformed.
func unreadable(err error, token string) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, multipart.ErrMessageTooLarge) {
		return tooLarge
	}
	return refusal{status: http.StatusBadRequest, tokens: []string{token}}
}
