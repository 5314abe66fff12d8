package token

import (
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// publish makes the key set document: active first, since some consumers take the first
// they see, then next, then retiring. It is built from public keys alone.
func publish(s *keySet) ([]byte, error) {
	set := jwk.NewSet()
	for _, state := range []State{Active, Next, Retiring} {
		for _, row := range s.list {
			if row.Use != UseBearer || row.State != state {
				continue
			}
			k, err := published(s.byKid[row.Kid])
			if err != nil {
				return nil, err
			}
			if err := set.AddKey(k); err != nil {
				return nil, fmt.Errorf("publish %v: %w", row, err)
			}
		}
	}
	b, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("publish signing keys: %w", err)
	}
	return b, nil
}

// published is the public half of a key as the set shows it.
func published(key *key) (jwk.Key, error) {
	k, err := jwk.FromRaw(key.public)
	if err != nil {
		return nil, fmt.Errorf("publish %v: %w", key.SigningKey, err)
	}
	for name, value := range map[string]string{
		jwk.KeyIDKey: key.Kid, jwk.AlgorithmKey: key.Algorithm, jwk.KeyUsageKey: "sig",
	} {
		if err := k.Set(name, value); err != nil {
			return nil, fmt.Errorf("publish %v: %w", key.SigningKey, err)
		}
	}
	return k, nil
}
