package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"barong/internal/account"
	"barong/internal/secret"
	"barong/internal/store"
)

// A sign-in that finds all workers taken and the queue full gets 503, and no refusal of the
// password; an imported digest is replaced once there is room.
func TestFullPasswordPool(t *testing.T) {
	const email, password = "imported@example.com", "Tecohvi0"
	dir, key := t.TempDir(), bytes.Repeat([]byte{7}, 32)
	url := "sqlite:" + filepath.Join(dir, "barong.db")
	sealer, err := secret.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	// users returns the database while nobody serves it.
	users := func() *store.DB {
		db, err := store.Open(t.Context(), url, sealer)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	digest, err := bcrypt.GenerateFromPassword([]byte(password), 11) // takes long enough to be met
	if err != nil {
		t.Fatal(err)
	}
	db := users()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := account.User{
		UID: "ID0123456789", Email: email, PasswordDigest: string(digest), Role: account.RoleMember, State: account.StateActive,
	}
	if err := db.AddUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	p := serving(t, dir, "BARONG_DATABASE_URL="+url, "BARONG_SECRET_KEY="+base64.StdEncoding.EncodeToString(key),
		"BARONG_PASSWORD_WORKERS=1", "BARONG_PASSWORD_QUEUE=0", "BARONG_RATE_LIMITS=false", "BARONG_SIGNIN_FLOOR=1ms")
	signIn := func() (int, string) {
		resp, err := http.Post("http://"+p.http+"/api/v2/identity/sessions", "application/json",
			strings.NewReader(`{"email":"`+email+`","password":"`+password+`"}`))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(b))
	}
	var mu sync.Mutex
	told := map[int]int{}
	for range 20 { // rounds, until both were seen
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				status, body := signIn()
				mu.Lock()
				defer mu.Unlock()
				told[status]++
				if status == http.StatusServiceUnavailable && body != `{"errors":["server.internal_error"]}` {
					t.Errorf("503 with %s", body)
				}
			})
		}
		all.Wait()
		if told[http.StatusCreated] > 0 && told[http.StatusServiceUnavailable] > 0 {
			break
		}
	}
	if told[201] == 0 || told[503] == 0 || len(told) != 2 {
		t.Fatalf("answered %v by status, want 201 and 503", told)
	}
	if status, body := signIn(); status != http.StatusCreated {
		t.Errorf("alone: %d %s, want 201", status, body)
	}
	p.stop()

	db = users()
	defer db.Close()
	if u, err = db.User(t.Context(), u.UID); err != nil {
		t.Fatal(err)
	}
	ok, rehash, err := secret.NewHasher(1, 0).Match(t.Context(), u.PasswordDigest, password)
	if !ok || rehash || err != nil {
		t.Errorf("the digest %.12s…: matches %v, to be replaced %v, %v; want argon2id of the same password", u.PasswordDigest, ok, rehash, err)
	}
}
