package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports that are handed out lie below those that systems give to outgoing connections (32768
// and up on Linux, RFC 6335 §6 has 49152): one of these could take a port between the look and
// the server's start.
const lowestPort, ports = 20000, 12000

// FreePort is a loopback port that nothing listens on now. No process of this package hands it
// out again before this process ends: a server that was stopped can have it back.
func FreePort() (int, error) {
	err := errors.New("all tried are taken")
	for range 100 {
		port := lowestPort + rand.IntN(ports)
		if !reserve(port) {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
