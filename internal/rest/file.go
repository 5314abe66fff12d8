package rest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// A File is one uploaded element of a list: a file of a multipart body, or the text of one in base64
// (RFC 4648), alone or in a data URI (RFC 2397). The zero value is an element that is neither. Its
// content lasts as long as the handler runs.
type File struct {
	// Name is the client's name of the file, "" for a text. It may hold anything.
	Name string
	// Media is the media type of a data URI, in lower case, "" elsewhere.
	Media string
	// Content is nil for an element that is no file.
	Content *io.SectionReader
}

// fileOf is the file of an element of a list of files. An error is errSpool.
func (s *spool) fileOf(raw any) (File, error) {
	switch v := raw.(type) {
	case File:
		return v, nil
	case string:
		return s.decode(io.NewSectionReader(strings.NewReader(v), 0, int64(len(v))))
	case longText:
		return s.decode(v.SectionReader)
	}
	return File{}, nil
}

// maxURIHead bounds the part of a data URI before its comma, in bytes.
const maxURIHead = 1024

// decode reads the text of a file. Either alphabet of base64 will do, with padding or without, and
// with the line feeds of MIME; anything else is no file. An error is errSpool.
func (s *spool) decode(text *io.SectionReader) (File, error) {
	var f File
	at, media, ok := uriHead(text)
	if !ok {
		return f, nil
	}
	chars := &sextets{r: bufio.NewReader(io.NewSectionReader(text, at, text.Size()-at))}
	plain := base64.NewDecoder(base64.RawStdEncoding.Strict(), chars)
	var content *io.SectionReader
	var err error
	if text.Size() <= maxText {
		var b []byte
		b, err = io.ReadAll(plain)
		content = io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
	} else {
		content, err = s.take(plain)
	}
	switch {
	case errors.Is(err, errSpool):
		return f, err
	case err != nil, at == 0 && content.Size() == 0:
		return f, nil //nolint:nilerr // a text that is no base64 is no file
	}
	return File{Media: media, Content: content}, nil
}

// uriHead finds the place where the base64 of a text begins, and the media type of a data URI. It is
// not ok for a data URI that has no base64.
func uriHead(text *io.SectionReader) (at int64, media string, ok bool) {
	head := make([]byte, min(maxURIHead, text.Size()))
	n, _ := text.ReadAt(head, 0) // what is missing is missed below
	const scheme = "data:"
	if n < len(scheme) || !strings.EqualFold(string(head[:len(scheme)]), scheme) {
		return 0, "", true
	}
	before, _, found := strings.Cut(string(head[:n]), ",")
	if !found {
		return 0, "", false
	}
	words := strings.Split(before[len(scheme):], ";")
	if len(words) < 2 || !strings.EqualFold(strings.TrimSpace(words[len(words)-1]), "base64") {
		return 0, "", false
	}
	return int64(len(before) + 1), strings.ToLower(strings.TrimSpace(words[0])), true
}

// sextets gives the characters of a base64 text in the standard alphabet, without padding.
type sextets struct {
	r         *bufio.Reader
	read, pad int64
}

// errPadding says that a text goes on behind its padding, or that the padding is too long or short.
var errPadding = errors.New("rest: base64 is padded wrongly")

// Read implements io.Reader.
func (s *sextets) Read(b []byte) (n int, err error) {
	for n < len(b) {
		c, err := s.r.ReadByte()
		if err == io.EOF && s.pad > 0 && (s.read+s.pad)%4 != 0 {
			return n, errPadding
		}
		if err != nil {
			return n, err
		}
		switch c {
		case '\r', '\n':
			continue
		case '=':
			if s.pad++; s.pad > 2 {
				return n, errPadding
			}
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		if s.pad > 0 {
			return n, errPadding
		}
		b[n] = c
		n++
		s.read++
	}
	return n, nil
}
