package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryCheck = time.Second // how often the broker looks at its memory
	memoryShare = 100         // giving memory back takes at most one part in so many of the time
	memoryPause = 5 * time.Second
	quietBytes  = 512 << 10 // allocated since the last look by a broker that is at rest
	worthBytes  = 4 << 20   // least growth that is worth a collection
)

// atRest decides when memory goes back to the system. The runtime keeps what a burst of connections has needed: up to
// twice what is in use, for minutes. A broker whose clients have come and now wait needs half of it, and less of the
// stacks. So when it has grown by an eighth and nothing happens for a moment, it collects and returns what is free.
type atRest struct {
	allocated uint64 // since the start of the process, at the last look
	resident  uint64 // after memory was returned
	next      time.Time
}

// heapUse is what the runtime says: bytes allocated since the start, and bytes it has from the system now.
type heapUse struct{ allocated, resident uint64 }

// due reports whether memory should be returned at now.
func (r *atRest) due(u heapUse, now time.Time) bool {
	quiet := u.allocated-r.allocated < quietBytes
	r.allocated = u.allocated
	r.resident = min(r.resident, u.resident)
	return quiet && !now.Before(r.next) && u.resident > r.resident+max(worthBytes, r.resident/8)
}

// returned notes the end of a return that took so long.
func (r *atRest) returned(u heapUse, now time.Time, took time.Duration) {
	r.allocated, r.resident = u.allocated, u.resident
	r.next = now.Add(max(memoryPause, memoryShare*took))
}

// returnMemory watches until ctx is done.
func returnMemory(ctx context.Context) {
	tick := time.NewTicker(memoryCheck)
	defer tick.Stop()
	r := atRest{}
	u := readHeapUse()
	r.returned(u, time.Now(), 0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if r.due(readHeapUse(), now) {
				debug.FreeOSMemory()
				r.returned(readHeapUse(), time.Now(), time.Since(now))
			}
		}
	}
}

func readHeapUse() heapUse {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	return heapUse{s[0].Value.Uint64(), s[1].Value.Uint64() - s[2].Value.Uint64()}
}
