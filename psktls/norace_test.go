//go:build !race

package psktls

const raceEnabled = false
