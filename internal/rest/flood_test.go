package rest_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"barong/internal/limit"
	"barong/internal/rest"
)

// flooded is a server with endpoints that refuse, fail and panic, and its log.
func flooded(t *testing.T, set func(*rest.Config)) (*rest.Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s := newServer(t, &log, func(c *rest.Config) {
		c.ClientIP = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
		if set != nil {
			set(c)
		}
	})
	refused := errors.New("refused")
	guard := rest.Guard[rest.None]{Admit: func(*http.Request) (rest.None, error) { return rest.None{}, nil }}
	g := rest.NewGroup(s, "floods", guard)
	for path, f := range map[string]func() error{
		"/refuse": func() error { return refused },
		"/fail":   func() error { return errors.New("the disk is full") },
		"/panic":  func() error { panic("a fault of ours") },
	} {
		rest.Add(g, rest.Op{Method: "GET", Path: path, Status: 200, Summary: "x", Cost: limit.Answer,
			Errors: rest.On(refused, 422, "floods.refused")},
			func(context.Context, rest.None, rest.None) (rest.None, error) { return rest.None{}, f() })
	}
	return s, &log
}

func ask(s *rest.Server, ctx context.Context, path string) {
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v2/floods"+path, nil))
}

// Whatever an endpoint answers, a flood of it writes a bounded part of the log.
func TestAFloodOfRequestsWritesFewLines(t *testing.T) {
	for _, path := range []string{"/refuse", "/fail", "/panic", "/nothing"} {
		t.Run(path, func(t *testing.T) {
			s, log := flooded(t, nil)
			const flood = 10_000
			for range flood {
				ask(s, t.Context(), path)
			}
			s.Flush()
			lines := strings.Count(log.String(), "\n")
			if lines == 0 || lines > flood/20 { // some for each second that it takes
				t.Errorf("%d requests wrote %d lines and %d bytes", flood, lines, log.Len())
			}
		})
	}
}

// A client that hangs up again and again does not keep the line of a failure out of the log.
func TestHangingUpHidesNoFailure(t *testing.T) {
	s, log := flooded(t, nil)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 1000 {
		ask(s, gone, "/fail")
	}
	ask(s, t.Context(), "/fail")
	s.Flush()
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "ERROR") && strings.Contains(line, "the disk is full") {
			return
		}
	}
	t.Errorf("no ERROR line:\n%.2000s", log.String())
}
