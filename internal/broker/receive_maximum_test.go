package broker

import (
	"strings"
	"testing"

	"github.com/sealmq/sealmq/mqtt"
)

// TestQoS2RefusedByReceiveMaximum: a QoS 2 message that broke the Receive Maximum was not routed, so sending it again in
// the next connection delivers it. The ones before it were, and are not delivered twice.
func TestQoS2RefusedByReceiveMaximum(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("sub")
		sub.subscribe(2, "a")
		pub := r.connect("pub", expiry(100))
		send := func(pid mqtt.PacketID, dup bool) *mqtt.Publish {
			p := msg("a", string(rune('0'+pid)), 2)
			p.PacketID, p.Dup = pid, dup
			pub.send(p)
			return p
		}
		for pid := range mqtt.PacketID(3) {
			send(pid+1, false)
			expect[*mqtt.Pubrec](pub)
			sub.receive("a", string(rune('1'+pid)))
		}
		send(4, false)
		pub.ejected(mqtt.ReceiveMaximumExceeded)
		sub.quiet()

		pub = r.connect("pub", dirty, expiry(100))
		for pid := range mqtt.PacketID(4) {
			if pid == 3 { // room for the fourth
				pub.send(&mqtt.Pubrel{PacketID: 1})
				expect[*mqtt.Pubcomp](pub)
			}
			p := send(pid+1, true)
			pub.same(p.PacketID, expect[*mqtt.Pubrec](pub).PacketID)
		}
		sub.receive("a", "4")
		sub.quiet()
	}, with(func(s *Settings) { s.ReceiveMaximum = 3 }))
}

// TestReceiveMaximumOfClient: no more messages are under way than the client takes [MQTT-3.3.4-9], and QoS 0 does not
// count.
func TestReceiveMaximumOfClient(t *testing.T) {
	for _, session := range []uint32{0, 100} {
		bubble(t, func(r *rig) {
			sub := r.connect("sub", expiry(session), func(p *mqtt.Connect) { p.Properties.SetReceiveMaximum(2) })
			sub.subscribe(2, "a")
			pub := r.connect("pub")
			for i, m := range []string{"1", "2", "3", "4"} {
				pub.publish(msg("a", m, 1+mqtt.QoS(i%2)))
			}
			first, second := sub.next("a", "1"), sub.next("a", "2")
			sub.quiet()
			pub.publish(msg("a", "zero", 0))
			sub.next("a", "zero")
			sub.acknowledge(second)
			third := sub.next("a", "3")
			sub.quiet()
			sub.acknowledge(first)
			fourth := sub.next("a", "4")
			sub.acknowledge(third)
			sub.acknowledge(fourth)
			sub.quiet()
		})
	}
}

// TestSendQuotaNeverGrows: acknowledgements of nothing do not let the broker send more than the client takes.
func TestSendQuotaNeverGrows(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("sub", func(p *mqtt.Connect) { p.Properties.SetReceiveMaximum(1) })
		sub.subscribe(2, "a")
		for pid := mqtt.PacketID(1); pid < 50; pid++ {
			sub.send(&mqtt.Puback{PacketID: pid}, &mqtt.Pubcomp{PacketID: pid})
		}
		r.settle() // read later, they would acknowledge the messages below
		pub := r.connect("pub")
		for range 3 {
			pub.publish(msg("a", "x", 1))
		}
		p := sub.next("a", "x")
		sub.quiet()
		sub.acknowledge(p)
		sub.send(&mqtt.Puback{PacketID: p.PacketID}) // twice
		p = sub.next("a", "x")
		sub.quiet()
		sub.acknowledge(p)
		sub.receive("a", "x")
	})
}

// TestMaximumPacketSizeOfClient: what is too large is dropped for this client only, completes its QoS state, and does
// not hold up what follows [MQTT-3.1.2-24] [MQTT-3.1.2-25].
func TestMaximumPacketSizeOfClient(t *testing.T) {
	for _, session := range []uint32{0, 100} {
		for qos := range mqtt.QoS(3) {
			bubble(t, func(r *rig) {
				small := r.connect("small", expiry(session), func(p *mqtt.Connect) {
					p.Properties.SetMaximumPacketSize(100)
					p.Properties.SetReceiveMaximum(1)
				})
				small.subscribe(qos, "a")
				big := r.connect("big")
				big.subscribe(qos, "a")
				pub := r.connect("pub")
				large := strings.Repeat("x", 100)
				for _, m := range []string{"1", large, large, "2", large, "3"} {
					pub.publish(msg("a", m, qos))
					big.receive("a", m)
				}
				for _, m := range []string{"1", "2", "3"} {
					small.receive("a", m)
				}
				small.quiet()
				if n := r.b.Snapshot(); n.Dropped != 3 || n.QueuedBytes != 0 {
					t.Errorf("QoS %d: dropped %d, queued %d bytes", qos, n.Dropped, n.QueuedBytes)
				}
			})
		}
	}
}

// TestMaximumPacketSizeStall: all that a client may have under way at once is too large, and what comes next is sent
// all the same.
func TestMaximumPacketSizeStall(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c", expiry(100))
		c.subscribe(1, "a")
		c.drop()
		pub := r.connect("pub")
		for range 5 {
			pub.publish(msg("a", strings.Repeat("x", 100), 1))
		}
		pub.publish(msg("a", "small", 1))
		c = r.connect("c", dirty, expiry(100), func(p *mqtt.Connect) {
			p.Properties.SetMaximumPacketSize(100)
			p.Properties.SetReceiveMaximum(2)
		})
		c.receive("a", "small")
		c.quiet()
	})
}
