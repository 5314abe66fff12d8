// Command bench measures the cost of one decision: two empty authorizers as yardsticks and
// barong, alternating in one run over loopback, each server on a processor of its own where
// the machine allows it. It prints the table of docs/performance.md.
//
// CPU is the server process's user and system time over the requests it answered; ratios
// are medians over rounds of the ratio to the yardstick in the same round, because machines
// drift. See docs/performance.md for how to read them.
//
// Some rows and figures need a PostgreSQL and a Redis, which it starts itself and which share the
// client's processor: -only Redis selects these.
package main

import (
	"context"
	"errors"
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
	only := flag.String("only", "", "regular expression of the rows and figures to run")
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
	for _, x := range []struct {
		name string
		run  func(context.Context, options) error
		runs bool
	}{
		{"ready after a restart, SQLite", rig.ready, true},
		{"cold sessions from SQLite at once", rig.coldStorm, o.cold > 0},
		{"cold sessions from Redis at once", rig.coldStormShared, o.cold > 0},
		{"ready with 1,000,000 users, PostgreSQL and Redis", rig.readyMillion, true},
		{"snapshot rebuild", rig.rebuildUnderLoad, o.rebuild},
		{"sign-in flood", rig.floods, true},
		{"resident", rig.resident, o.resident},
	} {
		if !x.runs || !o.only.MatchString(x.name) {
			continue
		}
		err := x.run(ctx, o)
		if errors.Is(err, errNoServers) {
			notRun(x.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	return nil
}

// notRun says that something could not be measured here.
func notRun(name string, why error) { fmt.Printf("NOT RUN: %s: %v\n", name, why) }
