// Package event owns this service's messages to other systems: the names and payloads of domain
// events, the outbox in which they wait, and the relay that carries them out.
//
// It does not own brokers (internal/provider) or mail (internal/notify): both are Senders.
//
//	account.Service ──► Emit ──► outbox rows, in the transaction of the change
//	                                  │  one per destination that wants the event
//	Relay, one at a time per destination ──► Sender: broker, mail, …
//
// Delivery is at least once; events of one user reach one destination in the order in which
// they were committed.
package event
