package view

import "barong/internal/person"

// Profile is a profile as its owner sees it; last name and date of birth may be masked. Metadata is JSON text, whatever the old documents say.
type Profile struct {
	FirstName *string `json:"first_name"`
	LastName  *string `json:"last_name"`
	DOB       *string `json:"dob"`
	Address   *string `json:"address"`
	Postcode  *string `json:"postcode"`
	City      *string `json:"city"`
	Country   *string `json:"country"`
	State     *string `json:"state"`
	Metadata  *string `json:"metadata"`
	CreatedAt Time    `json:"created_at"`
	UpdatedAt Time    `json:"updated_at"`
}

// Masks says whether answers hide parts of what identifies a person from its own browser.
type Masks bool

// text is mask of a text that may be absent, or the text where nothing is masked.
func (m Masks) text(s *string, mask func(string) string) *string {
	if s == nil || !bool(m) {
		return s
	}
	hidden := mask(*s)
	return &hidden
}

// ProfileOf shows p.
func (m Masks) ProfileOf(p person.Profile) Profile {
	return Profile{
		FirstName: p.FirstName, LastName: m.text(p.LastName, MaskLastName), DOB: m.text(p.DOB, MaskDOB),
		Address: p.Address, Postcode: p.Postcode, City: p.City, Country: p.Country, State: &p.State, Metadata: p.Metadata,
		CreatedAt: Time(p.CreatedAt), UpdatedAt: Time(p.UpdatedAt),
	}
}

// ProfilesOf shows all of list.
func (m Masks) ProfilesOf(list []person.Profile) []Profile {
	v := make([]Profile, len(list))
	for i, p := range list {
		v[i] = m.ProfileOf(p)
	}
	return v
}
