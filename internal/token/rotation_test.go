package token

import (
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"
)

// A consumer caches the key set for as long as it may.
type consumer struct {
	set     jwk.Set
	fetched time.Time
}

// Design D7c: keys rotate by themselves for two hours and a half under two replicas, one of which
// learns of changes late; consumers cache the key set for its whole maximum age; no token
// that has not expired is ever refused, by consumers or by either replica.
func TestRotationNeverBreaksAConsumer(t *testing.T) {
	now := newClock()
	store := newStore(t, EdDSA, now.now())
	config := keysConfig(EdDSA)
	config.RotateEvery = 20 * time.Minute
	var replicas []*Minter
	for range 2 {
		replicas = append(replicas, newMinter(t, openKeys(t, store, config, now.now), shipped()))
	}
	consumers := make([]consumer, 3)
	slots := make([]Slot, 2)
	type living struct {
		bearer string
		until  time.Time
	}
	var tokens []living
	kids := map[any]bool{}

	const step = 9 * time.Second
	for i := range int(150 * time.Minute / step) {
		now.add(step)
		at := now.now()
		if i%7 == 0 { // about once a minute, by either replica
			if err := replicas[i/7%2].keys.Tick(t.Context()); err != nil {
				t.Fatalf("Tick: %v", err)
			}
		}
		// The first replica hears of changes at once, the second up to 27 s late.
		if err := replicas[0].keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := replicas[1].keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for r, m := range replicas {
			if _, ok := m.Reuse(&slots[r], PartyBarong, 1, at); !ok {
				bearer, err := m.Mint(&slots[r], 1, user(), at)
				if err != nil {
					t.Fatalf("Mint: %v", err)
				}
				kids[payload(t, bearer[len(prefix):], 0)["kid"]] = true
				tokens = append(tokens, living{bearer[len(prefix):], at.Add(shipped().Lifetime)})
			}
		}
		for len(tokens) > 0 && !at.Before(tokens[0].until) {
			tokens = tokens[1:]
		}
		for c := range consumers {
			// Each starts at another time, so that their caches run out at all phases.
			if consumers[c].set == nil && i < c*11 {
				continue
			}
			if consumers[c].set == nil || at.Sub(consumers[c].fetched) >= config.JWKSMaxAge {
				set, err := jwk.Parse(replicas[(i+c)%2].keys.JWKS())
				if err != nil {
					t.Fatal(err)
				}
				consumers[c] = consumer{set: set, fetched: at}
			}
			for _, tok := range []living{tokens[0], tokens[len(tokens)-1]} {
				if _, err := jwxjwt.Parse([]byte(tok.bearer), jwxjwt.WithKeySet(consumers[c].set),
					jwxjwt.WithClock(jwxjwt.ClockFunc(now.now))); err != nil {
					t.Fatalf("after %v consumer %d refuses: %v", step*time.Duration(i), c, err)
				}
			}
		}
		for r, m := range replicas {
			for _, tok := range []living{tokens[0], tokens[len(tokens)-1]} {
				if _, err := m.Verify(tok.bearer, at); err != nil {
					t.Fatalf("after %v replica %d refuses: %v", step*time.Duration(i), r, err)
				}
			}
		}
	}
	if len(kids) < 5 {
		t.Errorf("only %d keys signed in 150 min, want one every 20", len(kids))
	}
	if n := len(strings.Fields(bearers(replicas[0].keys))); n > 3 {
		t.Errorf("%d bearer keys are kept, want old ones removed", n)
	}
}
