//go:build race

package psktls

// raceEnabled: sync.Pool drops values at random under the race detector, so that
// counts of allocations mean nothing.
const raceEnabled = true
