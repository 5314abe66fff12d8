package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barong/internal/audit"
)

func TestPublicKeys(t *testing.T) {
	c := newConsole(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run("", "keys import "+path+" --use wire --now").want(t, 0)
	for _, args := range []string{"keys public", "keys public wire"} {
		if got, want := c.run("", args).want(t, 0).out, publicPEM(t, &key.PublicKey); got != want {
			t.Errorf("%s: got\n%s\nwant that of the imported key:\n%s", args, got, want)
		}
	}
	bearer := c.run("", "keys public bearer").want(t, 0).out
	if !strings.HasPrefix(bearer, "-----BEGIN PUBLIC KEY-----\n") || bearer == publicPEM(t, &key.PublicKey) {
		t.Errorf("keys public bearer: got %q, want another public key", bearer)
	}
	c.run("", "keys public mail").want(t, 2)
}

func TestRotateAndRevokeKeys(t *testing.T) {
	c := newConsole(t)
	var next struct{ Kid, State string }
	inOrder(t, c.run("", "keys rotate").want(t, 0).out, "is published; it signs from")
	c.run("", "keys rotate").want(t, 1, "already waiting")
	into(t, c.run("", "keys rotate --now --format json").want(t, 0).out, &next)
	if next.Kid == "" || next.State != "active" {
		t.Errorf("got %+v, want the key that waited", next)
	}
	var done struct{ Kid, Successor string }
	into(t, c.run("", "keys revoke "+next.Kid+" --format json").want(t, 0).out, &done)
	if done.Kid != next.Kid || done.Successor == "" || done.Successor == next.Kid {
		t.Errorf("got %+v, want another key in its place", done)
	}
	c.run("", "keys revoke "+next.Kid).want(t, 1, "no signing key has the kid")
	rows, _, err := openStore(t, c.dir).Activities(t.Context(), audit.Query{Topic: "signing_key"})
	if err != nil || len(rows) != 3 || rows[0].ActorRef != "keys revoke" || !strings.Contains(rows[0].Data, next.Kid) {
		t.Errorf("got %+v, %v; want three activities, the newest of the revocation", rows, err)
	}
}
