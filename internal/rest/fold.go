package rest

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// foldFor is the time in which lines of one kind are counted together.
	foldFor = time.Second
	// refusalBurst lines of one kind of refusal are written in that time.
	refusalBurst = 5
	// maxFolded bounds the kinds that are told apart by caller; those beyond share one for each
	// status, so that no flood writes more than maxFolded*refusalBurst lines in foldFor and a few
	// for each status.
	maxFolded = 128
)

// A foldKind is what folded lines have in common: the answer, and the caller by network (64 bits
// of IPv6, as one customer has at least) and account.
type foldKind struct {
	error, uid string
	ip         netip.Addr
	status     int
	outage     bool // error names the endpoint
	left       bool // the caller did not wait for the answer
}

// A fold thins out log lines of refusals and outages, of which a flood comes at once: a burst of
// each kind is written in each foldFor, and of the rest one line that counts it, with the next
// line after that time. It is safe for concurrent use; its zero value is ready.
type fold struct {
	mu    sync.Mutex
	began time.Time
	kinds map[foldKind]*folded
}

type folded struct{ written, left int }

// take reports whether a line of a kind is to be written, of which most are in foldFor, and
// returns the counts of lines left out before then, when their time is over.
func (f *fold) take(kind foldKind, most int, now time.Time) (write bool, over map[foldKind]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if age := now.Sub(f.began); f.kinds == nil || age >= foldFor || age < 0 {
		for k, n := range f.kinds {
			if n.left > 0 {
				if over == nil {
					over = map[foldKind]int{}
				}
				over[k] = n.left
			}
		}
		f.kinds, f.began = map[foldKind]*folded{}, now
	}
	if kind.ip.Is6() {
		network, _ := kind.ip.Prefix(64) // fails for impossible lengths only
		kind.ip = network.Addr()
	}
	n := f.kinds[kind]
	if n == nil && len(f.kinds) >= maxFolded {
		kind = foldKind{status: kind.status, outage: kind.outage, left: kind.left}
		n = f.kinds[kind]
	}
	if n == nil {
		n = new(folded)
		f.kinds[kind] = n
	}
	if n.written < most {
		n.written++
		return true, over
	}
	n.left++
	return false, over
}

// write logs a line of a refusal or an outage unless it is folded, and first what was folded
// before.
func (s *Server) write(ctx context.Context, kind foldKind, most int, level slog.Level, message string, attrs ...slog.Attr) {
	ok, over := s.lines.take(kind, most, time.Now())
	for k, n := range over {
		s.config.Log.LogAttrs(ctx, slog.LevelInfo, "requests like those above", slog.Int("folded", n), slog.Int("status", k.status),
			slog.String("error", k.error), slog.String("uid", k.uid), slog.String("ip", addressText(k.ip)))
	}
	if ok {
		s.config.Log.LogAttrs(ctx, level, message, slices.Clip(attrs)...)
	}
}

func addressText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
