// Package admin owns the REST endpoints by which staff manage the policy and any
// account: permissions, restrictions and whitelinks, previews of both, abilities, activities, levels,
// explanations, users with their labels and stored data, reviews of profiles.
//
// It takes bearer tokens only. A role's permissions, judged by the gateway, say which paths
// staff reach; its abilities, judged here, give their rights there (AZ-190…194). The rules for
// rows and against locking people out are package policy's; those for changes of accounts, package
// account's.
//
//	Authorization: Bearer <jwt> ──► caller.Resolver ──► user row ──► Abilities ──► editor.Service
//	                                                                       ──► account.Service
//
// Writes of the policy answer X-Policy-Version, the policy version that includes them. A request that
// sends that version back in X-Policy-Version waits until this process decides by it.
package admin
