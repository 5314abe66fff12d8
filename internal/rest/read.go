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

// read takes the query and the body of r apart, whatever the verb. done frees the place of uploads;
// it is never nil. Errors are refusals, but for errSpool.
func (s *Server) read(r *http.Request, e *endpoint) (p params, done func(), err error) {
	done = func() {}
	if p.query, err = param.Form(r.URL.RawQuery); err != nil {
		return p, done, refusal{status: http.StatusBadRequest, tokens: []string{tokenQuery}}
	}
	var sent io.Reader = r.Body
	if e.in.raw {
		if p.raw, err = io.ReadAll(sent); err != nil {
			return p, done, unreadable(err, tokenForm)
		}
		sent = bytes.NewReader(p.raw)
	}
	body := bufio.NewReader(sent)
	if _, err := body.Peek(1); err == io.EOF {
		return p, done, nil
	} else if err != nil {
		return p, done, unreadable(err, tokenForm)
	}
	contentType := r.Header.Get("Content-Type")
	media, args, err := mime.ParseMediaType(contentType)
	if contentType == "" {
		media = "application/json"
	} else if err != nil {
		media = ""
	}
	var disk *spool
	if e.in.files != nil {
		disk = &spool{dir: s.config.Spool}
		done = disk.close
	}
	switch media {
	case "application/json":
		p.body, err = readJSON(body, s.sieve(e, disk))
	case "application/x-www-form-urlencoded":
		p.body, err = readForm(body, s.sieve(e, disk))
	case "multipart/form-data":
		p.body, err = s.sieve(e, disk).multipart(body, args["boundary"])
		err = unreadable(err, tokenForm)
	default:
		err = refusal{status: http.StatusUnsupportedMediaType,
			text: fmt.Sprintf("The provided content-type '%s' is not supported.", clip(contentType, 128))}
	}
	if err != nil {
		return p, done, err
	}
	return p, done, e.in.decode(p.body, disk)
}

// sieve is that of a request of e. The server's bound on bodies bounds the memory of one with uploads.
func (s *Server) sieve(e *endpoint, disk *spool) *sieve {
	room := e.op.MaxBody
	if disk != nil {
		room = s.config.MaxBody
	}
	return newSieve(disk, room)
}

// decode puts files in the place of the texts and lists of which parameters are files.
func (pl *plan) decode(body map[string]any, disk *spool) error {
	for _, name := range pl.files {
		raw, sent := body[name]
		if !sent { // JSON with the name that forms have
			raw, sent = body[name+"[]"]
		}
		if !sent {
			continue
		}
		list, ok := raw.([]any)
		if !ok {
			list = []any{raw}
		}
		files := make([]any, len(list))
		for i, v := range list {
			f, err := disk.fileOf(v)
			if err != nil {
				return err
			}
			files[i] = f
		}
		body[name] = files
	}
	return nil
}

// readJSON reads one JSON value; anything but an object has no parameters.
func readJSON(r *bufio.Reader, in *sieve) (values map[string]any, err error) {
	if in.spool != nil {
		values, err = in.json(r)
	} else {
		values, err = whole(r, func(text []byte) (map[string]any, error) { return param.JSON(text) })
	}
	return values, unreadable(err, tokenJSON)
}

func readForm(r *bufio.Reader, in *sieve) (values map[string]any, err error) {
	if in.spool != nil {
		values, err = in.form(r)
	} else {
		values, err = whole(r, func(text []byte) (map[string]any, error) { return param.Form(string(text)) })
	}
	return values, unreadable(err, tokenForm)
}

// whole parses a body in memory.
func whole(r io.Reader, parse func([]byte) (map[string]any, error)) (map[string]any, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

var tooLarge = refusal{status: http.StatusRequestEntityTooLarge, tokens: []string{tokenTooLarge}}

// unreadable is the refusal of a body that breaks off, is too large or is malformed; nil stays nil, and
// so does the disk's error.
func unreadable(err error, token string) error {
	if err == nil || errors.Is(err, errSpool) {
		return err
	}
	if bad, ok := errors.AsType[refusal](err); ok {
		return bad
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, multipart.ErrMessageTooLarge) {
		return tooLarge
	}
	return refusal{status: http.StatusBadRequest, tokens: []string{token}}
}
