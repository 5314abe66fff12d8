package view

import "barong/internal/apikey"

// APIKey is an API key as its holder sees it.
type APIKey struct {
	Kid       string   `json:"kid"`
	Algorithm string   `json:"algorithm"`
	Scope     []string `json:"scope"`
	State     string   `json:"state"`
	// Networks and ExpiresAt are always shown, so that nobody takes a missing bound for one.
	Networks   []string `json:"ip_whitelist" doc:"Networks that requests may come from, in CIDR notation; empty means any."`
	ExpiresAt  *Time    `json:"expires_at" doc:"From then on the key is refused; null means never."`
	LastUsedAt *Time    `json:"last_used_at" doc:"The last request that was allowed, to the minute; null means none yet."`
	LastUsedIP *string  `json:"last_used_ip" doc:"Its address."`
	Secret     string   `json:"secret,omitempty" doc:"Only in the answer to creation."`
	CreatedAt  Time     `json:"created_at"`
	UpdatedAt  Time     `json:"updated_at"`
}

// APIKeyOf shows k without its secret.
func APIKeyOf(k apikey.Key) APIKey {
	v := APIKey{
		Kid: k.Kid, Algorithm: k.Algorithm, Scope: k.Scope, State: k.State, Networks: []string{},
		CreatedAt: Time(k.CreatedAt), UpdatedAt: Time(k.UpdatedAt),
	}
	if v.Scope == nil {
		v.Scope = []string{}
	}
	for _, n := range k.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	if !k.ExpiresAt.IsZero() {
		v.ExpiresAt = new(Time(k.ExpiresAt))
	}
	if !k.LastUsedAt.IsZero() {
		v.LastUsedAt = new(Time(k.LastUsedAt))
	}
	if k.LastUsedIP.IsValid() {
		v.LastUsedIP = new(k.LastUsedIP.String())
	}
	return v
}

// NewAPIKeyOf shows k with its secret, the one time that it is shown (AZ-275).
func NewAPIKeyOf(k apikey.Key) APIKey {
	v := APIKeyOf(k)
	v.Secret = k.Secret
	return v
}
