package main

import (
	"fmt"
	"net"
	"os"

	"barong/authz"
)

// serveEmpty is the yardstick process: bench empty generated|own ADDRESS.
func serveEmpty(args []string) {
	l, err := net.Listen("tcp", args[1])
	if err == nil {
		err = authz.NewYardstick(args[0] == "generated").Serve(l)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}
