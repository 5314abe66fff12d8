package limit

import (
	"math/bits"
	"strings"
	"time"
)

// A Cost is a bound on the use of a request: a set of classes. The zero value says nothing, which no
// endpoint may.
type Cost uint16

// The classes. Each has limits by network, and by principal once the caller is known; they are
// in Classes.
const (
	Answer   Cost = 1 << iota // memory only
	Read                      // rows by their keys
	List                      // a page of rows and how many there are
	Judge                     // the strength of a password
	Write                     // a change of one's own
	Staff                     // a change by staff
	Preview                   // the effect of a change by staff
	Callback                  // the call of a provider
	Guess                     // a secret that somebody may guess at
	Hash                      // a password hash
	Notice                    // a mail to the account's owner about a change
	Mail                      // a mail to an address that the caller names
	Call                      // a question to a provider
	Upload                    // files that are stored
	Peer                      // a request of a peer service, whatever it does
)

// A Class is one kind of cost, and how much of it one network and one principal may cause.
type Class struct {
	Cost Cost
	Name string
	// Doc describes the counted request.
	Doc string
	// The most that one request uses, beside its answer: processor time on one core, rows
	// written, mails, calls to providers.
	CPU                time.Duration
	Rows, Mails, Calls int
	// Network is the rule for each IPv4 address and each IPv6 /64, WideFactor times as much
	// that for each IPv4 /24 and IPv6 /48. Principal is the rule for each account, once it is
	// known.
	Network, Principal Rule
	// Shared says that replicas count together, in the store that they share. The others are
	// counted by each process for itself, in memory, where counting costs nothing else.
	Shared bool
}

// WideFactor is how many times the rule of one network the networks beside it get together.
const WideFactor = 8

// AccessLine is how many bytes of log a request writes, about.
const AccessLine = 400

// Classes are all classes in the order of their bits. Numbers are for people: a page that asks
// for its user's account every three seconds, a form that judges a password at each key, an
// office of traders behind one address, an administrator that leafs through lists.
func Classes() []Class {
	const minute, hour = time.Minute, time.Hour
	return []Class{
		{Answer, "answer", "is answered from memory", 20 * time.Microsecond, 0, 0, 0,
			Rule{3000, minute}, Rule{1200, minute}, false},
		{Read, "read", "reads a few rows by their keys", 300 * time.Microsecond, 0, 0, 0,
			Rule{6000, minute}, Rule{600, minute}, false},
		{List, "list", "reads a page of rows and counts all", 5 * time.Millisecond, 0, 0, 0,
			Rule{1200, minute}, Rule{300, minute}, false},
		{Judge, "judge", "measures how strong a password is", time.Millisecond, 0, 0, 0,
			Rule{300, minute / 2}, Rule{}, false},
		{Write, "write", "changes rows of one account", time.Millisecond, 6, 0, 0,
			Rule{600, 10 * minute}, Rule{60, 10 * minute}, false},
		{Staff, "staff", "changes the policy or anybody's account", 20 * time.Millisecond, 6, 0, 0,
			Rule{600, minute}, Rule{120, minute}, false},
		{Preview, "preview", "works out decisions and changes nothing", 100 * time.Millisecond, 0, 0, 0,
			Rule{240, minute}, Rule{60, minute}, false},
		{Callback, "callback", "notes the call of a provider", time.Millisecond, 1, 0, 0,
			Rule{60, minute}, Rule{}, false},
		{Guess, "guess", "tries a secret", 0, 0, 0, 0,
			Rule{10, minute}, Rule{}, true},
		{Hash, "hash", "hashes a password", 60 * time.Millisecond, 0, 0, 0,
			Rule{200, 10 * minute}, Rule{20, 10 * minute}, false},
		{Notice, "notice", "may mail the owner of the account about the change", 0, 1, 1, 0,
			Rule{200, 10 * minute}, Rule{20, 10 * minute}, false},
		{Mail, "mail", "may mail an address that the caller names", 0, 2, 1, 0,
			Rule{60, hour}, Rule{10, hour}, true},
		{Call, "call", "asks a provider", 0, 0, 0, 1,
			Rule{120, 10 * minute}, Rule{30, 10 * minute}, true},
		{Upload, "upload", "stores files", 500 * time.Millisecond, 16, 0, 0,
			Rule{200, 10 * minute}, Rule{20, 10 * minute}, false},
		{Peer, "peer", "is signed by peer services", 20 * time.Millisecond, 8, 0, 0,
			Rule{12000, minute}, Rule{6000, minute}, false},
	}
}

// Has reports whether every class of part is in c.
func (c Cost) Has(part Cost) bool { return c&part == part }

// Of are the classes of c, in the order of Classes.
func (c Cost) Of() []Class {
	all := Classes()
	out := make([]Class, 0, bits.OnesCount16(uint16(c)))
	for _, class := range all {
		if c.Has(class.Cost) {
			out = append(out, class)
		}
	}
	return out
}

// Known reports whether c has a class, and nothing else.
func (c Cost) Known() bool { return c != 0 && c < 1<<len(Classes()) }

// String names the classes: "write, hash".
func (c Cost) String() string {
	var names []string
	for _, class := range c.Of() {
		names = append(names, class.Name)
	}
	return strings.Join(names, ", ")
}
