package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// summary is "use state algorithm" of every key, in order.
func summary(k *Keys) string {
	var all []string
	for _, r := range k.List() {
		all = append(all, r.Use+" "+string(r.State)+" "+r.Algorithm)
	}
	return strings.Join(all, ", ")
}

func bearers(k *Keys) string {
	var all []string
	for _, r := range k.List() {
		if r.Use == UseBearer {
			all = append(all, string(r.State))
		}
	}
	return strings.Join(all, " ")
}

// Design D7c and D7b: three uses, each with its own key.
func TestFirstStartMakesEveryKey(t *testing.T) {
	store, now := &memory{}, newClock()
	var wg sync.WaitGroup
	replicas := make([]*Keys, 3)
	for i := range replicas {
		wg.Go(func() { replicas[i] = openKeys(t, store, keysConfig(EdDSA), now.now) })
	}
	wg.Wait()
	if len(store.rows) != 3 {
		t.Fatalf("%d keys after three replicas started at once, want 3", len(store.rows))
	}
	kids := map[string]bool{}
	for _, k := range replicas {
		if got := fmt.Sprint(k.List()); got != fmt.Sprint(replicas[0].List()) {
			t.Errorf("replicas disagree: %s", got)
		}
		for _, use := range uses() {
			s, err := k.signer(use)
			if err != nil || s.Use != use {
				t.Errorf("signer(%s) = %v, %v", use, s, err)
			}
			kids[s.Kid] = true
		}
	}
	if len(kids) != 3 {
		t.Errorf("%d different keys for three uses, want 3", len(kids))
	}
	wire, err := replicas[0].signer(UseWire)
	if err != nil || wire.Algorithm != RS256 {
		t.Errorf("wire key is %v (%v), want RS256", wire, err)
	}
	if _, err := replicas[0].signer("other"); !errors.Is(err, ErrNoKey) {
		t.Errorf("signer of an unknown use: %v, want ErrNoKey", err)
	}
	before := store.updates
	openKeys(t, store, keysConfig(EdDSA), now.now)
	if store.updates != before {
		t.Error("a later start writes, want only reads")
	}
}

func TestRotationSteps(t *testing.T) {
	_, keys, store, now := fixture(t, EdDSA)
	ctx := t.Context()
	first := keys.set.Load().bearer.Kid
	if _, _, err := keys.Rotate(ctx, UseBearer, false); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if _, _, err := keys.Rotate(ctx, UseBearer, false); !errors.Is(err, ErrRotating) {
		t.Errorf("a second Rotate: %v, want ErrRotating", err)
	}
	if _, _, err := keys.Rotate(ctx, "other", false); !errors.Is(err, ErrNoKey) {
		t.Errorf("Rotate of an unknown use: %v, want ErrNoKey", err)
	}
	for _, step := range []struct {
		wait time.Duration
		want string
		kids int
	}{
		{0, "active next", 2},
		{329 * time.Second, "active next", 2}, // max age 300 s + slack 30 s
		{time.Second, "retiring active", 2},
		{629 * time.Second, "retiring active", 2}, // lifetime 300 s + max age + slack
		{time.Second, "active", 1},
	} {
		now.add(step.wait)
		if err := keys.Tick(ctx); err != nil {
			t.Fatalf("Tick: %v", err)
		}
		if got := bearers(keys); got != step.want {
			t.Errorf("after %v: %q, want %q", step.wait, got, step.want)
		}
		set, err := jwk.Parse(keys.JWKS())
		if err != nil || set.Len() != step.kids {
			t.Errorf("after %v: %d published keys (%v), want %d", step.wait, set.Len(), err, step.kids)
		}
		if k, _ := set.Key(0); k.KeyID() != keys.set.Load().bearer.Kid {
			t.Errorf("after %v: the active key is not the first published one", step.wait)
		}
	}
	if keys.set.Load().bearer.Kid == first {
		t.Error("the same key signs after a rotation")
	}
	writes := store.updates
	now.add(24 * time.Hour)
	if err := keys.Tick(ctx); err != nil || store.updates != writes {
		t.Errorf("Tick with nothing due writes (%v), want not even a read", err)
	}
}

