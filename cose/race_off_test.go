//go:build !race

package cose

const raceEnabled = false
