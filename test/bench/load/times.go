package load

import (
	"math/bits"
	"time"
)

// times is a distribution in buckets that are a 32nd of their octave wide, so that quantiles are right to about 3 %. It has
// one owner; several are added up at the end.
type times struct {
	buckets [timeBuckets]uint64
	count   uint64
	longest time.Duration
}

const (
	timeBits    = 5                           // of a time that its bucket keeps behind the first
	timeBuckets = (64 - timeBits) << timeBits // for every positive time.Duration
	timeExact   = 2 << timeBits               // shorter times, in nanoseconds, have a bucket each
	timeShift   = timeBits + 1                // significant bits of a bucket's number
)

func (t *times) add(d time.Duration) {
	d = max(d, 0)
	t.buckets[timeBucket(uint64(d))]++
	t.count++
	t.longest = max(t.longest, d)
}

func timeBucket(ns uint64) int {
	if ns < timeExact {
		return int(ns)
	}
	octave := bits.Len64(ns) - timeShift
	return octave<<timeBits + int(ns>>octave)
}

// bucketTime is the least time of a bucket.
func bucketTime(i int) time.Duration {
	if i < timeExact {
		return time.Duration(i)
	}
	octave := i>>timeBits - 1
	return time.Duration(i-octave<<timeBits) << octave
}

func (t *times) merge(o *times) {
	for i, n := range o.buckets {
		t.buckets[i] += n
	}
	t.count += o.count
	t.longest = max(t.longest, o.longest)
}

// quantile is in microseconds; 0 when there is nothing.
func (t *times) quantile(q float64) float64 {
	rank := uint64(q * float64(t.count))
	for i, n := range t.buckets {
		if n > rank {
			return float64(bucketTime(i)) / 1e3
		}
		rank -= n
	}
	return float64(t.longest) / 1e3
}
