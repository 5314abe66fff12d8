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
	const most, each = 3000, time.Minute // on a machine that is busy with other things, too
	began := time.Now()
	for _, f := range simFaults {
		if *simPlant != "" && string(f.name) != *simPlant {
			continue
		}
		seed, _, found := simSearch(t, f.name, most, time.Now().Add(each))
		if !found {
			t.Errorf("%s: not found (%s)", f.name, f.what)
			continue
		}
		_, wrong := simPlay(t, seed, f.name)
		rule := "found at times only"
		if wrong != nil {
			rule = wrong.rule
		}
		t.Logf("| %s | %s | %d | %s |", f.name, f.what, seed, rule)
	}
	t.Logf("%d faults in %v", len(simFaults), time.Since(began))
}
