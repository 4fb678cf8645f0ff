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
