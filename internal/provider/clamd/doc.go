// Package clamd asks the daemon of ClamAV whether a file is infected, by its command INSTREAM. It reads
// only the two answers that decide; after any other one, or none, the file counts as not scanned.
package clamd
