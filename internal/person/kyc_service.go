package person

import (
	"context"
	"errors"
	"io"
)

// ErrKYCRefused says that the provider has looked at a submission and will not take it.
var ErrKYCRefused = errors.New("person: the KYC provider refuses it")

// KYCService is the whole of an outside provider; kycaid.Client is one. Its methods that make something
// return the provider's id of it, of 1 to 255 bytes; another call with the same key is a repetition.
//
// They return ErrKYCRefused when the provider will never take it. Any other error is worth another try;
// one that wraps event.ErrUnavailable says that nobody's submissions are taken just now.
type KYCService interface {
	KYCProvider
	// VerifySignature returns nil when the provider has signed body.
	VerifySignature(body []byte, signature string) error
	// CreateApplicant makes a person known.
	CreateApplicant(ctx context.Context, key string, a KYCPerson) (id string, err error)
	// CreateFile hands a file over, which belongs to nothing yet.
	CreateFile(ctx context.Context, key string, f KYCFile) (id string, err error)
	// CreateDocument and CreateAddress make proofs of an applicant of files.
	CreateDocument(ctx context.Context, key string, p KYCPaper) (id string, err error)
	CreateAddress(ctx context.Context, key string, h KYCHome) (id string, err error)
	// StartVerification asks for the results of an applicant that types names; the provider calls back.
	StartVerification(ctx context.Context, key, applicant string, types []string) (id string, err error)
}

// A KYCPerson is what the provider of identity checks learns of a person; absent texts are empty.
type KYCPerson struct {
	FirstName, LastName string
	DOB                 string // YYYY-MM-DD
	Country             string // alpha-2 code of ISO 3166-1
	Email               string
	Phone               string // the last one that was proved, international, with "+"
}

// String keeps the person out of logs and errors.
func (KYCPerson) String() string { return "[person]" }

// GoString keeps the person out of %#v.
func (p KYCPerson) GoString() string { return p.String() }

// A KYCFile is one file on its way to the provider of identity checks.
type KYCFile struct {
	Name    string // of no meaning, with the extension
	Media   string
	Size    int64
	Content io.Reader
}

// A KYCPaper is a document as the provider learns of it; absent texts are empty.
type KYCPaper struct {
	Applicant       string
	Type            string // PASSPORT, GOVERNMENT_ID, DRIVERS_LICENSE or SELFIE_IMAGE
	Number          string
	Issued, Expires string // YYYY-MM-DD
	Front, Back     string // files
}

// String keeps the document out of logs and errors.
func (p KYCPaper) String() string { return "[document of " + p.Applicant + "]" }

// GoString keeps it out of %#v.
func (p KYCPaper) GoString() string { return p.String() }

// A KYCHome is an address as the provider learns of it, with the files that prove it, KYCPages at most.
type KYCHome struct {
	Applicant                 string
	Country                   string // alpha-2 code of ISO 3166-1
	City, PostalCode, Address string
	Pages                     []string // files, in the order of their upload
}

// KYCPages is how many files a provider takes as the proof of an address.
const KYCPages = 5

// String keeps the address out of logs and errors.
func (h KYCHome) String() string { return "[address of " + h.Applicant + "]" }

// GoString keeps it out of %#v.
func (h KYCHome) GoString() string { return h.String() }
