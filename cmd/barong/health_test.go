package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHealthSaysWhatReadyzSays(t *testing.T) {
	var fault error
	server := httptest.NewServer(opsHandler(prometheus.NewRegistry(), func(context.Context) error { return fault }, false))
	defer server.Close()
	ask := func(environ ...string) (int, string) {
		var out, errs bytes.Buffer
		// The proxy of the environment must not be asked: nothing listens there.
		term := &terminal{out: &out, err: &errs, environ: append(environ, "HTTP_PROXY=http://127.0.0.1:1")}
		return run(t.Context(), []string{"health", "--timeout", "5s"}, term), out.String() + errs.String()
	}
	addr := "BARONG_OPS_ADDR=" + strings.TrimPrefix(server.URL, "http://")
	if code, said := ask(addr); code != 0 || said != "ready\n" {
		t.Errorf("ready: %d %q", code, said)
	}
	fault = context.DeadlineExceeded
	if code, said := ask(addr); code != 1 || !strings.Contains(said, "not ready: "+fault.Error()) {
		t.Errorf("not ready: %d %q", code, said)
	}
	if code, said := ask("BARONG_OPS_ADR=127.0.0.1:1"); code != 2 || !strings.Contains(said, "BARONG_OPS_ADDR") {
		t.Errorf("a wrong setting: %d %q", code, said)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if code, said := ask("BARONG_OPS_ADDR=" + strings.TrimPrefix(other.URL, "http://")); code != 1 {
		t.Errorf("another server: %d %q", code, said)
	}
	other.Close()
	if code, said := ask("BARONG_OPS_ADDR=" + strings.TrimPrefix(other.URL, "http://")); code != 1 {
		t.Errorf("nobody: %d %q", code, said)
	}
}

func TestNearIsAnAddressToDial(t *testing.T) {
	for listener, want := range map[string]string{
		"0.0.0.0:9091":   "127.0.0.1:9091",
		":9091":          "127.0.0.1:9091",
		"[::]:9091":      "[::1]:9091",
		"10.0.0.7:9091":  "10.0.0.7:9091",
		"localhost:9091": "localhost:9091",
	} {
		if got, err := near(listener); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", listener, got, err, want)
		}
	}
}
