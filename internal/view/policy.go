package view

import "barong/policy"

// Permission is a permission row as staff see it, with the version that If-Match
// takes.
type Permission struct {
	ID          int64   `json:"id"`
	Action      string  `json:"action" doc:"ACCEPT, DROP or AUDIT."`
	Role        string  `json:"role"`
	Verb        string  `json:"verb"`
	Path        string  `json:"path"`
	Topic       *string `json:"topic" doc:"Of the activities that an AUDIT row writes; null derives it from the path."`
	CreatedAt   Time    `json:"created_at"`
	UpdatedAt   Time    `json:"updated_at"`
	LockVersion int64   `json:"lock_version" doc:"Another with every change; the value for If-Match."`
}

// PermissionOf shows p.
func PermissionOf(p policy.Permission) Permission {
	v := Permission{
		ID: p.ID, Action: p.Action, Role: p.Role, Verb: p.Verb, Path: p.Path,
		CreatedAt: Time(p.CreatedAt), UpdatedAt: Time(p.UpdatedAt), LockVersion: p.LockVersion,
	}
	if p.Topic != "" {
		v.Topic = &p.Topic
	}
	return v
}

// Restriction is a restriction row as staff see it, with the version that If-Match
// takes.
type Restriction struct {
	ID          int64  `json:"id"`
	Category    string `json:"category"`
	Scope       string `json:"scope"`
	Value       string `json:"value"`
	Code        int    `json:"code" doc:"HTTP status of the denial."`
	State       string `json:"state"`
	CreatedAt   Time   `json:"created_at"`
	UpdatedAt   Time   `json:"updated_at"`
	LockVersion int64  `json:"lock_version" doc:"Another with every change; the value for If-Match."`
}

// RestrictionOf shows r.
func RestrictionOf(r policy.Restriction) Restriction {
	return Restriction{
		ID: r.ID, Category: r.Category, Scope: r.Scope, Value: r.Value, Code: r.Code, State: r.State,
		CreatedAt: Time(r.CreatedAt), UpdatedAt: Time(r.UpdatedAt), LockVersion: r.LockVersion,
	}
}
