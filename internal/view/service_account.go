package view

import "barong/internal/account"

// ServiceAccount is a program's account, as its owner sees it: the union of the documented entity and
// of the reference's answer.
type ServiceAccount struct {
	ID        int64  `json:"id"`
	UID       string `json:"uid"`
	OwnerID   int64  `json:"owner_id"`
	Email     string `json:"email"`
	Role      string `json:"role"`
	Level     int    `json:"level"`
	State     string `json:"state"`
	User      User   `json:"user" doc:"The owner."`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// ServiceAccountOf shows a, which owner owns.
func ServiceAccountOf(a account.ServiceAccount, owner account.User) ServiceAccount {
	return ServiceAccount{
		ID: a.ID, UID: a.UID, OwnerID: owner.ID, Email: a.Email, Role: a.Role, Level: a.Level, State: a.State,
		User: UserOf(owner), CreatedAt: Time(a.CreatedAt), UpdatedAt: Time(a.UpdatedAt),
	}
}
