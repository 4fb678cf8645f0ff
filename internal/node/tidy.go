package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
)

// worthTidying is the size of the heap, in bytes, from which memory is given back after the start.
const worthTidying = 64 << 20

// tidy gives back the memory that only the start needed, once the store has settled: reading a large state leaves as much
// garbage as state, and the collector would keep it for the next such peak, which does not come.
func (n *Node) tidy(ctx context.Context) {
	s, ok := n.store.(interface{ Settle(context.Context) error })
	if !ok || s.Settle(ctx) != nil {
		return
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	if heap[0].Value.Kind() == metrics.KindUint64 && heap[0].Value.Uint64() > worthTidying {
		debug.FreeOSMemory()
	}
}
