package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barong/internal/account"
	"barong/internal/apikey"
	"barong/internal/secret"
	"barong/internal/store"
	"barong/internal/store/storetest"
)

// sealedBy is the setting of a sealing key of equal bytes.
func sealedBy(setting string, fill byte) string {
	return setting + "=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, secret.KeySize))
}

// holdKeys gives a user n API keys, sealed by a key of equal bytes; the secret of each is its kid.
func holdKeys(t *testing.T, url string, fill byte, n int) {
	t.Helper()
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{fill}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), url, sealer, store.WithoutSync())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := account.User{UID: "ID1", Email: "a@example.com", PasswordDigest: "x", Role: "member", State: "active"}
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	err = store.Update[apikey.Tx](db)(t.Context(), func(tx apikey.Tx) error {
		for i := range n {
			kid := fmt.Sprintf("kid%06d", i)
			k := apikey.Key{Kid: kid, Algorithm: "HS256", State: "active", HolderUID: u.UID, Secret: kid}
			if err := tx.AddAPIKey(t.Context(), &k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openedBy counts the API keys that a key of equal bytes opens; one that neither it nor the other opens,
// or with another secret, fails the test.
func openedBy(t *testing.T, url string, fill, other byte) (n, all int) {
	t.Helper()
	raw := storetest.Raw(t, url)
	defer raw.Close()
	sealer := func(fill byte) *secret.Sealer {
		s, err := secret.NewSealer(bytes.Repeat([]byte{fill}, secret.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mine, theirs := sealer(fill), sealer(other)
	for _, table := range storetest.Tables(t, raw) {
		if table.Name != "apikeys" {
			continue
		}
		for _, row := range table.Rows {
			sealed, uuid := row[table.Column("secret")].([]byte), row[table.Column("uuid")].(string)
			plain, err := mine.Open(sealed, "apikeys", "secret", uuid)
			if err == nil {
				n++
			} else if plain, err = theirs.Open(sealed, "apikeys", "secret", uuid); err != nil {
				t.Fatalf("%s: %v", uuid, err)
			}
			if string(plain) != row[table.Column("kid")] {
				t.Fatalf("%s: the secret of another", uuid)
			}
			all++
		}
	}
	return n, all
}

// kill -9 at any moment, again and again: keys reseal goes on where it was, loses nothing, and ends.
func TestKilledReseal(t *testing.T) {
	url := storetest.PostgresURL(t)
	const held = 3000
	holdKeys(t, url, 'f', held)
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin, args...)
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"BARONG_DATABASE_URL=" + url, "BARONG_JWT_ALGORITHM=EdDSA", sealedBy("BARONG_SECRET_KEY", 'n'), sealedBy("BARONG_SECRET_KEYS_OTHER", 'f')}
		return cmd
	}
	partly := 0
	for round := 0; ; round++ {
		cmd := command("keys", "reseal", "--format", "json")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// It starts in 100 ms or so, and has all of it done in a second.
		life := time.Duration(50+rand.IntN(150)) * time.Millisecond
		if round >= 30 {
			life = time.Minute
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("round %d: %v\n%s", round, err, errs.String())
			}
		case <-time.After(life):
			_ = cmd.Process.Kill() // it may have ended
			<-ended
			if n, all := openedBy(t, url, 'n', 'f'); all != held {
				t.Fatalf("%d of %d keys", all, held)
			} else if n > 0 && n < held {
				partly++
			}
			continue
		}
		var columns []store.Resealing
		if err := json.Unmarshal(out.Bytes(), &columns); err != nil || len(columns) != len(store.SealedColumns()) {
			t.Errorf("got %s, %v; want a count of each column", out.String(), err)
		}
		break
	}
	if n, all := openedBy(t, url, 'n', 'f'); n != held || all != held {
		t.Errorf("%d of %d keys are of the next key, want %d", n, all, held)
	}
	t.Logf("killed %d times with a part done", partly)
	// The former key is of no use any more, and the next one needs no other.
	c := &console{t: t, dir: t.TempDir(), env: []string{"BARONG_DATABASE_URL=" + url, "BARONG_JWT_ALGORITHM=EdDSA", sealedBy("BARONG_SECRET_KEY", 'f')}}
	c.run("", "keys list").want(t, 1, "BARONG_SECRET_KEY is not the key of this database")
	c.env[2] = sealedBy("BARONG_SECRET_KEY", 'n')
	c.run("", "keys list").want(t, 0)
	c.env = append(c.env, sealedBy("BARONG_SECRET_KEYS_OTHER", 'n'))
	c.run("", "keys list").want(t, 2, "BARONG_SECRET_KEYS_OTHER")
	c.env[3] = "BARONG_SECRET_KEYS_OTHER=abc"
	c.run("", "keys list").want(t, 2, "BARONG_SECRET_KEYS_OTHER")
}

// With SQLite serve seals again while it serves, also after kill -9, and says when the former key may go.
func TestServeResealsItsFile(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "data", "barong.db")
	const held = 2000
	holdKeys(t, url, 'f', held)
	env := []string{"BARONG_DATABASE_URL=" + url, "BARONG_JWT_ALGORITHM=EdDSA", sealedBy("BARONG_SECRET_KEY", 'n'), sealedBy("BARONG_SECRET_KEYS_OTHER", 'f')}
	for range 3 {
		p := serving(t, dir, env...)
		p.kill()
		if _, all := openedBy(t, url, 'n', 'f'); all != held {
			t.Fatalf("%d keys, want %d", all, held)
		}
	}
	p := serving(t, dir, env...)
	p.eventually("the line that says that all is done", func() bool {
		return p.logged("every value is of the sealing key; BARONG_SECRET_KEYS_OTHER may go") != nil
	})
	p.stop()
	if n, all := openedBy(t, url, 'n', 'f'); n != held || all != held {
		t.Errorf("%d of %d keys are of the next key, want %d", n, all, held)
	}
	p = serving(t, dir, env[:3]...)
	if strings.Contains(p.err.String(), "sealing key") {
		t.Errorf("without the former key:\n%s", p.err)
	}
	p.stop()
}
