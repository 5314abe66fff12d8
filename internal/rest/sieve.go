package rest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"unicode/utf8"

	"barong/internal/param"
)

// maxText is the size in bytes up to which one text of a body with uploads stays in memory.
const maxText = 256 << 10

// maxPartHead bounds the header of one part of a multipart body, in bytes, and maxParts the parts.
const maxPartHead, maxParts = 64 << 10, 1000

// A sieve takes the parameters of one body and keeps its files and long texts in a spool, so that the
// memory of a request does not grow with its uploads. What stays, the short texts and all names, has
// room bytes. In the meantime a name that nobody can guess stands for each text in the spool.
type sieve struct {
	spool *spool // nil for an endpoint without files: theirs are dropped, and no text is long
	room  int64
	most  int // the bytes of a text that stays
	nonce string
	held  map[string]longText

	out    bytes.Buffer // of JSON and forms: the text that stays
	begins int          // of the value that is being copied, in out
	long   *piece       // of that value once it is too long for memory
	size   int64        // of long
	plain  escapes      // of that value
}

// longText is a text of a body that is not in memory. It is none for any parameter but a file.
type longText struct{ *io.SectionReader }

// errBroken says that a long text is not written as its kind of body wants.
var errBroken = errors.New("rest: broken escape")

func newSieve(s *spool, room int64) *sieve {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return &sieve{spool: s, room: room, most: maxText, nonce: hex.EncodeToString(b[:]), held: map[string]longText{}}
}

// hold returns the name by which a text in the spool goes until all is read.
func (s *sieve) hold(text *io.SectionReader) string {
	name := fmt.Sprintf("spool-%s-%d", s.nonce, len(s.held))
	s.held[name] = longText{text}
	return name
}

// restore puts the long texts of a tree back into their places: parameters, and elements of lists.
func (s *sieve) restore(tree map[string]any) map[string]any {
	if len(s.held) == 0 {
		return tree
	}
	back := func(v any) any {
		name, _ := v.(string)
		if text, ok := s.held[name]; ok {
			return text
		}
		return v
	}
	for key, v := range tree {
		if list, ok := v.([]any); ok {
			for i := range list {
				list[i] = back(list[i])
			}
			continue
		}
		tree[key] = back(v)
	}
	return tree
}

// json reads a JSON value as param.JSON does.
func (s *sieve) json(r *bufio.Reader) (map[string]any, error) {
	inside, escaped := false, false
	for {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			if s.long != nil {
				return nil, io.ErrUnexpectedEOF
			}
			tree, err := param.JSON(s.out.Bytes())
			return s.restore(tree), err
		case err != nil:
			return nil, err
		case !inside:
			if err := s.keep(c); err != nil {
				return nil, err
			}
			if inside = c == '"'; inside {
				s.begin(new(jsonEscapes))
			}
		case c == '"' && !escaped:
			if err := errors.Join(s.end(), s.keep('"')); err != nil {
				return nil, err
			}
			inside = false
		default:
			escaped = c == '\\' && !escaped
			if err := s.add(c); err != nil {
				return nil, err
			}
		}
	}
}

// form reads an urlencoded body as param.Form does.
func (s *sieve) form(r *bufio.Reader) (map[string]any, error) {
	inside := false
	for {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			if inside {
				if err := s.end(); err != nil {
					return nil, err
				}
			}
			tree, err := param.Form(s.out.String())
			return s.restore(tree), err
		case err != nil:
			return nil, err
		case inside && c != '&':
			if err := s.add(c); err != nil {
				return nil, err
			}
			continue
		case inside:
			if err := s.end(); err != nil {
				return nil, err
			}
			inside = false
		}
		if err := s.keep(c); err != nil {
			return nil, err
		}
		if c == '=' {
			inside = true
			s.begin(new(formEscapes))
		}
	}
}

// keep adds a byte to the text that stays.
func (s *sieve) keep(c byte) error {
	if s.room--; s.room < 0 {
		return tooLarge
	}
	return s.out.WriteByte(c)
}

// begin is called before the first byte of a value.
func (s *sieve) begin(plain escapes) { s.begins, s.plain = s.out.Len(), plain }

// add adds a byte of a value as it was sent. From maxText on it goes into the spool.
func (s *sieve) add(c byte) error {
	if s.long != nil {
		return s.unescape(c)
	}
	if err := s.keep(c); err != nil {
		return err
	}
	if s.spool == nil || s.out.Len()-s.begins <= s.most {
		return nil
	}
	p, err := s.spool.piece()
	if err != nil {
		return err
	}
	s.long, s.size = p, 0
	for _, c := range s.out.Bytes()[s.begins:] {
		if err := s.unescape(c); err != nil {
			return err
		}
	}
	s.room += int64(s.out.Len() - s.begins)
	s.out.Truncate(s.begins)
	return nil
}

// unescape writes the meaning of the next byte of a long value.
func (s *sieve) unescape(c byte) error {
	c, ok, err := s.plain.next(c)
	if err != nil || !ok {
		return err
	}
	s.size++
	return s.long.WriteByte(c)
}

