package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"
)

func payload(t testing.TB, bearer string, part int) map[string]any {
	t.Helper()
	parts := strings.Split(bearer, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return m
}

// AZ-213, FX-17, FX-56.
func TestClaimsAreExactlyThose(t *testing.T) {
	m, keys, _, now := fixture(t, RS256)
	unix := float64(now.now().Unix())
	base := func() map[string]any {
		return map[string]any{
			"iat": unix - 1, "exp": unix + 300, "sub": "session", "iss": "barong",
			"aud": []any{"peatio", "barong"}, "azp": "barong", "uid": "ID1A2B3C4D5E", "email": "ann@example.com",
			"role": "member", "level": 3.0, "state": "active", "username": "ann", "referral_id": 41.0,
		}
	}
	nulls, quoted := user(), user()
	nulls.Username, nulls.ReferralID = nil, nil
	odd := "ann \"the\\ <b>&\u2028 Ірина\x01"
	quoted.Username, quoted.Email, quoted.State = &odd, `"a b"@example.com`, "pending"

	for name, c := range map[string]struct {
		claims Claims
		change map[string]any // nil removes
	}{
		"a user": {user(), map[string]any{}},
		"a user without name and referrer has nulls": {nulls, map[string]any{"username": nil, "referral_id": nil}},
		"strings are quoted as JSON wants": {quoted, map[string]any{
			"username": odd, "email": `"a b"@example.com`, "state": "pending"}},
	} {
		want := base()
		for k, v := range c.change {
			want[k] = v
		}
		got := payload(t, mint(t, m, c.claims, now.now()), 1)
		jti, _ := got["jti"].(string)
		if !regexp.MustCompile(`^[0-9a-f]{20}$`).MatchString(jti) {
			t.Errorf("%s: jti %q, want 20 lower-case hex characters", name, jti)
		}
		delete(got, "jti")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	bot := payload(t, mint(t, m, serviceAccount(), now.now()), 1)
	for _, absent := range []string{"username", "referral_id"} {
		if _, ok := bot[absent]; ok {
			t.Errorf("a service account's token has %s, want it absent", absent)
		}
	}
	if len(bot) != 12 {
		t.Errorf("a service account's token has %d claims, want 12: %v", len(bot), bot)
	}

	header := payload(t, mint(t, m, user(), now.now()), 0)
	if diff := cmp.Diff(map[string]any{"alg": "RS256", "kid": keys.List()[0].Kid}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// Design D18: golang-jwt signs, an independent library agrees through the published set.
func TestBothLibrariesVerifyEveryAlgorithm(t *testing.T) {
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		t.Run(algorithm, func(t *testing.T) {
			m, keys, _, now := fixture(t, algorithm)
			bearer := mint(t, m, user(), now.now())

			set, err := jwk.Parse(keys.JWKS())
			if err != nil {
				t.Fatalf("parse JWKS: %v", err)
			}
			tok, err := jwxjwt.Parse([]byte(bearer), jwxjwt.WithKeySet(set), jwxjwt.WithValidate(true),
				jwxjwt.WithClock(jwxjwt.ClockFunc(now.now)), jwxjwt.WithIssuer("barong"),
				jwxjwt.WithAudience("peatio"), jwxjwt.WithSubject("session"), jwxjwt.WithRequiredClaim("jti"))
			if err != nil {
				t.Fatalf("jwx: %v", err)
			}
			if uid, _ := tok.Get("uid"); uid != "ID1A2B3C4D5E" {
				t.Errorf("jwx reads uid %v", uid)
			}

			parsed, err := jwt.Parse(bearer, func(tok *jwt.Token) (any, error) {
				return keys.set.Load().byKid[tok.Header["kid"].(string)].public, nil
			}, jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer("barong"), jwt.WithAudience("barong"),
				jwt.WithSubject("session"), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
				jwt.WithTimeFunc(now.now), jwt.WithStrictDecoding())
			if err != nil || !parsed.Valid {
				t.Errorf("golang-jwt: %v", err)
			}

			uid, err := m.Verify(bearer, now.now())
			if uid != "ID1A2B3C4D5E" || err != nil {
				t.Errorf("Verify = %q, %v; want the uid", uid, err)
			}
		})
	}
}

// Design D7: same principal version, same signing key, within the window.
func TestReuse(t *testing.T) {
	m, keys, _, now := fixture(t, EdDSA)
	start := now.now()
	for name, c := range map[string]struct {
		version int64
		after   time.Duration
		rotate  bool
		want    bool
	}{
		"at once":                          {7, 0, false, true},
		"an eighth before the window ends": {7, 52500*time.Millisecond - 1, false, true},
		"when the window ends":             {7, 60 * time.Second, false, false},
		"another version":                  {8, 0, false, false},
		"an older version":                 {6, 0, false, false},
		"a request that began before it":   {7, -900 * time.Millisecond, false, true},
		"after the clock was set back":     {7, -time.Minute, false, false},
		"after another key became active":  {7, 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var slot Slot
			first, err := m.Mint(&slot, 7, user(), start)
			if err != nil {
				t.Fatal(err)
			}
			if c.rotate {
				if _, err := keys.Import(t.Context(), UseBearer, must(encodeKey(must(newKey(EdDSA)))), true); err != nil {
					t.Fatal(err)
				}
			}
			got, ok := m.Reuse(&slot, PartyBarong, c.version, start.Add(c.after))
			if ok != c.want || ok && got != first {
				t.Errorf("Reuse = %t, want %t", ok, c.want)
			}
			second, err := m.Mint(&slot, c.version, user(), start.Add(c.after))
			if err != nil || (second == first) != c.want {
				t.Errorf("Mint gives the same token: %t (%v), want %t", second == first, err, c.want)
			}
		})
	}
	var empty Slot
	if _, ok := m.Reuse(&empty, PartyBarong, 0, start); ok {
		t.Error("an empty slot has a token")
	}
}

// Tokens that were minted at one moment run out over an eighth of the window, so that the next
// ones are not all minted at one moment either.
func TestReuseEndsApart(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	start := now.now()
	const slots = 200
	held := 0
	for range slots {
		var slot Slot
		if _, err := m.Mint(&slot, 7, user(), start); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Reuse(&slot, PartyBarong, 7, start.Add(56250*time.Millisecond)); ok {
			held++
		}
	}
	// A fair coin gives fewer than 60 or more than 140 heads of 200 once in 10^8.
	if held < 60 || held > 140 {
		t.Errorf("in the middle of the last eighth %d of %d tokens are reused, want about half", held, slots)
	}
}

func TestReuseZeroMintsEveryTime(t *testing.T) {
	_, keys, _, now := fixture(t, EdDSA)
	c := shipped()
	c.Reuse = 0
	m := newMinter(t, keys, c)
	var slot Slot
	first, _ := m.Mint(&slot, 1, user(), now.now())
	if _, ok := m.Reuse(&slot, PartyBarong, 1, now.now()); ok {
		t.Error("Reuse with a window of 0 gives a token")
	}
	if second, _ := m.Mint(&slot, 1, user(), now.now()); second == first {
		t.Error("Mint with a window of 0 gives the same token")
	}
}

func TestTrim(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	var slot Slot
	if !slot.Trim(now.now()) {
		t.Error("Trim of an empty slot = false, want true")
	}
	if _, err := m.Mint(&slot, 1, user(), now.now()); err != nil {
		t.Fatal(err)
	}
	if slot.Trim(now.now().Add(52 * time.Second)) {
		t.Error("Trim inside the window = true, want the token kept")
	}
	if !slot.Trim(now.now().Add(time.Minute)) || slot.last.Load() != nil {
		t.Error("Trim after the window leaves the token")
	}
}

// Design D7: one mint per key in flight.
func TestOneMintInFlight(t *testing.T) {
	m, _, _, now := fixture(t, RS256)
	var slot Slot
	got := make([]string, 64)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			<-start
			if bearer, ok := m.Reuse(&slot, PartyBarong, 1, now.now()); ok {
				got[i] = bearer
				return
			}
			got[i], _ = m.Mint(&slot, 1, user(), now.now())
		})
	}
	close(start)
	wg.Wait()
	for i, bearer := range got {
		if bearer == "" || bearer != got[0] {
			t.Fatalf("caller %d got another token than caller 0, want one mint for all", i)
		}
	}
}

