//go:build !race

package main

// With the race detector thousands of histories would take too long: this test is not built
// with it.

import (
	"runtime/debug"
	"testing"
	"time"
)

// Each planted fault is found, most of them soon; docs/reliability.md has the table.
func TestSimFindsPlantedFaults(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(simGCPercent))
	const most, each = 20_000, time.Minute // on a machine that is busy with other things, too
	began, total, longest := time.Now(), int64(0), time.Duration(0)
	for _, f := range simFaults {
		if *simPlant != "" && string(f.name) != *simPlant {
			continue
		}
		at := time.Now()
		seed, played, found := simSearch(t, f.name, most, time.Now().Add(each))
		if !found {
			t.Errorf("%s: not found (%s)", f.name, f.what)
			continue
		}
		_, wrong := simAgain(t, seed, f.name)
		rule := "found at times only"
		if wrong != nil {
			rule = wrong.rule
		}
		t.Logf("| %s | %s | %d | %s |", f.name, f.what, seed, rule)
		total += played.histories.Load()
		longest = max(longest, time.Since(at))
	}
	t.Logf("%d faults in %v and %d histories, none in more than %v", len(simFaults), time.Since(began), total, longest)
}
