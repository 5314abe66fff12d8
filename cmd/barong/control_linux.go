package main

import (
	"errors"
	"net"
	"syscall"
)

// peerUID is the user of the process at the other end of a socket of the file system.
func peerUID(c net.Conn) (uid int, err error) {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid = -1
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var peer *syscall.Ucred
		if peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); failed == nil {
			uid = int(peer.Uid)
		}
	}); err != nil {
		return -1, err
	}
	return uid, failed
}
