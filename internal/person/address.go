package person

import (
	"context"
	"fmt"
	"unicode/utf8"

	"barong/internal/account"
	"barong/internal/invalid"
	"barong/internal/secret"
)

// An Address is the statement that documents of an address prove.
type Address struct {
	Country  string `json:"country"` // as sent
	Address  string `json:"address"`
	City     string `json:"city"`
	Postcode string `json:"postcode"`
}

// String keeps the address out of logs and errors.
func (Address) String() string { return "person.Address" }

// GoString keeps it out of %#v.
func (a Address) GoString() string { return a.String() }

// AddAddress stores a document of the actor's for each file, all or none, which prove the address, and
// opens its review again. Errors: ErrDocumentsFull, ErrTooManyDocuments, Invalid, ErrInfected,
// ErrScanner, ErrFiles, account.ErrNoUser.
func (s *Service) AddAddress(ctx context.Context, by account.Actor, a Address, files []Upload) error {
	var wrong invalid.Fields
	for _, f := range []struct{ name, text string }{
		{"country", a.Country}, {"address", a.Address}, {"city", a.City}, {"postcode", a.Postcode},
	} {
		if utf8.RuneCountInString(f.text) > longest {
			wrong.Add(f.name, invalid.TooLong)
		}
	}
	d := Document{UserUID: by.UID, Type: AddressType, Identificator: secret.Hex(16), Address: &a}
	if err := s.store(ctx, filing{by: by, action: "address create"}, d, files, wrong); err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	return nil
}
