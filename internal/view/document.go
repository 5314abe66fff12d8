package view

import (
	"net/url"
	"strconv"

	"barong/internal/person"
)

// File is a link to an uploaded file.
type File struct {
	URL string `json:"url" doc:"Relative; empty for staff who may not read documents; works for everybody who has it, for upload_auth_url_expiration minutes."`
}

// Document is a document as its owner sees it; the number may be masked.
type Document struct {
	Upload    File    `json:"upload"`
	Type      string  `json:"doc_type"`
	Number    *string `json:"doc_number"`
	Expires   *string `json:"doc_expire"`
	Metadata  *string `json:"metadata"`
	CreatedAt Time    `json:"created_at"`
	UpdatedAt Time    `json:"updated_at"`
}

// DocumentOf shows d, with a link to its file.
func (m Masks) DocumentOf(d person.Document, l person.Link) Document {
	return Document{
		Upload: FileOf(l), Type: d.Type, Number: m.text(d.Number, MaskDocNumber), Expires: d.Expires, Metadata: d.Metadata,
		CreatedAt: Time(d.CreatedAt), UpdatedAt: Time(d.UpdatedAt),
	}
}

// FileOf shows l.
func FileOf(l person.Link) File {
	q := url.Values{"expires": {strconv.FormatInt(l.Expires, 10)}, "signature": {l.Signature}}
	return File{"/api/v2/barong/public/documents/" + url.PathEscape(l.ID) + "?" + q.Encode()}
}
