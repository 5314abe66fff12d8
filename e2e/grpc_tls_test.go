package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"barong/e2e"
	"barong/internal/testenv"
)

// uncommented is envoy.yaml with the TLS that stands in it behind #.
func uncommented(file string, c *testenv.Certificates) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(file) {
		inside = strings.HasPrefix(line, "    #transport_socket:") || inside && strings.HasPrefix(line, "    #")
		if inside {
			line = "    " + strings.TrimPrefix(line, "    #")
		}
		out.WriteString(line)
	}
	return strings.NewReplacer("/etc/envoy/client.pem", c.Cert, "/etc/envoy/client.key", c.Key, "/etc/envoy/ca.pem", c.CA,
		"barong.internal", "barong.test").Replace(out.String())
}

// The TLS that envoy.yaml has behind # works as it stands, its health checks too; without a
// certificate that Barong asks for, or with another CA, nobody gets through.
func TestEnvoyAsksOverTLS(t *testing.T) {
	ours, others := testenv.NewCertificates(t, "barong.test"), testenv.NewCertificates(t, "barong.test")
	at, err := e2e.FreeAddresses()
	if err != nil {
		t.Fatal(err)
	}
	b, err := e2e.StartBarong(t.Context(), barongBin(t), t.TempDir(), at,
		"BARONG_GRPC_TLS_CERT="+ours.Cert, "BARONG_GRPC_TLS_KEY="+ours.Key, "BARONG_GRPC_TLS_CLIENT_CA="+ours.CA)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	for name, x := range map[string]struct {
		edit    func(string) string
		status  int
		healthy bool
	}{
		"as it stands": {func(s string) string { return s }, 200, true},
		"no alpn_protocols, which only the health checks need": {func(s string) string {
			return strings.Replace(s, "          alpn_protocols: [h2]\n", "", 1)
		}, 200, false},
		"no certificate of Envoy's": {func(s string) string {
			before, after, _ := strings.Cut(s, "          tls_certificates:\n")
			_, after, _ = strings.Cut(after, "          validation_context:\n")
			return before + "          validation_context:\n" + after
		}, 503, false},
		"another CA": {func(s string) string { return strings.Replace(s, ours.CA, others.CA, 1) }, 503, false},
	} {
		t.Run(name, func(t *testing.T) {
			places, err := e2e.FreePlaces(at, upstream(t))
			if err != nil {
				t.Fatal(err)
			}
			places.Edit = func(_ string, file []byte) []byte {
				as := uncommented(string(file), ours)
				if edited := x.edit(as); name == "as it stands" || edited != as {
					return []byte(edited)
				}
				t.Error("the file has no such lines")
				return file
			}
			p := startProxy(t, "envoy", places)
			healthy := func() bool {
				resp, err := http.Get("http://" + places.Admin + "/clusters")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return strings.Contains(string(text), "barong_authz::"+at.GRPC+"::health_flags::healthy")
			}
			for begun := time.Now(); healthy() != x.healthy; time.Sleep(50 * time.Millisecond) {
				if time.Since(begun) > 10*time.Second {
					t.Fatalf("healthy: %t, want %t", !x.healthy, x.healthy)
				}
			}
			got := raw(t, p, "GET /api/v2/barong/public/time HTTP/1.1")
			if got.status != x.status || x.status == 503 && got.body != `{"errors":["authz.unavailable"]}` {
				t.Errorf("got %d %q, want %d", got.status, got.body, x.status)
			}
		})
	}
}
