// Package view owns the JSON shapes of accounts that more than one API group shows: which
// fields, in which spelling, and their masks.
//
// It reads domain values and decides nothing: access to a shape is the edge's business.
// Field order is the order of the reference; null fields are present, lists are never null.
package view
