//go:build !race

package main

// raceDetector is on when long simulations would take several times as long.
const raceDetector = false
