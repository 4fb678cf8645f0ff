package broker

import (
	"runtime"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// attack runs f while a bystander reads everything, and checks afterwards that nothing came of it: nothing was
// delivered, kept or left behind, and the bystander and new clients are served as before.
func attack(t *testing.T, f func(r *rig), opts ...option) {
	t.Helper()
	bubble(t, func(r *rig) {
		by := r.connect("bystander")
		by.subscribe(2, "#")
		r.wait(time.Minute) // its CONNECT is not waited for any more
		before := r.census()
		f(r)
		by.quiet()
		r.wait(2 * time.Minute) // whatever lingers ends
		if after := r.census(); after != before {
			t.Errorf("before the attack %+v, after it %+v", before, after)
		}
		pub := r.connect("other")
		pub.publish(msg("fine", "still", 2))
		by.receive("fine", "still")
		by.quiet()
	}, opts...)
}

// census is what a broker holds.
type census struct {
	clients, sessions, subscriptions, retained, addresses, entries int
	queued                                                         int64
	stored                                                         rows
}

func (r *rig) census() census {
	r.settle()
	s := r.b.Snapshot()
	r.b.mu.Lock()
	addresses := len(r.b.byAddress)
	r.b.mu.Unlock()
	return census{
		clients: s.Clients, sessions: s.Sessions, subscriptions: s.Subscriptions, retained: s.Retained,
		addresses: addresses, entries: r.scheduled(), queued: s.QueuedBytes, stored: r.rows(),
	}
}

// heapGrowth is how much more memory is in use after f, which first runs once to warm up.
func heapGrowth(f func()) int64 {
	measure := func() int64 {
		runtime.GC()
		runtime.GC() // sync.Pool forgets in two steps
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	f()
	before := measure()
	f()
	return measure() - before
}

// shot is one hostile packet of a connected client, or the first packet of a connection.
type shot struct {
	name  string
	bytes []byte
	code  mqtt.ReasonCode
}

// each fires each shot from a client of its own and expects it ejected.
func (r *rig) each(shots []shot, opts ...setup) {
	r.t.Helper()
	for _, s := range shots {
		r.t.Logf("%s: % x", s.name, s.bytes[:min(len(s.bytes), 40)])
		c := r.connect("attacker", opts...)
		c.raw(s.bytes...)
		c.ejected(s.code)
		c.drop()
	}
}

// eachFirst fires each shot as first packet and expects CONNACK with the code, or with code 0 nothing but the close.
func (r *rig) eachFirst(shots []shot) {
	r.t.Helper()
	for _, s := range shots {
		r.t.Logf("%s: % x", s.name, s.bytes[:min(len(s.bytes), 40)])
		c := r.open()
		c.raw(s.bytes...)
		if s.code == 0 {
			c.closed()
		} else {
			c.refused(s.code)
		}
		c.drop()
	}
}

// packet is a fixed header with the right Remaining Length, and the body.
func packet(first byte, body ...byte) []byte {
	b := mqtt.AppendHeader(nil, mqtt.PacketType(first>>4), first, len(body))
	return append(b, body...)
}

// text is a UTF-8 Encoded String of any bytes.
func text(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// join concatenates.
func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func bin(b ...byte) []byte { return b }
