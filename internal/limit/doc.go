// Package limit bounds how often something may be done, per key. It owns the arithmetic, the
// contract of the stores, and the classes of cost that every endpoint declares (Classes) with
// the share of a network and an account in each (Budget). Narrower limits, of guesses
// and mails, are signin's and factor's.
//
//	Rule{5, 15 min}: a bucket that holds five, and gets one back every three minutes
//
//	Take ──► one is left ──► wait 0, spent
//	     └─► none is left ─► wait until one is back, nothing spent
//	Return ──► gives one back; Clear ──► fills the bucket
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A): all that a bucket remembers
// is the moment at which it will be full, so a store keeps one number per key, and a bucket
// that is full again needs none. In any Period at most twice Burst pass: the saved ones,
// and those that came back meanwhile.
//
// Memory is the store of one process; internal/store and internal/store/redis have those
// that replicas share.
package limit
