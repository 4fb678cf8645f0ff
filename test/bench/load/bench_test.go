package load

import (
	"testing"

	"github.com/sealmq/sealmq/mqtt"
)

// BenchmarkThrough measures one message on its way through a broker in this process, from and to sockets: time and
// allocations of the broker, and of both clients, which hardly allocate.
func BenchmarkThrough(b *testing.B) {
	for _, words := range []string{"-qos 0 -window 100", "-qos 1", "-qos 2", "-qos 1 -v5"} {
		b.Run(words, func(b *testing.B) {
			o := parse(b, "-scenario pairs "+words)
			o.Addr = startBroker(b)
			d, err := newDialer(o)
			if err != nil {
				b.Fatal(err)
			}
			r := &run{ctx: b.Context(), o: o, dialer: d}
			defer r.close()
			r.makeFlows(1, 1)
			if err := r.openSubscribers(1, func(int) []string { return []string{o.topic(0)} }); err != nil {
				b.Fatal(err)
			}
			if err := r.openPublishers(1, o.QoS, func(int) (mqtt.Publish, func(uint32) int) { return mqtt.Publish{Topic: o.topic(0)}, nil }); err != nil {
				b.Fatal(err)
			}
			r.pubs[0].limit = int64(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			r.startPublishers()
			r.sending.Wait()
			r.settle(int64(b.N))
			b.StopTimer()
			if n := r.received(); n != int64(b.N) {
				b.Errorf("%d of %d messages", n, b.N)
			}
		})
	}
}
