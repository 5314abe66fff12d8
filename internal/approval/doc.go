// Package approval owns the second pair of eyes: requests of staff that another member confirms or
// refuses. The services of accounts and of the policy keep a request in place of a change that needs one;
// this package judges both people again when it is confirmed, and has the same services carry it out.
//
//	change ──► service ──► needs two? ──no──► made
//	                           │yes
//	                           ▼
//	                        request ──► confirmed by another ──► checked again ──► made, in one transaction
//	                           │                                     │
//	                           └──► refused, or lapsed ◄─────────────┘
package approval
