package person

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"barong/internal/secret"
)

// ErrLink says that a link to a file was not made here, or has expired.
var ErrLink = errors.New("person: the link is not valid")

// A Link opens the file of a document, for everybody who has it, until it expires.
type Link struct {
	ID        string // of the document
	Expires   int64  // seconds since 1970
	Signature string
}

// String keeps the signature out of logs and errors.
func (l Link) String() string { return "link to document " + l.ID }

// GoString keeps it out of %#v.
func (l Link) GoString() string { return l.String() }

// Links makes links to files. It is immutable and safe for concurrent use; nil makes none that works.
type Links struct {
	key  []byte
	life time.Duration
}

// NewLinks derives the key from the master key (secret.ParseKey); links work for life.
func NewLinks(master []byte, life time.Duration) (*Links, error) {
	key, err := secret.SubKey(master, "document-link")
	if err != nil {
		return nil, fmt.Errorf("links to documents: %w", err)
	}
	return &Links{key, life}, nil
}

// String keeps the key out of logs and errors.
func (*Links) String() string { return "person.Links" }

// GoString keeps it out of %#v.
func (l *Links) GoString() string { return l.String() }

// Link makes a link to the file of d.
func (s *Service) Link(d Document) Link {
	if s.links == nil {
		return Link{ID: d.ID}
	}
	l := Link{ID: d.ID, Expires: s.now().Add(s.links.life).Unix()}
	l.Signature = base64.RawURLEncoding.EncodeToString(s.links.mac(l))
	return l
}

// mac is HMAC-SHA-256 over the id and the time, with a NUL between them.
func (l *Links) mac(of Link) []byte {
	h := hmac.New(sha256.New, l.key)
	fmt.Fprintf(h, "%s\x00%d", of.ID, of.Expires)
	return h.Sum(nil)
}

// verify reports whether l has made a link that has not expired.
func (l *Links) verify(of Link, now time.Time) bool {
	if l == nil {
		return false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(of.Signature)
	return err == nil && hmac.Equal(mac, l.mac(of)) && now.Unix() < of.Expires
}
