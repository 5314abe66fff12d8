// Package admin owns the REST endpoints for what staff do with the policy and with any
// account: permissions, restrictions and whitelinks, previews of both, abilities, activities,
// explanations, users.
//
// It takes bearer tokens only. A role's permissions, judged by the gateway, say which paths
// staff reach; its abilities, judged here, say what they may do there (AZ-190…194). What a
// row must be and who must not be locked out is package policy's; who may change whom, package
// account's.
//
//	Authorization: Bearer <jwt> ──► caller.Desk ──► user row ──► Abilities ──► policy.Service
//	                                                                       ──► account.Service
//
// Writes of the policy answer X-Policy-Version, the policy version that includes them. A request that
// sends that version back in X-Policy-Version waits until this process decides by it.
package admin
