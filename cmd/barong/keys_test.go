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
