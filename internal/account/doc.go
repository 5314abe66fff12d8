// Package account owns the people and programs that hold credentials: users, service
// accounts, their labels, levels, states and ranks, and the rules by which these change.
//
// It is the kernel of the packages signin, factor, apikey and person, which import it and which it
// does not know: what they write about users and labels goes through Service.In, so that every such
// write announces itself and takes its consequences along. It does not own sessions (package
// session), tokens (package token), permissions (package policy) or any wire format: edges translate
// to and from it.
//
//	edges ────────────────► Service ──► Writer ──► Tx (internal/store): one transaction of
//	signin, factor, ─► In ──────────────┘          rows + activity + change-feed row + events
//	apikey, person
//
// Decisions read principals from package directory, which caches them.
package account
