//go:build race

package authz

// poolsAreLossy: under the race detector sync.Pool drops things at random.
const poolsAreLossy = true
