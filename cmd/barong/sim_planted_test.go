//go:build !race

package main

// With the race detector thousands of histories would take too long: this test is not built
// with it.

import (
	"testing"
	"time"
)

// Each planted fault is found, most of them soon; docs/reliability.md has the table.
func TestSimFindsPlantedFaults(t *testing.T) {
	const each = 15 * time.Second
	began := time.Now()
	for _, f := range simFaults {
		if *simPlant != "" && string(f.name) != *simPlant {
			continue
		}
		seed, _, found := simSearch(t, f.name, 20_000, time.Now().Add(each))
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
