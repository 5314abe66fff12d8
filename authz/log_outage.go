package authz

import (
	"slices"
	"time"
)

// foldFor is how long one line speaks for all outages of its reason.
const foldFor = time.Second

// An outageFolder thins out lines of outages, of which a flood comes at once: each reason is
// written at most once in foldFor, the newest line with the number of those left out. Reasons
// are few, being wire codes. It is for one goroutine.
type outageFolder struct{ open []outage }

// An outage is a reason that has been written in the last foldFor.
type outage struct {
	reason  string
	written time.Time     // when its last line was
	latest  *decisionLine // of those not written since; nil when there is none
}

// add takes a line and returns the one to write now, and the one that nobody will see; nil
// where there is none.
func (f *outageFolder) add(line *decisionLine) (write, drop *decisionLine) {
	decided := line.at.Add(line.duration)
	i := slices.IndexFunc(f.open, func(o outage) bool { return o.reason == line.reason })
	if i < 0 {
		f.open = append(f.open, outage{reason: line.reason, written: decided})
		return line, nil
	}
	o := &f.open[i]
	if drop = o.latest; drop != nil {
		line.folded = drop.folded + 1
	}
	if decided.Sub(o.written) < foldFor {
		o.latest = line
		return nil, drop
	}
	o.latest, o.written = nil, decided
	return line, drop
}

// next is how long from now a reason's time is over; some is false when none is open.
func (f *outageFolder) next(now time.Time) (wait time.Duration, some bool) {
	for _, o := range f.open {
		if left := o.written.Add(foldFor).Sub(now); !some || left < wait {
			wait, some = left, true
		}
	}
	return max(wait, 0), some
}

// due returns the lines that have waited long enough, and forgets reasons that are over.
func (f *outageFolder) due(now time.Time) (lines []*decisionLine) {
	f.open = slices.DeleteFunc(f.open, func(o outage) bool {
		return o.latest == nil && now.Sub(o.written) >= foldFor
	})
	for i := range f.open {
		if o := &f.open[i]; o.latest != nil && now.Sub(o.written) >= foldFor {
			lines = append(lines, o.latest)
			o.latest, o.written = nil, now
		}
	}
	return lines
}

// rest returns all lines that wait.
func (f *outageFolder) rest() (lines []*decisionLine) {
	for _, o := range f.open {
		if o.latest != nil {
			lines = append(lines, o.latest)
		}
	}
	f.open = nil
	return lines
}
