//go:build !linux

package main

import (
	"net"
	"os"
)

// peerUID trusts the mode of the socket: only its own user opens it.
func peerUID(net.Conn) (uid int, err error) { return os.Geteuid(), nil }
