//go:build !race

package main

// raceDetector is on when what plays for long would take several times as long.
const raceDetector = false
