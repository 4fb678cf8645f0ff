package broker

import (
	"sync/atomic"

	"github.com/sealmq/sealmq/mqtt"
)

// stats counts what happens. All counters only grow; gauges are read from their owners when asked.
type stats struct {
	connections, refusedConnections, acceptErrors   atomic.Int64
	connects, loginsRefused, closedByBroker, panics atomic.Int64
	packetsReceived                                 atomic.Int64
	bytesReceived, bytesSent                        atomic.Int64
	publishReceived, publishSent                    [3]atomic.Int64
	payloadReceived, payloadSent                    atomic.Int64
	dropped, expired, queueFull, ratePauses         atomic.Int64
	denied, deniedDeliveries, refusedPublishes      atomic.Int64
	storeErrors, wills                              atomic.Int64
	maxClients                                      atomic.Int64
	connectResults                                  connectCounts
	refused                                         [layerCount]atomic.Int64
}

// tally is what one batch counts for itself. The counters that every packet moves would otherwise pass from core to core
// with each of them.
type tally struct {
	packetsReceived, bytesReceived int64
	publishReceived, publishSent   [3]int64
	payloadReceived, payloadSent   int64
}

func (t *tally) received(q mqtt.QoS, payload int) {
	t.publishReceived[q]++
	t.payloadReceived += int64(payload)
}

func (t *tally) sent(q mqtt.QoS, payload int) {
	t.publishSent[q]++
	t.payloadSent += int64(payload)
}

// add adds a batch to the counters.
func (s *stats) add(t *tally) {
	addTo(&s.packetsReceived, t.packetsReceived)
	addTo(&s.bytesReceived, t.bytesReceived)
	for q := range t.publishSent {
		addTo(&s.publishReceived[q], t.publishReceived[q])
		addTo(&s.publishSent[q], t.publishSent[q])
	}
	addTo(&s.payloadReceived, t.payloadReceived)
	addTo(&s.payloadSent, t.payloadSent)
}

func addTo(c *atomic.Int64, n int64) {
	if n != 0 {
		c.Add(n)
	}
}

// Snapshot is the broker's state in numbers, for metrics and administration.
type Snapshot struct {
	Clients, Sessions, Subscriptions, Retained                   int
	RetainedBytes, QueuedBytes                                   int64
	Connections, RefusedConnections, Connects, LoginsRefused     int64
	PacketsReceived, BytesReceived, BytesSent                    int64
	PublishReceived, PublishSent                                 [3]int64
	Dropped, Expired, QueueFull, Denied, DeniedDeliveries        int64
	RefusedPublishes, StoreErrors, Wills, Panics, ClosedByBroker int64
	Refused                                                      [layerCount]int64 // by Layer; RefusalCounts has each check
}

// Snapshot reads all counters. They are read one after the other, not at one instant.
func (b *Broker) Snapshot() Snapshot {
	b.mu.Lock()
	clients := len(b.conns)
	b.mu.Unlock()
	s := &b.stats
	snap := Snapshot{
		Clients: clients, Sessions: b.sessions.len(), Subscriptions: b.router.Len(),
		Retained: b.retained.Count(), RetainedBytes: b.retained.Bytes(), QueuedBytes: b.queuedBytes.Load(),
		Connections: s.connections.Load(), RefusedConnections: s.refusedConnections.Load(),
		Connects: s.connects.Load(), LoginsRefused: s.loginsRefused.Load(),
		PacketsReceived: s.packetsReceived.Load(), BytesReceived: s.bytesReceived.Load(), BytesSent: s.bytesSent.Load(),
		Dropped: s.dropped.Load(), Expired: s.expired.Load(), QueueFull: s.queueFull.Load(),
		Denied: s.denied.Load(), DeniedDeliveries: s.deniedDeliveries.Load(),
		RefusedPublishes: s.refusedPublishes.Load(), StoreErrors: s.storeErrors.Load(), Wills: s.wills.Load(),
		Panics: s.panics.Load(), ClosedByBroker: s.closedByBroker.Load(),
	}
	for layer := range snap.Refused {
		snap.Refused[layer] = s.refused[layer].Load()
	}
	for q := range snap.PublishReceived {
		snap.PublishReceived[q] = s.publishReceived[q].Load()
		snap.PublishSent[q] = s.publishSent[q].Load()
	}
	return snap
}