// end is called behind the last byte of a value.
func (s *sieve) end() error {
	if s.long == nil {
		return nil
	}
	if !s.plain.complete() {
		return errBroken
	}
	text, err := s.long.end(s.size)
	if err != nil {
		return err
	}
	s.long = nil
	_, err = s.out.WriteString(s.hold(text))
	return err
}

// escapes reads a value of a body byte by byte.
type escapes interface {
	// next returns the byte that c completes, if it does; an error for a value that is broken.
	next(c byte) (plain byte, ok bool, err error)
	// complete reports whether a value may end here.
	complete() bool
}

// noBase64 stands in long texts for characters that files are not written with.
const noBase64 = 0xff

// jsonEscapes are those of RFC 8259 section 7. Characters beyond ASCII become noBase64.
type jsonEscapes struct {
	open   bool // behind a backslash
	digits int  // of \u that are still to come
	code   rune
}

func (e *jsonEscapes) complete() bool { return !e.open && e.digits == 0 }

func (e *jsonEscapes) next(c byte) (byte, bool, error) {
	switch {
	case e.digits > 0:
		n, ok := hexDigit(c)
		if !ok {
			return 0, false, errBroken
		}
		e.code = e.code<<4 | rune(n)
		if e.digits--; e.digits > 0 {
			return 0, false, nil
		}
		if e.code >= utf8.RuneSelf {
			return noBase64, true, nil
		}
		return byte(e.code), true, nil
	case e.open:
		e.open = false
		switch c {
		case '"', '\\', '/':
			return c, true, nil
		case 'b', 'f', 'n', 'r', 't':
			return map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c], true, nil
		case 'u':
			e.digits, e.code = 4, 0
			return 0, false, nil
		}
		return 0, false, errBroken
	case c == '\\':
		e.open = true
		return 0, false, nil
	case c < ' ':
		return 0, false, errBroken
	}
	return c, true, nil
}

// formEscapes are those of application/x-www-form-urlencoded.
type formEscapes struct {
	digits int // of % that are still to come
	code   byte
}

func (e *formEscapes) complete() bool { return e.digits == 0 }

func (e *formEscapes) next(c byte) (byte, bool, error) {
	switch {
	case e.digits > 0:
		n, ok := hexDigit(c)
		if !ok {
			return 0, false, errBroken
		}
		e.code = e.code<<4 | n
		e.digits--
		return e.code, e.digits == 0, nil
	case c == '%':
		e.digits, e.code = 2, 0
		return 0, false, nil
	case c == ';': // as net/url has it
		return 0, false, errBroken
	case c == '+':
		return ' ', true, nil
	}
	return c, true, nil
}

func hexDigit(c byte) (n byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// multipart reads a multipart/form-data body: files become File, parts without a file name texts.
func (s *sieve) multipart(r io.Reader, boundary string) (map[string]any, error) {
	bounded := &meter{r: r}
	parts := multipart.NewReader(bounded, boundary)
	values, files := url.Values{}, map[string][]any{}
	for n := 0; ; n++ {
		bounded.left, bounded.on = maxPartHead, true
		part, err := parts.NextPart()
		switch {
		case err == io.EOF: //nolint:errorlint // one that comes too early is wrapped
			return s.restore(param.Parts(values, files)), nil
		case err != nil:
			return nil, err
		case n == maxParts:
			return nil, tooLarge
		}
		bounded.on = false
		name := part.FormName()
		if s.room -= int64(len(name)); s.room < 0 {
			return nil, tooLarge
		}
		if part.FileName() != "" && name != "" {
			f, err := s.file(part)
			if err != nil {
				return nil, err
			}
			files[name] = append(files[name], f)
			continue
		}
		text, err := s.text(part)
		if err != nil {
			return nil, err
		}
		if name != "" {
			values.Add(name, text)
		}
	}
}

// file keeps a file.
func (s *sieve) file(part *multipart.Part) (File, error) {
	f := File{Name: part.FileName()}
	if s.room -= int64(len(f.Name)); s.room < 0 {
		return f, tooLarge
	}
	if s.spool == nil {
		_, err := io.Copy(io.Discard, part)
		return f, err
	}
	var err error
	f.Content, err = s.spool.take(part)
	return f, err
}

// text reads a part without a file name.
func (s *sieve) text(part *multipart.Part) (string, error) {
	limit := s.room
	if s.spool != nil {
		limit = min(limit, int64(s.most))
	}
	b, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case err != nil:
		return "", err
	case int64(len(b)) <= limit:
		s.room -= int64(len(b))
		return string(b), nil
	case limit < int64(s.most) || s.spool == nil:
		return "", tooLarge
	}
	long, err := s.spool.take(io.MultiReader(bytes.NewReader(b), part))
	if err != nil {
		return "", err
	}
	return s.hold(long), nil
}

// meter bounds what is read through it while it is on.
type meter struct {
	r    io.Reader
	on   bool
	left int64
}

// Read implements io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	if !m.on {
		return m.r.Read(b)
	}
	if m.left <= 0 {
		return 0, tooLarge
	}
	n, err := m.r.Read(b[:min(int64(len(b)), m.left)])
	m.left -= int64(n)
	return n, err
}
