//go:build race

package protect

// raceEnabled: the race detector makes sync.Pool drop values at random, so that
// allocations cannot be counted.
const raceEnabled = true
