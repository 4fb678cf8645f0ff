package broker

import (
	"strconv"
	"testing"

	"github.com/sealmq/sealmq/mqtt"
)

// TestRoundTrip sends a message through the broker with each QoS and version, in memory with and without non-blocking
// writes, and on a socket.
func TestRoundTrip(t *testing.T) {
	script := func(r *rig) {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			version := func(p *mqtt.Connect) { p.ProtocolVersion = v }
			sub, pub := r.connect("sub", version), r.connect("pub", version)
			for qos := range mqtt.QoS(3) {
				sub.subscribe(qos, "a/+")
				if code := pub.publish(msg("a/b", "hello", qos)); code != mqtt.Success {
					r.t.Errorf("version %v, QoS %d: %v", v, qos, code)
				}
				if p := sub.receive("a/b", "hello"); p.QoS != qos || p.Dup || p.Retain {
					r.t.Errorf("version %v, QoS %d: received %+v", v, qos, p)
				}
			}
			sub.quiet()
			pub.leave()
			sub.leave()
		}
	}
	t.Run("memory", func(t *testing.T) { bubble(t, script) })
	t.Run("blocking", func(t *testing.T) { bubble(t, script, func(r *rig) { r.plain = true }) })
	t.Run("tcp", func(t *testing.T) { loopback(t, script) })
}

// TestReasonArrives: on a socket, the reason of an end arrives although the client keeps on sending.
func TestReasonArrives(t *testing.T) {
	loopback(t, func(r *rig) {
		for range 20 {
			c := r.connect("c")
			c.raw(append(packet(0x82, 0, 1, 0), make([]byte, 100<<10)...)...)
			c.ejected(mqtt.ProtocolError)
			c = r.open()
			c.raw(append(encoded(t, connectPacket("c", withWill("$SYS/x", 0))), make([]byte, 100<<10)...)...)
			c.refused(mqtt.NotAuthorized)
		}
		r.connect("c").leave()
	})
}

// TestGrownStacks: few clients wait on the stack of their CONNECT, none beyond its next packet that is no message, or its end.
func TestGrownStacks(t *testing.T) {
	bubble(t, func(r *rig) {
		grown := func(want int32) {
			t.Helper()
			r.settle()
			if got := r.b.grown.Load(); got != want {
				t.Errorf("%d clients wait on a grown stack, want %d", got, want)
			}
		}
		clients := make([]*client, grownStacks+10)
		for i := range clients {
			clients[i] = r.connect("c" + strconv.Itoa(i))
		}
		grown(grownStacks)
		clients[0].leave()
		grown(grownStacks - 1)
		_ = clients[1].conn.Close()
		grown(grownStacks - 2)
		clients[2].raw(0x82, 0) // malformed
		clients[2].ejected(mqtt.MalformedPacket)
		r.wait(2 * lingerTime)
		grown(grownStacks - 3)
		for _, c := range clients[3:] {
			c.send(&mqtt.Pingreq{})
			expect[*mqtt.Pingresp](c)
		}
		grown(0)
		r.connect("late")
		grown(1)
	})
}
