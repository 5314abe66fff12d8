// Package audit owns activities: immutable rows about actions and their actors, and the writer that
// keeps them off the decision path without losing them.
//
//	authz ──► Writer.Record ──► bounded queue ──► batches ──► Store
//	                               │ full or store down
//	                               └──► fsynced spill file, replayed later (design D22)
//
// Nothing secret is ever stored: data goes through Mask (FX-34).
package audit