func TestTokensOutliveRotation(t *testing.T) {
	m, keys, _, now := fixture(t, EdDSA)
	if _, _, err := keys.Rotate(t.Context(), UseBearer, false); err != nil {
		t.Fatal(err)
	}
	now.add(keys.config.publishBefore())
	old := mint(t, m, user(), now.now())
	if err := keys.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	now.add(299 * time.Second)
	if err := keys.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if uid, err := m.Verify(old, now.now()); uid == "" || err != nil {
		t.Errorf("a token of the retiring key: %v, want it accepted until it expires", err)
	}
}

func TestRotateEvery(t *testing.T) {
	now := newClock()
	store := newStore(t, EdDSA, now.now())
	config := keysConfig(EdDSA)
	config.RotateEvery = 24 * time.Hour
	keys := openKeys(t, store, config, now.now)
	first := keys.set.Load().bearer.Kid
	for now.now().Before(newClock().now().Add(24*time.Hour - time.Minute)) {
		now.add(time.Minute)
		if err := keys.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if keys.set.Load().bearer.Kid != first || bearers(keys) != "active next" {
		t.Errorf("a minute early: %s, want the next key waiting", summary(keys))
	}
	now.add(2 * time.Minute)
	if err := keys.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys.set.Load().bearer.Kid == first {
		t.Error("a minute after 24 h the same key signs")
	}
	if wire, _ := keys.signer(UseWire); wire.CreatedAt != newClock().now() {
		t.Error("the wire key was replaced by age, want never")
	}
	config.RotateEvery = 10 * time.Minute
	if err := config.Validate(); err == nil {
		t.Error("rotation faster than one rotation takes passes Validate")
	}
}

// A read that finds nothing new keeps the key set as it is; one that does publishes it anew.
func TestReloadKeepsWhatItKnows(t *testing.T) {
	_, keys, store, now := fixture(t, EdDSA)
	again := openKeys(t, store, keysConfig(EdDSA), now.now)
	reload := func() (kept bool) {
		t.Helper()
		before := again.JWKS()
		if err := again.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		return &before[0] == &again.JWKS()[0]
	}
	if !reload() {
		t.Error("the same rows made another key set")
	}
	if _, _, err := keys.Rotate(t.Context(), UseBearer, false); err != nil {
		t.Fatal(err)
	}
	if reload() || bearers(again) != "active next" {
		t.Errorf("after a rotation: %q", bearers(again))
	}
	now.add(again.config.publishBefore())
	if err := keys.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reload() || bearers(again) != "retiring active" {
		t.Errorf("after a change of states: %q", bearers(again))
	}
}

func TestChangedAlgorithmRotates(t *testing.T) {
	m, keys, store, now := fixture(t, EdDSA)
	again := openKeys(t, store, keysConfig(ES256), now.now)
	if got := bearers(again); got != "active next" {
		t.Fatalf("after the algorithm was changed: %q, want a next key", got)
	}
	openKeys(t, store, keysConfig(ES256), now.now)
	if len(store.rows) != 4 {
		t.Errorf("%d keys after one more start, want no second next key", len(store.rows))
	}
	now.add(again.config.publishBefore())
	if err := again.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	bearer := mint(t, m, user(), now.now())
	if alg := payload(t, bearer, 0)["alg"]; alg != ES256 {
		t.Errorf("alg is %v, want ES256", alg)
	}
	if _, err := m.Verify(bearer, now.now()); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestImport(t *testing.T) {
	private := signers[RS256]().(*rsa.PrivateKey)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	pkcs8 := must(encodeKey(private))
	curve := signers[ES256]().(*ecdsa.PrivateKey)
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(curve))})
	for name, c := range map[string]struct {
		text      []byte
		algorithm string
	}{
		"PKCS#1":                  {pkcs1, RS256},
		"PKCS#8":                  {pkcs8, RS256},
		"SEC1":                    {sec1, ES256},
		"Ed25519":                 {must(encodeKey(must(newKey(EdDSA)))), EdDSA},
		"URL-safe base64 of PEM":  {[]byte(base64.URLEncoding.EncodeToString(pkcs1) + "\n"), RS256},
		"standard base64 of PEM":  {[]byte(base64.StdEncoding.EncodeToString(pkcs8)), RS256},
		"text before the PEM":     {append([]byte("Private key of the old Barong\n"), pkcs1...), RS256},
		"unpadded base64 of PEM8": {[]byte(base64.RawURLEncoding.EncodeToString(pkcs8)), RS256},
	} {
		t.Run(name, func(t *testing.T) {
			now := newClock()
			store := newStore(t, EdDSA, now.now())
			if c.algorithm == RS256 || c.algorithm == ES256 {
				// Another active key of the algorithm, so that the imported one is new.
				k := &Keys{now: now.now}
				row := must(k.row(UseBearer, c.algorithm, must(newKey(c.algorithm))))
				row.State = Active
				store.rows[0] = row
			}
			keys := openKeys(t, store, keysConfig(c.algorithm), now.now)
			kid, err := keys.Import(t.Context(), UseBearer, c.text, false)
			if err != nil {
				t.Fatalf("Import: %v", err)
			}
			if got := bearers(keys); got != "active next" {
				t.Errorf("states %q, want the imported key next", got)
			}
			if _, err := keys.Import(t.Context(), UseBearer, c.text, false); !errors.Is(err, ErrKnownKey) {
				t.Errorf("Import again: %v, want ErrKnownKey", err)
			}
			if _, err := keys.Import(t.Context(), UseBearer, c.text, true); err != nil {
				t.Errorf("Import of the next key at once: %v", err)
			}
			if got := bearers(keys); got != "retiring active" || keys.set.Load().bearer.Kid != kid {
				t.Errorf("states %q, want the imported key active", got)
			}
			m := newMinter(t, keys, shipped())
			if _, err := m.Verify(mint(t, m, user(), now.now()), now.now()); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	_, keys, store, _ := fixture(t, RS256)
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	rsaPEM := must(encodeKey(must(newKey(RS256))))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(small.Public()))})
	for name, c := range map[string]struct {
		use  string
		text []byte
		want error
		says string
	}{
		"1024 bits":             {UseBearer, must(encodeKey(small)), ErrBadKey, "1024 bits"},
		"P-384":                 {UseBearer, must(encodeKey(p384)), ErrBadKey, "P-256"},
		"a public key":          {UseBearer, public, ErrBadKey, "PUBLIC KEY"},
		"a certificate":         {UseBearer, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), ErrBadKey, "CERTIFICATE"},
		"an encrypted key":      {UseBearer, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), ErrBadKey, "encrypted"},
		"an old encrypted key":  {UseBearer, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "x"}}), ErrBadKey, "encrypted"},
		"broken DER":            {UseBearer, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("s3cret")}), ErrBadKey, "no valid key"},
		"two blocks":            {UseBearer, bytes.Repeat(rsaPEM, 2), ErrBadKey, "more than one"},
		"no PEM":                {UseBearer, []byte("s3cret!"), ErrBadKey, "neither"},
		"base64 of no PEM":      {UseBearer, []byte("czNjcmV0"), ErrBadKey, "not of PEM"},
		"nothing":               {UseBearer, nil, ErrBadKey, ""},
		"another algorithm":     {UseBearer, must(encodeKey(must(newKey(EdDSA)))), ErrBadKey, "RS256"},
		"a wire key of EdDSA":   {UseWire, must(encodeKey(must(newKey(EdDSA)))), ErrBadKey, "RS256"},
		"a key of another use":  {UseBearer, must(encodeKey(wireSigner())), ErrKnownKey, "wire"},
		"an unknown use":        {"other", rsaPEM, ErrNoKey, "other"},
		"megabytes of anything": {UseBearer, make([]byte, maxPEM+1), ErrBadKey, "too long"},
	} {
		for _, atOnce := range []bool{false, true} {
			_, err := keys.Import(t.Context(), c.use, c.text, atOnce)
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%s: %v, want %v that says %q", name, err, c.want, c.says)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("%s: the error quotes the key: %v", name, err)
			}
		}
	}
	if len(store.rows) != 3 {
		t.Errorf("%d keys after refused imports, want 3", len(store.rows))
	}
}

