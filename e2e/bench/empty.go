package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"barong/authz"
)

// tokenLength is that of an RS256 bearer token of ours.
const tokenLength = 780

// serveEmpty is the yardstick process: bench empty generated|own|own-token ADDRESS.
func serveEmpty(args []string) {
	l, err := net.Listen("tcp", args[1])
	if err == nil {
		bearer := "Bearer yardstick"
		if args[0] == "own-token" {
			bearer += strings.Repeat("x", tokenLength-len(bearer))
		}
		err = authz.NewYardstick(args[0] == "generated", bearer).Serve(l)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}
