package resource

import (
	"context"
	"time"

	"barong/internal/limit"
	"barong/internal/person"
	"barong/internal/rest"
	"barong/internal/view"
)

// maxUploads bounds the body of a request with files: fifty megabytes of them, in base64 if need be,
// and what is around them.
const maxUploads = 50<<20*4/3 + 1<<20

// documentCategory is the part of a document that a file shows.
type documentCategory string

// Values implements rest.Valued.
func (documentCategory) Values() (allowed []string, token string) {
	return []string{"front_side", "back_side", "selfie"}, "resource.documents.doc_category"
}

type documentInput struct {
	Type          string            `name:"doc_type" rule:"required,nonblank" in:"body" doc:"One that the operator allows: Passport, Identity card, Driver license, …"`
	Number        string            `name:"doc_number" rule:"required,nonblank" in:"body" doc:"At most 128 letters, digits, spaces and -."`
	Files         []rest.File       `name:"upload" rule:"required" in:"body" doc:"At most 10 files, upload[] in forms; or their base64 texts, plain or as data URIs."`
	Expires       *rest.Date        `name:"doc_expire" in:"body" invalid:"resource.documents.expire_not_a_date" doc:"Day of expiry, not over; may be mandatory."`
	Issued        *rest.Date        `name:"doc_issue" in:"body" invalid:"resource.documents.issue_not_a_date" doc:"Day of issue."`
	Category      *documentCategory `name:"doc_category" in:"body" doc:"The part of the document that the files show."`
	Identificator string            `name:"identificator" in:"body" doc:"Common to the files of one document; made when it is absent."`
	Metadata      *string           `name:"metadata" in:"body" invalid:"metadata.invalid_format" doc:"JSON text of the client's own."`
}

type addressInput struct {
	Country  string      `name:"country" rule:"required,nonblank" in:"body"`
	Address  string      `name:"address" rule:"required,nonblank" in:"body"`
	Files    []rest.File `name:"upload" rule:"required" in:"body" doc:"As for documents."`
	City     string      `name:"city" rule:"required" in:"body"`
	Postcode string      `name:"postcode" rule:"required" in:"body"`
}

// fileFailures are those of everything that stores files.
func (a *API) fileFailures() rest.Failure {
	return rest.All(
		rest.Rules(a.Documents.UploadTokens(rest.TokenWord)...),
		rest.On(person.ErrInfected, 422, "upload.infected"),
		rest.OnText(person.ErrFiles, 422, "Connection error"),
	)
}

func (a *API) documents(g rest.Group[me]) {
	rest.Add(g, rest.Op{Method: "GET", Summary: "List your documents, those of addresses among them."}, a.listDocuments)
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Store the files of a document, all or none, and have it reviewed.",
		Cost: limit.Upload, MaxBody: maxUploads,
		Errors: rest.All(
			rest.On(person.ErrNoExpiry, 422, "resource.documents.invalid_format"),
			rest.On(person.ErrExpired, 422, "resource.documents.already_expired"),
			rest.On(person.ErrDocumentsFull, 400, "resource.documents.limit_reached"),
			rest.On(person.ErrTooManyDocuments, 400, "resource.documents.limit_will_be_reached"),
			rest.Rules("doc_type.inclusion", "doc_number.too_long", "doc_number.invalid", "identificator.too_long",
				"metadata.too_long", "metadata.invalid_format"),
			a.fileFailures(),
		),
	}, a.addDocuments)
}

func (a *API) addresses(g rest.Group[me]) {
	rest.Add(g, rest.Op{
		Method: "POST", Summary: "Store the files that prove an address, all or none, and have it reviewed.",
		Cost: limit.Upload, MaxBody: maxUploads,
		Errors: rest.All(
			rest.Alike(400, "resource.addresses.limit_reached", person.ErrDocumentsFull, person.ErrTooManyDocuments),
			rest.Rules("country.too_long", "address.too_long", "city.too_long", "postcode.too_long"),
			a.fileFailures(),
		),
	}, a.addAddress)
}

func (a *API) listDocuments(ctx context.Context, who me, _ rest.None) ([]view.Document, error) {
	list, err := a.Persons.Documents(ctx, who.Actor)
	out := make([]view.Document, len(list))
	for i, d := range list {
		out[i] = a.Masks.DocumentOf(d, a.Persons.Link(d))
	}
	return out, err
}

func (a *API) addDocuments(ctx context.Context, who me, in documentInput) (rest.None, error) {
	return rest.None{}, a.Persons.AddDocuments(ctx, who.Actor, person.DocumentInput{
		Type: in.Type, Number: in.Number, Expires: (*time.Time)(in.Expires), Issued: (*time.Time)(in.Issued),
		Category: (*string)(in.Category), Identificator: in.Identificator, Metadata: in.Metadata, Files: uploads(in.Files),
	})
}

func (a *API) addAddress(ctx context.Context, who me, in addressInput) (rest.None, error) {
	return rest.None{}, a.Persons.AddAddress(ctx, who.Actor, person.Address{
		Country: in.Country, Address: in.Address, City: in.City, Postcode: in.Postcode,
	}, uploads(in.Files))
}

func uploads(files []rest.File) []person.Upload {
	out := make([]person.Upload, len(files))
	for i, f := range files {
		out[i] = person.Upload(f)
	}
	return out
}
