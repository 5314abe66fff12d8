package management

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"

	"barong/internal/account"
	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
)

type documentInput struct {
	UID          string     `name:"uid" rule:"required,nonblank"`
	Type         string     `name:"doc_type" rule:"required,nonblank"`
	Number       string     `name:"doc_number" rule:"required,nonblank" doc:"Letters, digits, - and blanks; at most 128."`
	FileName     string     `name:"filename" rule:"required,nonblank" doc:"Without the extension."`
	Extension    string     `name:"file_ext" rule:"required,nonblank" doc:"With the dot: .jpg"`
	Upload       string     `name:"upload" rule:"required" doc:"The file in base64 (RFC 4648, section 4)."`
	Expires      *rest.Date `name:"doc_expire" invalid:"management.documents.expire_not_a_date" doc:"YYYY-MM-DD; mandatory where required_docs_expire is on."`
	UpdateLabels bool       `name:"update_labels" default:"true" invalid:"management.documents.update_labels_invalid" doc:"Open the review of the document, whose label is document."`
	Metadata     *string    `name:"metadata" doc:"JSON text."`
}

var errBase64 = errors.New("management: not base64")

// filesAtOnce bounds the requests with a file that are served at once: each is in memory, whole,
// several times.
const filesAtOnce = 2

// turnWait is how long a request with a file waits for its turn.
const turnWait = 5 * time.Second

// oneOfFew is g for requests with a file: further ones wait, and are then refused as one too many.
func (a *API) oneOfFew(g rest.Guard[services]) rest.Guard[services] {
	a.turns = make(chan struct{}, filesAtOnce)
	admit := g.Admit
	g.Admit = func(r *http.Request) (services, error) {
		late := time.NewTimer(turnWait)
		defer late.Stop()
		select {
		case a.turns <- struct{}{}:
			context.AfterFunc(r.Context(), func() { <-a.turns }) // it ends with the request
			return admit(r)
		case <-late.C:
			return services{}, limit.TooMany{RetryAfter: turnWait}
		case <-r.Context().Done():
			return services{}, r.Context().Err()
		}
	}
	return g
}

// bodyFor is the size of a body with a file of so many bytes: base64 twice, and a little beside it.
func bodyFor(file int64) int64 { return file*16/9 + 64<<10 }

func (a *API) documents(g rest.Group[services]) {
	tokens := append(a.Documents.UploadTokens("exe"), "upload.infected", "doc_expire.blank", "doc_expire.invalid", "doc_type.inclusion",
		"doc_number.too_long", "doc_number.invalid", "metadata.too_long", "metadata.invalid_format")
	rest.Add(a.scoped(g, documentsWriteScope).Worded(rest.Wording{Rules: joined}), rest.Op{
		Method: "POST", MaxBody: bodyFor(a.Documents.SizeMax), Summary: "Store a document of a user.",
		Errors: rest.All(
			rest.On(account.ErrNoUser, 422, "user doesnt exist"),
			rest.OnText(errBase64, 422, "Upload is invalid"),
			rest.Rules(tokens...)),
	}, a.createDocument)
}

func (a *API) createDocument(ctx context.Context, who services, in documentInput) (rest.None, error) {
	content, err := base64.StdEncoding.Strict().DecodeString(in.Upload)
	if err != nil {
		return rest.None{}, errBase64
	}
	file := person.Upload{Name: in.FileName + in.Extension}
	if len(content) > 0 {
		file.Content = io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))
	}
	err = a.Persons.EnterDocument(ctx, who.Actor, in.UID, person.DocumentInput{
		Type: in.Type, Number: in.Number, Expires: (*time.Time)(in.Expires), Metadata: in.Metadata, Files: []person.Upload{file},
	}, !in.UpdateLabels)
	if errors.Is(err, person.ErrInfected) {
		err = infected{err}
	}
	return rest.None{}, err
}

// infected is person.ErrInfected as a rule that the file breaks.
type infected struct{ error }

func (infected) Tokens() []string { return []string{"upload.infected"} }
