// Package logfold thins out log lines that a flood brings: of each kind a burst is written at once,
// then the newest once a second, with the number of those that it stands for. Written lines and
// those numbers add up to all lines there were, whether or not another comes after them.
package logfold

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// For is how long the lines written of one kind speak for all others of it.
	For = time.Second
	// Refusals of one kind are written at once in that time, of Outages one: each says the same.
	Refusals, Outages = 5, 1
	// Most kinds are open at once; those beyond are as Folder.Beyond says. With the above it bounds
	// a log: no flood writes more than Most*(Refusals+1) lines in For and a few for those beyond.
	Most = 128
)

// A Folder thins out lines L of kinds K. It is for one goroutine; Shared is for many.
type Folder[K comparable, L any] struct {
	// Write gets a line that is due, and how many others it stands for.
	Write func(line L, folded int)
	// Drop, when set, gets each line that another stands for.
	Drop func(L)
	// Beyond gives the kind that a new one counts as when Most are open.
	Beyond func(K) K

	open []kind[K, L]
}

// A kind is one of which something was written in the last For.
type kind[K comparable, L any] struct {
	is      K
	written time.Time // when the first or, after a burst, the last of its lines was
	lines   int       // written at once since
	latest  L         // of those not written since
	waiting int       // how many those are
}

// Add takes a line that was made at the time given, of which so many are written at once.
func (f *Folder[K, L]) Add(is K, burst int, line L, at time.Time) {
	i := f.find(is)
	if i < 0 && len(f.open) >= Most {
		is = f.Beyond(is)
		i = f.find(is)
	}
	if i < 0 {
		f.open = append(f.open, kind[K, L]{is: is, written: at, lines: 1})
		f.Write(line, 0)
		return
	}
	k := &f.open[i]
	switch {
	case at.Sub(k.written) >= For:
		k.written, k.lines = at, 0
		fallthrough
	case k.waiting == 0 && k.lines < burst:
		k.lines++
		f.write(k, line)
	default:
		f.keep(k, line)
	}
}

func (f *Folder[K, L]) find(is K) int {
	return slices.IndexFunc(f.open, func(k kind[K, L]) bool { return k.is == is })
}

// keep lets a line wait in place of the one that does.
func (f *Folder[K, L]) keep(k *kind[K, L], line L) {
	if k.waiting > 0 && f.Drop != nil {
		f.Drop(k.latest)
	}
	k.latest = line
	k.waiting++
}

// write writes a line for itself and for those that wait.
func (f *Folder[K, L]) write(k *kind[K, L], line L) {
	folded := k.waiting
	if folded > 0 && f.Drop != nil {
		f.Drop(k.latest)
	}
	f.clear(k)
	f.Write(line, folded)
}

// writeLatest writes the newest line that waits, if any does.
func (f *Folder[K, L]) writeLatest(k *kind[K, L]) {
	if k.waiting == 0 {
		return
	}
	line, folded := k.latest, k.waiting-1
	f.clear(k)
	f.Write(line, folded)
}

func (f *Folder[K, L]) clear(k *kind[K, L]) {
	var none L
	k.latest, k.waiting = none, 0
}

// Next is how long from now a kind's time is over; some is false when none is open.
func (f *Folder[K, L]) Next(now time.Time) (wait time.Duration, some bool) {
	for _, k := range f.open {
		if left := k.written.Add(For).Sub(now); !some || left < wait {
			wait, some = left, true
		}
	}
	return max(wait, 0), some
}

// Due writes lines that have waited long enough, and forgets kinds that are over.
func (f *Folder[K, L]) Due(now time.Time) {
	over := func(k kind[K, L]) bool { return now.Sub(k.written) >= For }
	f.open = slices.DeleteFunc(f.open, func(k kind[K, L]) bool { return k.waiting == 0 && over(k) })
	for i := range f.open {
		if k := &f.open[i]; over(*k) {
			f.writeLatest(k)
			k.written, k.lines = now, Refusals // a flood that goes on has had its burst
		}
	}
}

// Rest writes all lines that wait, and forgets all kinds.
func (f *Folder[K, L]) Rest() {
	for i := range f.open {
		f.writeLatest(&f.open[i])
	}
	f.open = nil
}

// A Shared is a Folder for many goroutines. A waiting line is written when its time is over, by a
// goroutine of its own, or by Flush.
type Shared[K comparable, L any] struct {
	// Folder is used under the lock: its functions must not call Shared.
	Folder Folder[K, L]

	mu    sync.Mutex
	timer *time.Timer // nil while nothing is open
}

// Add takes a line that is made now, of which so many are written at once.
func (s *Shared[K, L]) Add(is K, burst int, line L) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.Folder.Add(is, burst, line, now)
	s.wake(now)
}

// wake has due called when the next kind's time is over.
func (s *Shared[K, L]) wake(now time.Time) {
	if s.timer != nil {
		return
	}
	if wait, some := s.Folder.Next(now); some {
		s.timer = time.AfterFunc(wait, s.due)
	}
}

func (s *Shared[K, L]) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.timer = nil
	s.Folder.Due(now)
	s.wake(now)
}

// Flush writes all lines that wait, for the end of a process.
func (s *Shared[K, L]) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Folder.Rest()
}

// Network is the part of an address that identifies a client: all of IPv4, 64 bits of IPv6, as one
// customer has at least.
func Network(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	network, _ := ip.Prefix(64) // fails for impossible lengths only
	return network.Addr()
}
