package identity

import (
	"context"

	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
)

type documentLink struct {
	ID        string `name:"id"`
	Expires   int64  `name:"expires" rule:"required" in:"query" doc:"As in the link, seconds since 1970."`
	Signature string `name:"signature" rule:"required,nonblank" in:"query" doc:"As in the link."`
}

func (a *API) documents(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/{id}", Cost: limit.List, Summary: "Where the links to files of documents lead.",
		Errors: rest.All(
			rest.On(person.ErrLink, 403, ".invalid_link"),
			rest.On(person.ErrNoDocument, 404, "record.not_found"),
		),
	}, a.document)
}

func (a *API) document(ctx context.Context, _ visitor, in documentLink) (rest.Attachment, error) {
	d, content, err := a.Persons.OpenFile(ctx, person.Link{ID: in.ID, Expires: in.Expires, Signature: in.Signature})
	if err != nil {
		return rest.Attachment{}, err
	}
	return rest.Attachment{Name: d.FileName, Type: d.Media, Size: d.Size, Content: content}, nil
}