func TestReuseAllocatesNothing(t *testing.T) {
	m, _, _, now := fixture(t, EdDSA)
	var slot Slot
	if _, err := m.Mint(&slot, 1, user(), now.now()); err != nil {
		t.Fatal(err)
	}
	at := now.now()
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := m.Reuse(&slot, PartyBarong, 1, at); !ok {
			t.Fatal("no reuse")
		}
	}); n != 0 {
		t.Errorf("Reuse allocates %v times, want 0", n)
	}
}

func TestConfigValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"reuse above half the lifetime": {func(c *Config) { c.Reuse = 151 * time.Second }, "at most half"},
		"negative reuse":                {func(c *Config) { c.Reuse = -1 }, "at most half"},
		"no lifetime":                   {func(c *Config) { c.Lifetime = 0 }, "whole seconds"},
		"a lifetime with a fraction":    {func(c *Config) { c.Lifetime = 1500 * time.Millisecond }, "whole seconds"},
		"iat in the future":             {func(c *Config) { c.IatBackdate = -time.Second }, "backdating"},
	} {
		config := shipped()
		c.change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Validate = %v, want it to say %q", name, err, c.says)
		}
	}
	if err := shipped().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	all := Config{Reuse: -1, IatBackdate: -1}.Validate()
	if n := strings.Count(fmt.Sprint(all), "\n") + 1; n != 3 {
		t.Errorf("%d problems listed, want 3: %v", n, all)
	}
	_, keys, _, _ := fixture(t, EdDSA)
	long := shipped()
	long.Lifetime = time.Hour
	if _, err := NewMinter(keys, long); err == nil {
		t.Error("NewMinter takes a lifetime above the one the keys are kept for")
	}
}

func BenchmarkReuse(b *testing.B) {
	m, _, _, now := fixture(b, EdDSA)
	var slot Slot
	if _, err := m.Mint(&slot, 1, user(), now.now()); err != nil {
		b.Fatal(err)
	}
	at := now.now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Reuse(&slot, PartyBarong, 1, at); !ok {
			b.Fatal("no reuse")
		}
	}
}

func BenchmarkMint(b *testing.B) {
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			m, _, _, now := fixture(b, algorithm)
			at, claims := now.now(), user()
			b.ReportAllocs()
			for b.Loop() {
				var slot Slot
				if _, err := m.Mint(&slot, 1, claims, at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			m, _, _, now := fixture(b, algorithm)
			bearer := mint(b, m, user(), now.now())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Verify(bearer, now.now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
