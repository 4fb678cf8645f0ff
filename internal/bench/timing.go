package bench

import (
	"math"
	"sync/atomic"
	"time"
)

// timing keeps the distribution of times in buckets that grow by a twentieth, from one microsecond to about eight minutes,
// in constant memory. It is safe for concurrent use.
type timing struct {
	counts [timingBuckets]atomic.Int64
}

const (
	timingBuckets = 410
	timingGrowth  = 1.05
)

func bucketOf(d time.Duration) int {
	us := float64(d) / float64(time.Microsecond)
	if us <= 1 {
		return 0
	}
	return min(timingBuckets-1, int(math.Ceil(math.Log(us)/math.Log(timingGrowth))))
}

func (t *timing) add(d time.Duration) { t.counts[bucketOf(d)].Add(1) }

// percentile is the upper end of the bucket that the p-th percentile lies in, in milliseconds; -1 when nothing was counted.
func (t *timing) percentile(p int) float64 {
	total := int64(0)
	var counts [timingBuckets]int64
	for i := range counts {
		counts[i] = t.counts[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return -1
	}
	rank := (total*int64(p) + 99) / 100
	for i, n := range counts {
		if rank -= n; rank <= 0 {
			return math.Pow(timingGrowth, float64(i)) / 1000
		}
	}
	return -1
}
