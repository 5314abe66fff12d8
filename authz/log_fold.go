package authz

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// foldFor is how long the lines written of one kind speak for all others of it.
	foldFor = time.Second
	// denialBurst denials of one kind are written at once in that time, of outages one.
	denialBurst = 5
	// maxFolded bounds the kinds that are told apart by address and account; those beyond
	// share one line for each reason. With the above it bounds the log: no flood writes more
	// than maxFolded*(denialBurst+1) lines a second and a few for each reason.
	maxFolded = 128
)

// A folder thins out the lines of denials and outages, of which a flood comes at once. Lines of
// one kind are written at once up to a burst, then the newest once in foldFor, with the number
// of those left out. It is for one goroutine.
type folder struct{ open []foldOpen }

// A foldKind is what folded lines have in common. An outage says the same about everybody. The
// address is a network of 64 bits for IPv6, as one customer has at least; with the account,
// nobody's line goes under in those of a neighbour behind the same address.
type foldKind struct {
	reason, uid string
	ip          netip.Addr
	outage      bool
}

// A foldOpen is a kind of which something was written in the last foldFor.
type foldOpen struct {
	foldKind
	written time.Time     // when the first or, after a burst, the last of its lines was
	lines   int           // written at once since
	latest  *decisionLine // of those not written since; nil when there is none
}

// kindOf is where a line belongs, given what is open.
func (f *folder) kindOf(line *decisionLine) (kind foldKind, at int) {
	kind = foldKind{reason: line.reason, outage: line.cause != nil}
	find := func() int { return slices.IndexFunc(f.open, func(o foldOpen) bool { return o.foldKind == kind }) }
	if kind.outage {
		return kind, find()
	}
	kind.uid, kind.ip = line.uid, line.ip
	if kind.ip.Is6() {
		network, _ := kind.ip.Prefix(64) // fails for impossible lengths only
		kind.ip = network.Addr()
	}
	if at = find(); at < 0 && len(f.open) >= maxFolded {
		kind.uid, kind.ip = "", netip.Addr{}
		at = find()
	}
	return kind, at
}

// add takes a line and returns the one to write now, and the one that nobody will see; nil
// where there is none.
func (f *folder) add(line *decisionLine) (write, drop *decisionLine) {
	decided := line.at.Add(line.duration)
	kind, i := f.kindOf(line)
	if i < 0 {
		f.open = append(f.open, foldOpen{foldKind: kind, written: decided, lines: 1})
		return line, nil
	}
	o := &f.open[i]
	if drop = o.latest; drop != nil {
		line.folded = drop.folded + 1
	}
	if decided.Sub(o.written) >= foldFor {
		o.latest, o.written, o.lines = nil, decided, 1
		return line, drop
	}
	if !kind.outage && o.lines < denialBurst && drop == nil {
		o.lines++
		return line, nil
	}
	o.latest = line
	return nil, drop
}

// next is how long from now a kind's time is over; some is false when none is open.
func (f *folder) next(now time.Time) (wait time.Duration, some bool) {
	for _, o := range f.open {
		if left := o.written.Add(foldFor).Sub(now); !some || left < wait {
			wait, some = left, true
		}
	}
	return max(wait, 0), some
}

// due returns the lines that have waited long enough, and forgets kinds that are over.
func (f *folder) due(now time.Time) (lines []*decisionLine) {
	f.open = slices.DeleteFunc(f.open, func(o foldOpen) bool {
		return o.latest == nil && now.Sub(o.written) >= foldFor
	})
	for i := range f.open {
		if o := &f.open[i]; o.latest != nil && now.Sub(o.written) >= foldFor {
			lines = append(lines, o.latest)
			o.latest, o.written, o.lines = nil, now, denialBurst // a flood that goes on has had its burst
		}
	}
	return lines
}

// rest returns all lines that wait.
func (f *folder) rest() (lines []*decisionLine) {
	for _, o := range f.open {
		if o.latest != nil {
			lines = append(lines, o.latest)
		}
	}
	f.open = nil
	return lines
}
