// Command bench measures what one decision costs: two empty authorizers as yardsticks and
// barong, alternating in one run over loopback, each server on a processor of its own where
// the machine allows it. It prints the table of docs/performance.md.
//
// CPU is the server process's user and system time over the requests it answered; ratios
// are medians over rounds of the ratio to the yardstick in the same round, because machines
// drift. See docs/performance.md for how to read them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "empty" {
		serveEmpty(os.Args[2:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rounds   int
	each     time.Duration
	only     *regexp.Regexp
	conns    int
	workers  int
	resident bool
	rebuild  bool
	cold     int
}

func bench(ctx context.Context) error {
	var o options
	only := flag.String("only", "", "regular expression of the rows to run")
	flag.IntVar(&o.rounds, "rounds", 5, "alternating rounds")
	flag.DurationVar(&o.each, "each", 2*time.Second, "length of one measurement")
	flag.IntVar(&o.conns, "conns", 4, "client connections")
	flag.IntVar(&o.workers, "workers", 32, "requests in flight")
	flag.IntVar(&o.cold, "cold", 100_000, "cold sessions asked for at once; 0 leaves it out")
	flag.BoolVar(&o.rebuild, "rebuild", true, "measure a snapshot rebuild under load")
	flag.BoolVar(&o.resident, "resident", false, "also hold 1,000,000 sessions and 100,000 keys and report the memory (minutes)")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}

	dir, err := os.MkdirTemp("", "barong-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rig, err := newRig(ctx, dir)
	if err != nil {
		return err
	}
	defer rig.stop()

	fmt.Printf("%s, %s, %d processors, %s, %d rounds of %s, %d in flight over %d connections\n\n",
		time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.NumCPU(), rig.pinning(), o.rounds, o.each, o.workers, o.conns)
	if err := rig.table(ctx, o); err != nil {
		return err
	}
	if err := rig.ready(ctx); err != nil {
		return err
	}
	if o.cold > 0 {
		if err := rig.coldStorm(ctx, o); err != nil {
			return err
		}
	}
	if o.rebuild {
		if err := rig.rebuildUnderLoad(ctx); err != nil {
			return err
		}
	}
	if o.resident {
		return rig.resident(ctx, o)
	}
	return nil
}
