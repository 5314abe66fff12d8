//go:build race

package peer_test

// rounds is how many changed messages are tried: the race detector makes each five times as slow.
const rounds = 20_000
