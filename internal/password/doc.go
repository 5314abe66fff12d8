// Package password owns the rules for new passwords: their form, an estimate of how hard they are
// to guess, and a list of common ones. It keeps and hashes none: digests are package secret's,
// and who has one is package account's.
//
//	password ──► Rules.Check ──► shape ──► Entropy ──► the broken rules, by their words
//	                                          ▲
//	                                      Dictionary
package password
