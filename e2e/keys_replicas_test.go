package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/feed"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
)

// A keyring is the signing keys of one replica, with the feed that announces changes and the
// JWKS that it serves.
type keyring struct {
	keys     *token.Keys
	minter   *token.Minter
	follower *feed.Follower
	slot     token.Slot
	jwks     *httptest.Server
	changed  bool
}

func openKeyring(t *testing.T, url string, cfg token.KeysConfig, now *clock) *keyring {
	t.Helper()
	db := storetest.OpenURL(t, url, store.WithClock(now.now))
	r := &keyring{follower: feed.NewFollower(db, feed.FollowerConfig{}, now.now, nil)}
	r.follower.Subscribe(func(c feed.Change) { r.changed = r.changed || c.Kind == feed.SigningKeys })
	head, err := db.Head(t.Context())
	must(t, err)
	r.follower.Start(head)
	r.keys, err = token.OpenKeys(t.Context(), db, cfg, now.now)
	must(t, err)
	r.minter, err = token.NewMinter(r.keys, configured.Tokens(config.Default()))
	must(t, err)
	r.jwks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(r.keys.JWKS()) }))
	t.Cleanup(r.jwks.Close)
	return r
}

// hear reads the feed, and the keys if it says so.
func (r *keyring) hear(t *testing.T) {
	t.Helper()
	must(t, r.follower.Sync(t.Context()))
	if r.changed {
		r.changed = false
		must(t, r.keys.Reload(t.Context()))
	}
}

// A verifier is an upstream: it asks a replica for the key set, another one each time, and
// keeps it for as long as it may.
type verifier struct {
	set     jwk.Set
	fetched time.Time
	fetches int
}

func (v *verifier) refresh(t *testing.T, from []*keyring, now time.Time) {
	t.Helper()
	if v.set != nil && now.Sub(v.fetched) < from[0].keys.MaxAge() {
		return
	}
	resp, err := http.Get(from[v.fetches%len(from)].jwks.URL)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	v.set, err = jwk.Parse(body)
	must(t, err)
	v.fetched = now
	v.fetches++
}