// FX-17: public members only, kid is the RFC 7638 thumbprint.
func TestJWKSHoldsNoPrivateMember(t *testing.T) {
	for _, algorithm := range []string{RS256, ES256, EdDSA} {
		_, keys, _, _ := fixture(t, algorithm)
		if _, _, err := keys.Rotate(t.Context(), UseBearer, false); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(keys.JWKS(), &doc); err != nil || len(doc.Keys) != 2 {
			t.Fatalf("%s: %d keys (%v), want active and next: no mail, no wire", algorithm, len(doc.Keys), err)
		}
		allowed := map[string]string{RS256: "kty n e", ES256: "kty crv x y", EdDSA: "kty crv x"}[algorithm] + " alg use kid "
		for _, k := range doc.Keys {
			for name := range k {
				if !strings.Contains(allowed, name+" ") {
					t.Errorf("%s: the key has a member %q", algorithm, name)
				}
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if _, ok := k[private]; ok {
					t.Errorf("%s: the key set publishes %q", algorithm, private)
				}
			}
			if k["alg"] != algorithm || k["use"] != "sig" {
				t.Errorf("%s: alg %v, use %v", algorithm, k["alg"], k["use"])
			}
			parsed := must(jwk.ParseKey(must(json.Marshal(k))))
			if sum := must(parsed.Thumbprint(crypto.SHA256)); base64.RawURLEncoding.EncodeToString(sum) != k["kid"] {
				t.Errorf("%s: kid %v is not the thumbprint", algorithm, k["kid"])
			}
		}
	}
}

