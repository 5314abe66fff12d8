//go:build !race

package policy_test

// raceDetector is on when the detector's own allocations would be counted.
const raceDetector = false
