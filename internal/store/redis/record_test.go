package redis

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"barong/internal/session"
)

var sample = session.Session{
	ID: session.ID{1, 2, 31: 3}, UID: "ID1", IP: netip.MustParseAddr("2001:db8::7"), UserAgent: strings.Repeat("caf\xe9 \x00", 50),
	CSRFToken: "0123456789abcdef0123", Generation: 3, Epoch: 2,
	CreatedAt: time.UnixMicro(1_600_000_000_000_001).UTC(), ExpiresAt: time.UnixMicro(1_600_000_000_000_002).UTC(),
}

func TestARecordKeepsEveryField(t *testing.T) {
	for name, change := range map[string]func(*session.Session){
		"as it is":          func(*session.Session) {},
		"IPv4":              func(s *session.Session) { s.IP = netip.MustParseAddr("192.0.2.1") },
		"IPv4 in IPv6":      func(s *session.Session) { s.IP = netip.MustParseAddr("::ffff:192.0.2.1") },
		"a zone":            func(s *session.Session) { s.IP = netip.MustParseAddr("fe80::1%eth0") },
		"no address":        func(s *session.Session) { s.IP = netip.Addr{} },
		"a long user agent": func(s *session.Session) { s.UserAgent = strings.Repeat("x", 1<<17) },
		"nothing": func(s *session.Session) {
			*s = session.Session{CreatedAt: time.UnixMicro(0).UTC(), ExpiresAt: time.UnixMicro(0).UTC()}
		},
		"negative numbers":   func(s *session.Session) { s.Generation, s.Epoch = -1, -2 },
		"long before":        func(s *session.Session) { s.CreatedAt = time.UnixMicro(-5).UTC() },
		"the last of expiry": func(s *session.Session) { s.ExpiresAt = time.UnixMicro(1<<53 - 1).UTC() },
	} {
		want := sample
		change(&want)
		b, err := encode(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := decode(want.ID, string(b))
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); err != nil || d != "" {
			t.Errorf("%s: %v, want (-), got (+):\n%s", name, err, d)
		}
	}
	for name, at := range map[string]time.Time{
		"too early": time.UnixMicro(-1), "too late": time.UnixMicro(1 << 53), "never": {},
	} {
		x := sample
		x.ExpiresAt = at
		if _, err := encode(x); err == nil {
			t.Errorf("an expiry %s was stored", name)
		}
	}
}

// Every flipped bit but those that scripts write is noticed.
func TestARecordNoticesEveryChange(t *testing.T) {
	good, err := encode(sample)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		if i >= 1 && i < checksumAt {
			continue
		}
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if _, err := decode(sample.ID, string(b)); err == nil {
				t.Fatalf("byte %d, bit %d: accepted", i, bit)
			}
		}
	}
	for n := range good {
		if _, err := decode(sample.ID, string(good[:n])); err == nil {
			t.Fatalf("accepted %d bytes of %d", n, len(good))
		}
	}
}

// FuzzRecord: a record is taken only if encode makes the same bytes. The checksum is set right, or
// no random input would get past it.
func FuzzRecord(f *testing.F) {
	for _, ip := range []string{"2001:db8::7", "192.0.2.1", "fe80::1%eth0"} {
		x := sample
		x.IP = netip.MustParseAddr(ip)
		b, err := encode(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decode(sample.ID, string(b))
		if len(b) >= bodyAt {
			binary.BigEndian.PutUint32(b[checksumAt:], checksum(sample.ID, b[bodyAt:]))
		}
		s, err := decode(sample.ID, string(b))
		if err != nil {
			return
		}
		again, err := encode(s)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x reads as %#v, written as %x (%v)", b, s, again, err)
		}
	})
}