// RFC 7638 §3.1.
func TestThumbprintVector(t *testing.T) {
	k, err := jwk.ParseKey([]byte(`{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`))
	if err != nil {
		t.Fatal(err)
	}
	var public rsa.PublicKey
	if err := k.Raw(&public); err != nil {
		t.Fatal(err)
	}
	if got, err := thumbprint(&public); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" || err != nil {
		t.Errorf("thumbprint = %s, %v; want the RFC's", got, err)
	}
}

func TestReloadKeepsTheOldKeysOnErrors(t *testing.T) {
	m, keys, store, now := fixture(t, EdDSA)
	bearer := mint(t, m, user(), now.now())
	rows := store.rows
	for name, broken := range map[string]func(){
		"the store is down": func() { store.broken = errBroken },
		"all keys are gone": func() { store.rows = nil },
		"a key does not open": func() {
			store.rows = append(rows[:0:0], rows...)
			store.rows[0].Kid, store.rows[0].PrivatePEM = "x", []byte("?")
		},
		"two keys are active":    func() { store.rows = append(append(rows[:0:0], rows...), must(activeRow(now.now))) },
		"a kid is not the key's": func() { store.rows = append(rows[:0:0], rows...); store.rows[0].Kid = "other" },
	} {
		store.broken, store.rows = nil, rows
		broken()
		if err := keys.Reload(t.Context()); err == nil {
			t.Errorf("%s: Reload says nothing", name)
		}
		if _, err := m.Verify(bearer, now.now()); err != nil {
			t.Errorf("%s: Verify: %v, want the known keys in force", name, err)
		}
	}
	store.broken, store.rows = errBroken, rows
	if _, err := OpenKeys(t.Context(), store, keysConfig(EdDSA), now.now); !errors.Is(err, errBroken) {
		t.Errorf("OpenKeys with the store down: %v, want its error", err)
	}
	if _, _, err := keys.Rotate(t.Context(), UseBearer, false); !errors.Is(err, errBroken) {
		t.Errorf("Rotate with the store down: %v, want its error", err)
	}
}

func activeRow(now func() time.Time) (SigningKey, error) {
	k := &Keys{now: now}
	row, err := k.row(UseBearer, EdDSA, must(newKey(EdDSA)))
	row.State = Active
	return row, err
}

func TestKeysPrintNothingPrivate(t *testing.T) {
	_, keys, store, _ := fixture(t, EdDSA)
	for _, r := range keys.List() {
		if r.PrivatePEM != nil {
			t.Errorf("List shows the PEM of %v", r)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, store.rows[0]); strings.Contains(got, "PRIVATE") {
			t.Errorf("%s prints the key", format)
		}
	}
}

