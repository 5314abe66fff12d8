package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/factor"
	"barong/internal/store"
	"barong/internal/store/storetest"
	"barong/internal/token"
)

const (
	keySecret  = "plain-api-key-secret-0123456789"
	totpSecret = "plain-totp-secret-01"
	pemSecret  = "-----BEGIN PRIVATE KEY-----\nplain-signing-key"
)

// fillSecrets writes two rows of everything that is sealed.
func fillSecrets(t testing.TB, db *store.DB) {
	t.Helper()
	ctx := context.Background()
	for _, n := range []string{"1", "2"} {
		u := newUser(n)
		if err := errors.Join(
			db.AddUser(ctx, &u),
			db.AddAPIKey(ctx, &apikey.Key{Kid: "kid" + n, Algorithm: "HS256", State: "active", HolderUID: u.UID, Secret: keySecret + n}),
			db.PutTOTPSecret(ctx, factor.TOTPSecret{UserUID: u.UID, Secret: []byte(totpSecret + n)}),
			db.UpdateSigningKeys(ctx, func(all []token.SigningKey) ([]token.SigningKey, error) {
				return append(all, token.SigningKey{
					Kid: "signing" + n, Use: token.UseBearer, Algorithm: "RS256", State: token.Active, PrivatePEM: []byte(pemSecret + n),
				}), nil
			}),
		); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretsAreSealedOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "barong.db")
	db := storetest.OpenPath(t, path)
	fillSecrets(t, db)
	check := func() {
		for _, name := range []string{path, path + "-wal"} {
			raw, err := os.ReadFile(name)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, secret := range []string{keySecret, totpSecret, "plain-signing-key"} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("%s holds %q", filepath.Base(name), secret)
				}
			}
		}
	}
	check()
	db.Close()
	check()
	if raw, err := os.ReadFile(path); err != nil || !bytes.Contains(raw, []byte("kid1")) {
		t.Errorf("the file does not hold the row (%v): this test looked at nothing", err)
	}
}

// TestMovedCiphertext swaps sealed columns between rows and tables, as an attacker would that can
// write to the database but lacks the key.
func TestMovedCiphertext(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		tamper string
		read   func(*store.DB) error
	}{
		"of an API key to another key": {
			`UPDATE apikeys SET secret = (SELECT secret FROM apikeys WHERE kid = 'kid1') WHERE kid = 'kid2'`,
			func(db *store.DB) error { _, err := db.KeyRecord(ctx, "kid2"); return err },
		},
		"of a TOTP secret to another user": {
			`UPDATE totp_secrets SET secret = (SELECT secret FROM totp_secrets ORDER BY id LIMIT 1)`,
			func(db *store.DB) error { _, err := db.TOTPSecret(ctx, "ID2"); return err },
		},
		"of a TOTP secret with its uuid to an API key": {
			`UPDATE apikeys SET secret = (SELECT secret FROM totp_secrets ORDER BY id LIMIT 1),
			                    uuid = (SELECT uuid FROM totp_secrets ORDER BY id LIMIT 1) WHERE kid = 'kid2'`,
			func(db *store.DB) error { _, err := db.KeyRecord(ctx, "kid2"); return err },
		},
		"of a signing key to another": {
			`UPDATE signing_keys SET private_pem = (SELECT private_pem FROM signing_keys WHERE kid = 'signing1')`,
			func(db *store.DB) error { _, err := db.SigningKeys(ctx); return err },
		},
		"with a changed byte": {
			`UPDATE apikeys SET secret = substr(secret, 1, length(secret) - 1) || x'00'`,
			func(db *store.DB) error {
				_, one := db.KeyRecord(ctx, "kid1")
				_, two := db.KeyRecord(ctx, "kid2")
				return errors.Join(one, two)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "barong.db")
			db := storetest.OpenPath(t, path)
			fillSecrets(t, db)
			if err := c.read(db); err != nil {
				t.Fatalf("before: %v", err)
			}
			db.Close()
			raw, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := raw.Exec(c.tamper); err != nil {
				t.Fatal(err)
			}
			raw.Close()
			if err := c.read(storetest.OpenPath(t, path)); !errors.Is(err, account.ErrSeal) {
				t.Errorf("got %v, want ErrSeal", err)
			}
		})
	}
}

func TestWithoutSealerNothingIsWritten(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"), nil, store.WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := newUser("1")
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	err = db.AddAPIKey(t.Context(), &apikey.Key{Kid: "k", Algorithm: "HS256", State: "active", HolderUID: "ID1", Secret: "s"})
	if !errors.Is(err, account.ErrSeal) {
		t.Errorf("got %v, want ErrSeal", err)
	}
	if _, n, err := db.APIKeys(t.Context(), apikey.Query{HolderUID: "ID1", Limit: 1}); n != 0 || err != nil {
		t.Errorf("%d keys, %v; want none", n, err)
	}
}
