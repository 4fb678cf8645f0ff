package session

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/mqtt"
)

// TestModel lets random things happen to a session, its store, its publishers and its client, crashes among them. The
// rules are those of world: nothing accepted is lost, QoS 2 arrives once, first sends are in order, identifiers are
// unique, the Receive Maximum holds, nothing that must be stored leaves before, counts are exact and nothing is left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Messages: rapid.IntRange(1, 12).Draw(t, "messages"), Memory: rapid.IntRange(1, 4).Draw(t, "memory")}
		limits.Bytes = int64(rapid.IntRange(1, 12).Draw(t, "kilobytes")) * 200
		start := uint64(rapid.SampledFrom([]int{0, 65530, 65534, 65535}).Draw(t, "start"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) // rapid's own numbers favour small ones too much
		w := newWorld(t, rapid.Bool().Draw(t, "durable"), limits, start, rng.IntN)
		for range rapid.SampledFrom([]int{20, 100, 500}).Draw(t, "steps") {
			w.act()
		}
		w.drain()
	})
}

// FuzzSteps is the same world with a client that, besides, acknowledges whatever it likes whenever it likes. What such a
// client loses is its own; the other rules hold for it, too.
func FuzzSteps(f *testing.F) {
	f.Add(true, []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13"))
	f.Add(false, []byte("session"))
	f.Fuzz(func(t *testing.T, durable bool, data []byte) {
		if len(data) > 4096 {
			return
		}
		next := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		w := newWorld(t, durable, Limits{Messages: 6, Bytes: 2000, Memory: 2}, 65533, next)
		for len(data) > 0 {
			if next(4) == 0 && w.s.Attached() {
				w.hostile = true
				kinds := []EventKind{Puback, Pubrec, Pubcomp}
				codes := []mqtt.ReasonCode{mqtt.Success, mqtt.QuotaExceeded}
				w.acknowledge(packet{ack: kinds[next(3)], code: codes[next(2)], pid: mqtt.PacketID(65530 + next(12))})
				continue
			}
			w.act()
		}
		w.drain()
	})
}
