package view

import "barong/internal/apikey"

// APIKey is an API key as its holder sees it.
type APIKey struct {
	Kid       string   `json:"kid"`
	Algorithm string   `json:"algorithm"`
	Scope     []string `json:"scope"`
	State     string   `json:"state"`
	Secret    string   `json:"secret,omitempty" doc:"Only in the answer to creation."`
	CreatedAt Time     `json:"created_at"`
	UpdatedAt Time     `json:"updated_at"`
}

// APIKeyOf shows k without its secret.
func APIKeyOf(k apikey.Key) APIKey {
	scope := k.Scope
	if scope == nil {
		scope = []string{}
	}
	return APIKey{
		Kid: k.Kid, Algorithm: k.Algorithm, Scope: scope, State: k.State,
		CreatedAt: Time(k.CreatedAt), UpdatedAt: Time(k.UpdatedAt),
	}
}

// NewAPIKeyOf shows k with its secret, the one time that it is shown (AZ-275).
func NewAPIKeyOf(k apikey.Key) APIKey {
	v := APIKeyOf(k)
	v.Secret = k.Secret
	return v
}