func FuzzImport(f *testing.F) {
	_, keys, _, _ := fixture(f, EdDSA)
	f.Add(must(encodeKey(signers[EdDSA]())))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("LS0tLS1CRUdJTg"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := keys.Import(context.Background(), UseMail, text, false)
		if err != nil && !errors.Is(err, ErrBadKey) && !errors.Is(err, ErrKnownKey) && !errors.Is(err, ErrRotating) {
			t.Fatalf("error %v", err)
		}
	})
}

// A key that has leaked goes at once: its tokens are refused, another key signs.
func TestRevoke(t *testing.T) {
	m, keys, store, now := fixture(t, EdDSA)
	ctx := t.Context()
	var slot Slot
	bearer, err := m.Mint(&slot, 1, user(), now.now())
	if err != nil {
		t.Fatal(err)
	}
	leaked, err := keys.signer(UseBearer)
	if err != nil {
		t.Fatal(err)
	}
	waiting, from, err := keys.Rotate(ctx, UseBearer, false)
	if err != nil || !from.Equal(waiting.CreatedAt.Add(keys.config.publishBefore())) || waiting.PrivatePEM != nil {
		t.Fatalf("Rotate: %v from %s, %v", waiting, from, err)
	}
	next, err := keys.Revoke(ctx, leaked.Kid)
	if err != nil || next.Kid != waiting.Kid || next.State != Active || next.PrivatePEM != nil {
		t.Fatalf("Revoke: got %v %s, %v; want the key that waited", next, next.State, err)
	}
	if _, err := m.Verify(bearer, now.now()); err == nil {
		t.Error("a token of the revoked key is taken")
	}
	if _, ok := m.Reuse(&slot, PartyBarong, 1, now.now()); ok {
		t.Error("a token of the revoked key is used again")
	}
	if strings.Contains(string(keys.JWKS()), leaked.Kid) {
		t.Error("the revoked key is still published")
	}
	// Without a key that waits there is a new one.
	next, err = keys.Revoke(ctx, waiting.Kid)
	if err != nil || next.Kid == waiting.Kid || next.State != Active {
		t.Fatalf("Revoke: got %v, %v; want a new key", next, err)
	}
	// A key that does not sign goes without a successor.
	waiting, _, err = keys.Rotate(ctx, UseBearer, false)
	if err != nil {
		t.Fatal(err)
	}
	if next, err = keys.Revoke(ctx, waiting.Kid); err != nil || next.Kid != "" || next.Use != UseBearer {
		t.Errorf("Revoke: got %v, %v; want no successor", next, err)
	}
	if _, err := keys.Revoke(ctx, waiting.Kid); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	rows, err := store.SigningKeys(ctx)
	if err != nil || len(rows) != 3 {
		t.Errorf("got %d keys, %v; want one of each use", len(rows), err)
	}
}

// Rotating at once makes the key that waits sign, or a new one.
func TestRotateAtOnce(t *testing.T) {
	_, keys, _, _ := fixture(t, EdDSA)
	for range 2 {
		before, err := keys.signer(UseBearer)
		if err != nil {
			t.Fatal(err)
		}
		made, from, err := keys.Rotate(t.Context(), UseBearer, true)
		if err != nil || made.State != Active || !from.Equal(made.ActivatedAt) {
			t.Fatalf("got %v %s from %s, %v", made, made.State, from, err)
		}
		if now, err := keys.signer(UseBearer); err != nil || now.Kid != made.Kid || now.Kid == before.Kid {
			t.Errorf("got %v, %v; want the new key", now, err)
		}
		if !strings.Contains(string(keys.JWKS()), before.Kid) {
			t.Error("the key that retires is not published any more")
		}
	}
	waiting, _, err := keys.Rotate(t.Context(), UseBearer, false)
	if err != nil {
		t.Fatal(err)
	}
	if made, _, err := keys.Rotate(t.Context(), UseBearer, true); err != nil || made.Kid != waiting.Kid {
		t.Errorf("got %v, %v; want the key that waited", made, err)
	}
}
