package view

import "barong/internal/person"

// Phone is a phone as its owner sees it; the number may be masked.
type Phone struct {
	Country     string     `json:"country" doc:"Code of ISO 3166, two letters."`
	Number      string     `json:"number" doc:"Digits with the country code, without +."`
	ValidatedAt *MilliTime `json:"validated_at" doc:"Null until the code was entered."`
}

// PhoneOf shows p.
func (m Masks) PhoneOf(p person.Phone) Phone {
	v := Phone{Country: p.Country, Number: *m.text(&p.Number, MaskPhone)}
	if !p.ProvedAt.IsZero() {
		v.ValidatedAt = (*MilliTime)(&p.ProvedAt)
	}
	return v
}

// PhonesOf shows all of list.
func (m Masks) PhonesOf(list []person.Phone) []Phone {
	v := make([]Phone, len(list))
	for i, p := range list {
		v[i] = m.PhoneOf(p)
	}
	return v
}
