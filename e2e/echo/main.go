// Echo is the demo's upstream: it answers every request with the request as it saw it. Its
// arguments are the addresses to listen on.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"barong/e2e"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: echo ADDRESS...")
		os.Exit(2)
	}
	failed := make(chan error)
	for _, addr := range os.Args[1:] {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, "echo:", err)
			os.Exit(1)
		}
		go func() { failed <- http.Serve(l, e2e.Echo()) }()
	}
	fmt.Fprintln(os.Stderr, "echo:", <-failed)
	os.Exit(1)
}
