// Package folder keeps uploaded files in one folder of this machine, or of a network that several
// replicas mount. It owns how a file gets there whole; person owns the names.
//
//	<folder>/<uid>/<document id>/<random>         0600, in folders of 0700
//	<folder>/<uid>/<document id>/.part-<random>   a write under way, or one that was cut off
package folder
