package load

import (
	"sync/atomic"
	"time"
)

// flow is what one publisher sends to all its receivers: the counts that both sides share, and the window between them.
type flow struct {
	sent     atomic.Int64 // messages written
	accepted atomic.Int64 // acknowledged without an error
	refused  atomic.Int64 // acknowledged with one
	arrived  atomic.Int64 // deliveries, duplicates included
	copies   int64        // receivers of each message
	window   int64
	given    atomic.Int64 // messages that were given up
	parked   atomic.Bool  // the publisher waits
	bell     chan struct{}
}

func newFlow(window, copies int) *flow {
	return &flow{copies: int64(copies), window: int64(window), bell: make(chan struct{}, 1)}
}

// lull is how long nothing may arrive before what is under way is given up.
const lull = 300 * time.Millisecond

// free is how many messages may be sent now.
func (f *flow) free() int64 { return f.window - f.out() }

// out is how many messages are under way.
func (f *flow) out() int64 { return f.sent.Load() - f.given.Load() - f.arrived.Load()/f.copies }

// credit waits until want messages may be sent, and says how many may. It comes back with none when it gave something up
// or was woken for nothing.
func (f *flow) credit(want int64, alarm *time.Timer) int64 {
	if n := f.free(); n >= want {
		return n
	}
	f.parked.Store(true)
	defer f.parked.Store(false)
	if n := f.free(); n >= want { // it came between the two looks
		return n
	}
	seen := f.arrived.Load()
	alarm.Reset(lull)
	select {
	case <-f.bell:
		alarm.Stop()
	case <-alarm.C:
		if f.arrived.Load() == seen {
			f.given.Store(f.sent.Load() - seen/f.copies)
		}
	}
	return 0
}

// arrive counts deliveries, and wakes a publisher that can go on with half a window.
func (f *flow) arrive(n int64) {
	f.arrived.Add(n)
	if f.parked.Load() && f.out() <= f.window/2 {
		select {
		case f.bell <- struct{}{}:
		default:
		}
	}
}
