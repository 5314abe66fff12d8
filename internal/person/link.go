package person

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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
	keys [][]byte // the first makes links, each knows them again
	life time.Duration
}

// NewLinks derives the key of new links from the master key (secret.ParseKey), and those of links that are
// known as well from others; links work for life.
func NewLinks(life time.Duration, master []byte, others ...[]byte) (*Links, error) {
	l := &Links{life: life}
	for _, m := range append([][]byte{master}, others...) {
		key, err := secret.SubKey(m, "document-link")
		if err != nil {
			return nil, fmt.Errorf("links to documents: %w", err)
		}
		l.keys = append(l.keys, key)
	}
	return l, nil
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
	l.Signature = base64.RawURLEncoding.EncodeToString(mac(s.links.keys[0], l))
	return l
}

// mac is HMAC-SHA-256 over the id and the time, with a NUL between them.
func mac(key []byte, of Link) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s\x00%d", of.ID, of.Expires)
	return h.Sum(nil)
}

// verify reports whether l has made a link that has not expired.
func (l *Links) verify(of Link, now time.Time) bool {
	if l == nil {
		return false
	}
	sent, err := base64.RawURLEncoding.Strict().DecodeString(of.Signature)
	if err != nil || now.Unix() >= of.Expires {
		return false
	}
	return slices.ContainsFunc(l.keys, func(key []byte) bool { return hmac.Equal(sent, mac(key, of)) })
}
