//go:build !race

package hostile

// raceDetector is on when times would be the detector's.
const raceDetector = false
