// Package policy owns access: restrictions by address and country, route rules
// that block or pass a path, permissions of roles, and abilities of staff. Rows are compiled
// into an immutable Snapshot that one decision reads from beginning to end.
//
//	Store rows + rules file ──► Compile ──► Snapshot ──► Holder (one atomic pointer)
//	                                          ▲   ▲
//	                                          │   └── Geo, a GeoIP file that may be swapped
//	             Naive, written straight from the rules, must always agree with it
//
// Rows are brought into their stored form by Normalize; the files of the reference are read by
// ParseSeeds, ParseRules and ParseAbilities, and Default has the built-in ones.
//
// It does not authenticate and does not know HTTP statuses beyond those that a restriction
// row carries.
package policy
