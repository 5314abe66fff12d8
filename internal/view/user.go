package view

import (
	"barong/internal/account"
	"barong/internal/person"
	"barong/internal/roster"
)

// User is an account without its belongings.
type User struct {
	Email       string  `json:"email"`
	UID         string  `json:"uid"`
	Role        string  `json:"role"`
	Level       int     `json:"level"`
	OTP         bool    `json:"otp" doc:"Whether the second factor is on."`
	State       string  `json:"state"`
	ReferralUID *string `json:"referral_uid"`
	Data        *string `json:"data" doc:"JSON text of the client's own."`
	Username    *string `json:"username"`
}

// UserOf shows u.
func UserOf(u account.User) User {
	return User{
		Email: u.Email, UID: u.UID, Role: u.Role, Level: u.Level, OTP: u.OTP, State: u.State,
		ReferralUID: u.ReferralUID, Data: u.Data, Username: u.Username,
	}
}

// UserWithFullInfo is an account with all that its owner may see of it
// (D16).
type UserWithFullInfo struct {
	User
	CSRFToken    string        `json:"csrf_token,omitempty" doc:"Only in answers that open a session."`
	Labels       []Label       `json:"labels"`
	Phones       []Phone       `json:"phones"`
	Profile      *Profile      `json:"profile" doc:"The newest one."`
	Profiles     []Profile     `json:"profiles"`
	DataStorages []DataStorage `json:"data_storages"`
	CreatedAt    Time          `json:"created_at"`
	UpdatedAt    Time          `json:"updated_at"`
}

// UserWithFullInfoOf shows u with its belongings, in row order.
func (m Masks) UserWithFullInfoOf(u account.User, b person.Belongings) UserWithFullInfo {
	v := UserWithFullInfo{
		User: UserOf(u), Labels: LabelsOf(b.Labels), Phones: m.PhonesOf(b.Phones),
		Profiles: m.ProfilesOf(b.Profiles), DataStorages: make([]DataStorage, len(b.Storages)),
		CreatedAt: Time(u.CreatedAt), UpdatedAt: Time(u.UpdatedAt),
	}
	if n := len(v.Profiles); n > 0 {
		v.Profile = &v.Profiles[n-1]
	}
	for i, d := range b.Storages {
		v.DataStorages[i] = DataStorageOf(d)
	}
	return v
}

// UserWithProfile is an account of a list; the members beside the account's are there if the list was
// asked to be extended.
type UserWithProfile struct {
	User
	Profile   *Profile  `json:"profile,omitempty" doc:"The newest one."`
	Profiles  []Profile `json:"profiles,omitzero"`
	CreatedAt Time      `json:"created_at,omitzero"`
	UpdatedAt Time      `json:"updated_at,omitzero"`
}

// UserInList shows e alone.
func UserInList(e roster.Entry) UserWithProfile { return UserWithProfile{User: UserOf(e.User)} }

// UserWithProfileOf shows e with its profiles, clear.
func UserWithProfileOf(e roster.Entry) UserWithProfile {
	v := UserWithProfile{
		User: UserOf(e.User), Profiles: Masks(false).ProfilesOf(e.Profiles), CreatedAt: Time(e.CreatedAt), UpdatedAt: Time(e.UpdatedAt),
	}
	if n := len(v.Profiles); n > 0 {
		v.Profile = &v.Profiles[n-1]
	}
	return v
}

// UserWithKYC is an account with all that staff see of it (design D16).
type UserWithKYC struct {
	User
	Profile      *Profile      `json:"profile" doc:"The newest one."`
	Profiles     []Profile     `json:"profiles"`
	Labels       []AdminLabel  `json:"labels"`
	Phones       []Phone       `json:"phones"`
	Documents    []Document    `json:"documents"`
	DataStorages []DataStorage `json:"data_storages"`
	Comments     []Comment     `json:"comments"`
	CreatedAt    Time          `json:"created_at"`
	UpdatedAt    Time          `json:"updated_at"`
}

// Applicant is an account of the list of those whose documents wait for a decision; the members beside the
// account's are those of UserWithKYC, and there if the list was asked to be extended.
type Applicant struct {
	User
	Profile      *Profile      `json:"profile,omitempty" doc:"The newest one."`
	Profiles     []Profile     `json:"profiles,omitzero"`
	Labels       []AdminLabel  `json:"labels,omitzero"`
	Phones       []Phone       `json:"phones,omitzero"`
	Documents    []Document    `json:"documents,omitzero"`
	DataStorages []DataStorage `json:"data_storages,omitzero"`
	Comments     []Comment     `json:"comments,omitzero"`
	CreatedAt    Time          `json:"created_at,omitzero"`
	UpdatedAt    Time          `json:"updated_at,omitzero"`
}

// A Sight is the part of a person that the ability of a reader shows.
type Sight struct {
	// Profiles shows profiles and clear numbers of phones; without it there are no profiles, and numbers
	// are masked.
	Profiles bool
	// Documents shows clear numbers of documents, and links to their files.
	Documents bool
}

// UserWithKYCOf shows u with all that there is about it, in row order; link makes a link to a file.
func (s Sight) UserWithKYCOf(u account.User, d person.Dossier, link func(person.Document) person.Link) UserWithKYC {
	v := UserWithKYC{
		User: UserOf(u), Profiles: []Profile{}, Labels: make([]AdminLabel, len(d.Labels)), Phones: Masks(!s.Profiles).PhonesOf(d.Phones),
		Documents: make([]Document, len(d.Documents)), DataStorages: make([]DataStorage, len(d.Storages)),
		Comments: make([]Comment, len(d.Comments)), CreatedAt: Time(u.CreatedAt), UpdatedAt: Time(u.UpdatedAt),
	}
	if s.Profiles {
		v.Profiles = Masks(false).ProfilesOf(d.Profiles)
	}
	if n := len(v.Profiles); n > 0 {
		v.Profile = &v.Profiles[n-1]
	}
	for i, l := range d.Labels {
		v.Labels[i] = AdminLabelOf(l)
	}
	for i, x := range d.Documents {
		v.Documents[i] = Masks(!s.Documents).DocumentOf(x, person.Link{})
		v.Documents[i].Upload = File{}
		if s.Documents {
			v.Documents[i].Upload = FileOf(link(x))
		}
	}
	for i, x := range d.Storages {
		v.DataStorages[i] = DataStorageOf(x)
	}
	for i, c := range d.Comments {
		v.Comments[i] = CommentOf(c)
	}
	return v
}
