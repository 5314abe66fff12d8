package view

// Profile is a profile as its owner sees it; last name and date of birth are masked by
// MaskLastName and MaskDOB. Metadata is JSON text, whatever the old documents say.
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
