//go:build !race

package peer_test

// rounds is how many changed messages are tried.
const rounds = 100_000
