package client

import (
	"math/rand/v2"
	"time"
)

// Backoff is the delay between connection attempts. Attempt n waits a random time between half and all of
// min(Min * 2^(n-1), Max), so that a fleet that lost its server at one moment does not return at one moment.
type Backoff struct {
	Min time.Duration // first delay; 0 means 1 s
	Max time.Duration // longest delay; 0 means 1 minute
	// Stop reports whether an error of a connection attempt, or the reason why a connection ended, is final. Nil means
	// [Final]. It is not asked for the attempt of Connect or Dial, whose error is always returned.
	Stop func(error) bool
}

// delay returns the time to wait before attempt n, which counts from 1.
func (b *Backoff) delay(n int) time.Duration {
	d := b.Min
	for range n - 1 {
		if d >= b.Max/2 {
			d = b.Max
			break
		}
		d *= 2
	}
	return d/2 + rand.N(d/2+1)
}
