package worldtest

import (
	"context"
	"sync"

	"barong/internal/person"
)

// An Inbox is a person.PhoneProvider that keeps all messages. It is safe for concurrent use, but for
// its fields.
type Inbox struct {
	// Fail is the error of every call.
	Fail error
	// Makes is the code that it makes and takes, "" when it sends those of the service.
	Makes string

	mu       sync.Mutex
	messages []person.PhoneMessage
	checks   int
}

var _ person.PhoneProvider = (*Inbox)(nil)

// MakesCodes implements person.PhoneProvider.
func (i *Inbox) MakesCodes() bool { return i.Makes != "" }

// Send implements person.PhoneProvider.
func (i *Inbox) Send(_ context.Context, m person.PhoneMessage) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
	return m.Channel, i.Fail
}

// Check implements person.PhoneProvider.
func (i *Inbox) Check(_ context.Context, _, code string) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.checks++
	return code == i.Makes, i.Fail
}

// Take empties it and returns the messages, oldest first.
func (i *Inbox) Take() []person.PhoneMessage {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.messages
	i.messages = nil
	return all
}

// Checks is how many codes it was asked about.
func (i *Inbox) Checks() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.checks
}
