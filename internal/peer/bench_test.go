package peer_test

import (
	"strings"
	"testing"

	"barong/internal/peer"
	"barong/internal/peer/peertest"
)

// A body with a file of 10 MB.
func BenchmarkVerifyUpload(b *testing.B) {
	p := peertest.New(b)
	v := p.Verifier(b, peer.ReplayOff, clock, call)
	body := p.Sign(b, map[string]any{"upload": strings.Repeat("A", 14<<20)}, now, "alex")
	b.ReportMetric(float64(len(body))/(1<<20), "MiB")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), request(body)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	p := peertest.New(b)
	v := p.Verifier(b, peer.ReplayOff, clock, call)
	body := p.Sign(b, map[string]any{"uid": "ID1"}, now, "alex", "jeff")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), request(body)); err != nil {
			b.Fatal(err)
		}
	}
}
