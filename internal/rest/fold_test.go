package rest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A flood writes a bounded number of lines, every kind of refusal is still seen, and what was
// left out is counted.
func TestLinesOfFloodsAreFolded(t *testing.T) {
	var f fold
	now := time.Unix(1_800_000_000, 0)
	written, counted := 0, 0
	take := func(kind foldKind) bool {
		ok, over := f.take(kind, refusalBurst, now)
		for _, n := range over {
			counted += n
		}
		if ok {
			written++
		}
		return ok
	}
	one := foldKind{error: "identity.session.invalid_params", status: 401, ip: netip.MustParseAddr("192.0.2.1")}
	for range 10_000 {
		take(one)
	}
	if written != refusalBurst {
		t.Errorf("one client's flood in a second wrote %d lines, want %d", written, refusalBurst)
	}
	for _, other := range []foldKind{
		{error: "authz.invalid_session", status: 401, ip: one.ip},
		{error: one.error, status: 401, ip: netip.MustParseAddr("192.0.2.2")},
		{error: one.error, status: 401, ip: one.ip, uid: "ID1"},
	} {
		if !take(other) {
			t.Errorf("%v went under in the flood of another kind", other)
		}
	}
	now = now.Add(foldFor)
	if !take(one) || counted != 10_000-refusalBurst {
		t.Errorf("a second later %d lines are counted, want %d", counted, 10_000-refusalBurst)
	}

	now = now.Add(foldFor)
	written = 0
	for i := range 100_000 {
		take(foldKind{error: fmt.Sprint(i), status: 404, ip: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
	}
	if most := maxFolded*refusalBurst + refusalBurst; written > most {
		t.Errorf("a flood of kinds wrote %d lines, want at most %d", written, most)
	}
	if len(f.kinds) > maxFolded+1 {
		t.Errorf("%d kinds are held", len(f.kinds))
	}

	now = now.Add(foldFor)
	written = 0
	for i := range 1000 {
		take(foldKind{error: "x", status: 401, ip: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i))})
	}
	if written != refusalBurst {
		t.Errorf("one customer's addresses wrote %d lines, want %d", written, refusalBurst)
	}
}