// Design D7c on PostgreSQL: two replicas sign while their keys rotate, by the command line on
// either and by both clocks at once. One hears of changes at once, the other up to 27 s late.
// Three upstreams cache either's key set for its whole maximum age; no token that has not
// expired is ever refused, by an upstream or a replica, not even one that has just started.
func TestKeysRotateUnderTwoReplicas(t *testing.T) {
	url := storetest.PostgresURL(t)
	now := new(clock)
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now.set(begin)
	cfg := configured.Keys(config.Default())
	cfg.Algorithm = token.EdDSA
	replicas := []*keyring{openKeyring(t, url, cfg, now), openKeyring(t, url, cfg, now)}

	type living struct {
		bearer string
		until  time.Time
	}
	var tokens []living
	upstreams := make([]verifier, 3)
	published := map[string]time.Time{} // kid → when the last replica came to publish it
	var signed []string                 // kids, in the order of their first tokens

	const step = 9 * time.Second
	const steps = int(80 * time.Minute / step)
	for i := range steps {
		now.set(begin.Add(time.Duration(i+1) * step))
		at := now.now()
		switch i {
		case steps / 8:
			_, _, err := replicas[0].keys.Rotate(t.Context(), token.UseBearer, false)
			must(t, err)
			replicas[1].hear(t)
			if _, _, err := replicas[1].keys.Rotate(t.Context(), token.UseBearer, false); !errors.Is(err, token.ErrRotating) {
				t.Errorf("a second rotation while the first is under way: got %v, want ErrRotating", err)
			}
		case steps / 2:
			_, _, err := replicas[1].keys.Rotate(t.Context(), token.UseBearer, false)
			must(t, err)
		}
		replicas[0].hear(t)
		if i%3 == 0 {
			replicas[1].hear(t)
		}
		if i%7 == 0 { // about once a minute, both in the same moment
			var both sync.WaitGroup
			for _, r := range replicas {
				both.Go(func() {
					if err := r.keys.Tick(t.Context()); err != nil {
						t.Errorf("Tick: %v", err)
					}
				})
			}
			both.Wait()
		}

		for n, r := range replicas {
			for _, kid := range kidsOf(t, r.keys.JWKS()) {
				if _, ok := published[kid]; !ok && slices.Contains(kidsOf(t, replicas[1-n].keys.JWKS()), kid) {
					published[kid] = at
				}
			}
			if _, ok := r.minter.Reuse(&r.slot, token.PartyBarong, 1, at); ok {
				continue
			}
			bearer, err := r.minter.Mint(&r.slot, 1, token.Claims{Party: token.PartyBarong, UID: "ID1", Role: "member", State: "active"}, at)
			must(t, err)
			bearer = bearer[len("Bearer "):]
			tokens = append(tokens, living{bearer, at.Add(configured.Tokens(config.Default()).Lifetime)})
			if kid := kidOf(t, bearer); !slices.Contains(signed, kid) {
				signed = append(signed, kid)
				if since, ok := published[kid]; len(signed) > 1 && (!ok || at.Sub(since) < cfg.JWKSMaxAge) {
					t.Errorf("after %v key %s signs, published by all replicas since %v", at.Sub(begin), kid, since)
				}
			}
		}
		for len(tokens) > 0 && !at.Before(tokens[0].until) {
			tokens = tokens[1:]
		}

		check := replicas
		if i%40 == 0 { // one that starts knows the keys of the database
			check = append(slices.Clone(replicas), openKeyring(t, url, cfg, now))
		}
		for u := range upstreams {
			if i < u*11 {
				continue // their caches run out at different times
			}
			upstreams[u].refresh(t, replicas, at)
		}
		for _, tok := range tokens {
			for u, v := range upstreams {
				if v.set == nil {
					continue
				}
				_, err := jwt.Parse([]byte(tok.bearer), jwt.WithKeySet(v.set), jwt.WithClock(jwt.ClockFunc(now.now)))
				if err != nil {
					t.Fatalf("after %v upstream %d refuses: %v", at.Sub(begin), u, err)
				}
			}
			for n, r := range check {
				if _, err := r.minter.Verify(tok.bearer, at); err != nil {
					t.Fatalf("after %v replica %d refuses: %v", at.Sub(begin), n, err)
				}
			}
		}
	}
	if len(signed) != 3 {
		t.Errorf("%d keys have signed, want the first and one for each of two rotations", len(signed))
	}
	for _, r := range replicas {
		r.hear(t)
		if kids := kidsOf(t, r.keys.JWKS()); !slices.Equal(kids, signed[len(signed)-1:]) {
			t.Errorf("in the end %v is published, want the last key alone", kids)
		}
	}
}

// Design D7c: replicas that start together on an empty database agree on one key of each use.
func TestReplicasThatStartTogetherShareTheirKeys(t *testing.T) {
	url := storetest.PostgresURL(t)
	now := new(clock)
	now.set(time.Now())
	cfg := configured.Keys(config.Default())
	cfg.Algorithm = token.EdDSA
	sets := make([]string, 4)
	var all sync.WaitGroup
	for i := range sets {
		db := storetest.OpenURL(t, url)
		all.Go(func() {
			keys, err := token.OpenKeys(t.Context(), db, cfg, now.now)
			if err != nil {
				t.Error(err)
				return
			}
			sets[i] = string(keys.JWKS())
			if n := len(keys.List()); n != 3 {
				t.Errorf("replica %d knows %d keys, want a bearer, a mail and a wire key", i, n)
			}
		})
	}
	all.Wait()
	if slices.Sort(sets); sets[0] != sets[len(sets)-1] {
		t.Errorf("the replicas publish different keys: %q", slices.Compact(sets))
	}
}

// kidsOf lists the keys of a key set.
func kidsOf(t *testing.T, text []byte) (kids []string) {
	t.Helper()
	set, err := jwk.Parse(text)
	must(t, err)
	for i := range set.Len() {
		k, _ := set.Key(i)
		kids = append(kids, k.KeyID())
	}
	return kids
}

// kidOf is the key that a token says it was signed with.
func kidOf(t *testing.T, compact string) string {
	t.Helper()
	m, err := jws.Parse([]byte(compact))
	must(t, err)
	return m.Signatures()[0].ProtectedHeaders().KeyID()
}
