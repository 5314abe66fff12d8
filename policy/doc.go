// Package policy owns access: restrictions by address and country, route rules that block or pass
// a path, and permissions of roles. Rows are compiled into an immutable Snapshot that one decision
// reads from beginning to end.
//
//	Store rows + rules file ──► Compile ──► Snapshot ──► Holder (one atomic pointer)
//	                                          ▲   ▲
//	                                          │   └── Geo, a GeoIP file that may be swapped
//	             Naive, written straight from the rules, must always agree with it
//
// Rows are brought into their stored form by Normalize. Around it stand
//
//	editor    changes of rows: refusals, previews, activities, whitelinks
//	seed      the seeds file, and adding its rows to an empty database
//	ability   the rights of staff inside the admin API
//	review    mistakes in the files, found before they are served
//	defaults  the built-in files
//
// It does not authenticate and does not know HTTP statuses beyond those that a restriction
// row carries.
package policy
