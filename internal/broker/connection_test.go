package broker

import (
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
