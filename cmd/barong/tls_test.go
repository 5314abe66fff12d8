package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"barong/internal/config"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes a certificate for loopback and its key to cert and key.
func (a *authority) issue(t *testing.T, name, cert, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// client trusts the authority and shows the certificate of the files, if any.
func (a *authority) client(t *testing.T, cert, key string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func TestMutualTLSOnEveryListener(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	a.issue(t, "server", at("cert.pem"), at("key.pem"))
	a.issue(t, "client", at("client.pem"), at("client.key"))
	if err := os.WriteFile(at("ca.pem"), a.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, l := range []string{"HTTP", "GRPC", "FORWARD"} {
		env = append(env, "BARONG_"+l+"_TLS_CERT="+at("cert.pem"), "BARONG_"+l+"_TLS_KEY="+at("key.pem"), "BARONG_"+l+"_TLS_CLIENT_CA="+at("ca.pem"))
	}
	p := serving(t, dir, env...)
	known, stranger := a.client(t, at("client.pem"), at("client.key")), a.client(t, "", "")

	for name, url := range map[string]string{
		"REST": "https://" + p.http + "/api/v2/public/time", "forward-auth": "https://" + p.forward + "/api/v2/auth/api/v2/barong/public/time",
	} {
		get := func(c *tls.Config) (int, error) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: within}
			defer client.CloseIdleConnections()
			resp, err := client.Get(url)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			return resp.StatusCode, nil
		}
		if status, err := get(known); err != nil || status != http.StatusOK {
			t.Errorf("%s with a certificate: got %d, %v; want 200", name, status, err)
		}
		if status, err := get(stranger); err == nil {
			t.Errorf("%s without a certificate: got %d, want a failed handshake", name, status)
		}
	}
	check := func(c *tls.Config) error {
		conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(credentials.NewTLS(c)))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err = healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
		return err
	}
	if err := check(known); err != nil {
		t.Errorf("gRPC with a certificate: %v", err)
	}
	if err := check(stranger); err == nil {
		t.Error("gRPC without a certificate: got an answer, want a failed handshake")
	}
}

func TestARenewedCertificateNeedsNoRestart(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.issue(t, "first", cert, key)
	var log bytes.Buffer
	c := &certificates{
		files: config.Certificate{Cert: cert, Key: key}, log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	now := time.Now()
	name := func() string {
		t.Helper()
		now = now.Add(lookEvery)
		leaf, err := x509.ParseCertificate(c.get(now).Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Fatalf("got certificate %q, want first", got)
	}
	whole, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "first" || !strings.Contains(log.String(), "the old one stays") {
		t.Errorf("half a file: got certificate %q and log %q, want the first and a line", got, log.String())
	}
	a.issue(t, "second", cert, key)
	if got := name(); got != "second" {
		t.Errorf("after the renewal: got certificate %q, want second", got)
	}
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "BARONG_GRPC_TLS_CERT="+filepath.Join(dir, "none.pem"), "BARONG_GRPC_TLS_KEY="+filepath.Join(dir, "none.key"))
	<-p.ended
	if got := p.cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(p.err.String(), "BARONG_GRPC_TLS_CERT") {
		t.Errorf("got exit status %d and %q, want 2 and the setting's name", got, p.err)
	}
}
