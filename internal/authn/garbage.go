package authn

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

// hashGarbage keeps what finished hashes leave behind within bounds. An argon2id hash allocates tens of megabytes at once and
// is done with them a moment later; on a busy machine the collector finds them too late, and a storm of logins then takes
// many times what the hashes under way need. The one who would exceed the bound waits for a collection instead.
type hashGarbage struct {
	mu     sync.Mutex // held during a collection, so that no further hash begins meanwhile
	bytes  uint64     // left behind since the last collection that was seen
	cycles uint64     // of the collector, then
}

const (
	gcCycles = "/gc/cycles/total:gc-cycles"
	gcLive   = "/gc/heap/live:bytes"
)

// leave counts n bytes that a hash has left behind. The bound is what all slots need for their hashes, or half of what
// lives on the heap anyway, whichever is more: a broker with a large heap must not collect all of it for each login.
func (g *hashGarbage) leave(n int64, slots int) {
	if n <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	cycles, live := collector()
	if cycles != g.cycles {
		g.cycles, g.bytes = cycles, 0
	}
	g.bytes += uint64(n)
	if g.bytes < max(uint64(n)*uint64(slots), live/2) {
		return
	}
	runtime.GC()
	g.bytes = 0
}

// collector reads how often the collector ran, and what it found alive.
func collector() (cycles, live uint64) {
	s := []metrics.Sample{{Name: gcCycles}, {Name: gcLive}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64()
}
