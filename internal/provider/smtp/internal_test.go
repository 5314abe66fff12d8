package smtp

import (
	"net"
	"path/filepath"
	"testing"
)

// TestCertificatesAreGoneWithoutOnLoopbackOnly, and only where nothing says that they matter.
func TestCertificatesAreGoneWithoutOnLoopbackOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		host, policy string
		want         bool
	}{
		"localhost":                  {"localhost", TLSAuto, true},
		"127.0.0.53":                 {"127.0.0.53", TLSAuto, true},
		"::1":                        {"::1", TLSOpportunistic, true},
		"localhost, TLS required":    {"localhost", TLSRequired, false},
		"localhost, TLS from start":  {"localhost", TLSImplicit, false},
		"another machine":            {"mail.example", TLSAuto, false},
		"another, opportunistic":     {"mail.example", TLSOpportunistic, false},
		"an address in the network":  {"192.0.2.1", TLSOpportunistic, false},
		"a name that begins as ours": {"localhost.example", TLSOpportunistic, false},
	} {
		s, err := New(Config{Host: tt.host, Port: 25, TLS: tt.policy, Helo: "exchange.example"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.clear != tt.want {
			t.Errorf("%s: certificates do not matter: got %v, want %v", name, s.clear, tt.want)
		}
	}
}

// TestLoopbackIsLookedAtWhenConnected: the addresses of localhost are not ours to choose.
func TestLoopbackIsLookedAtWhenConnected(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dialLoopback(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("to this machine: %v", err)
	}
	_ = conn.Close()
	other, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if conn, err := dialLoopback(t.Context(), "unix", other.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("to what is no loopback address: got a connection")
	}
}
