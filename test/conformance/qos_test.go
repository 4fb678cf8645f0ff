package conformance_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestPacketIdentifiers: open deliveries have identifiers of their own, which are never zero, and a first delivery has
// DUP 0.
func TestPacketIdentifiers(t *testing.T) {
	conformance.Covers(t, "MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-4.3.3-1", "MQTT-4.3.3-2", "MQTT311-2.3.1-4",
		"MQTT311-4.3.2-1", "MQTT311-4.3.3-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		sub := s.connect(t, v, "sub")
		sub.subscribe(2, "a")
		c := s.connect(t, v, "c")
		open := map[mqtt.PacketID]*mqtt.Publish{}
		for n := range 12 {
			c.publish("a", numbered("m", n), mqtt.QoS(1+n%2))
			p := sub.message("a", numbered("m", n))
			if p.PacketID == 0 || open[p.PacketID] != nil || p.Dup {
				t.Fatalf("%+v while %d are open", p, len(open))
			}
			open[p.PacketID] = p
			if n%3 == 2 {
				sub.acknowledge(p)
				delete(open, p.PacketID)
			}
		}
		for _, p := range open {
			sub.acknowledge(p)
		}
		sub.quiet()
	})
}

// TestOpenUntilAcknowledged: what is not acknowledged is repeated at the next connection, with its identifier, in its
// order, as far as it had come, and at no other time.
func TestOpenUntilAcknowledged(t *testing.T) {
	conformance.Covers(t, "MQTT-4.3.2-3", "MQTT-4.3.3-3", "MQTT-4.3.3-4", "MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1", "MQTT-3.6.2-1",
		"MQTT-4.6.0-5", "MQTT-4.1.0-1")
	conformance.Covers(t, "MQTT311-4.3.2-1", "MQTT311-4.3.3-1", "MQTT311-4.4.0-1", "MQTT311-4.6.0-1", "MQTT311-4.6.0-4", "MQTT311-4.1.0-1",
		"MQTT311-2.3.1-4", "MQTT311-2.3.1-6")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		sub := s.connect(t, v, "sub", durable)
		sub.subscribe(2, "a")
		c := s.connect(t, v, "c")
		var sent []*mqtt.Publish
		for n, qos := range []mqtt.QoS{1, 2, 2, 1, 2} {
			c.publish("a", numbered("m", n), qos)
			sent = append(sent, sub.message("a", numbered("m", n)))
		}
		for _, n := range []int{2, 1} { // PUBREL comes in the order of PUBREC
			sub.send(&mqtt.Pubrec{PacketID: sent[n].PacketID})
		}
		for _, n := range []int{2, 1} {
			if rel := expect[*mqtt.Pubrel](sub); rel.PacketID != sent[n].PacketID {
				t.Errorf("released %d, want %d", rel.PacketID, sent[n].PacketID)
			}
		}
		sub.acknowledge(sent[3])
		time.Sleep(5 * time.Minute) // nothing is repeated while the connection lasts
		sub.quiet()
		for range 2 { // and at every new connection the same
			gone(sub)
			sub = s.connect(t, v, "sub", durable)
			for _, n := range []int{1, 2} { // PUBREL needs no quota and goes first
				if rel := expect[*mqtt.Pubrel](sub); rel.PacketID != sent[n].PacketID {
					t.Errorf("released %d, want %d", rel.PacketID, sent[n].PacketID)
				}
			}
			for _, n := range []int{0, 4} {
				again := sub.message("a", numbered("m", n))
				if again.PacketID != sent[n].PacketID || !again.Dup || again.QoS != sent[n].QoS {
					t.Errorf("%+v instead of %+v", again, sent[n])
				}
			}
			sub.quiet()
		}
		sub.send(&mqtt.Pubcomp{PacketID: sent[1].PacketID}, &mqtt.Pubcomp{PacketID: sent[2].PacketID})
		sub.acknowledge(sent[0])
		sub.acknowledge(sent[4])
		sub.quiet()
		gone(sub)
		s.connect(t, v, "sub", durable).quiet()
	})
}

// TestRefusedDelivery: a PUBLISH that the subscriber refuses is not repeated and frees its place.
func TestRefusedDelivery(t *testing.T) {
	conformance.Covers(t, "MQTT-4.4.0-2", "MQTT-4.3.3-4")
	timed(t, func(t *testing.T, s *server) {
		one := properties(func(p *mqtt.Properties) { p.SetReceiveMaximum(1) })
		sub := s.connect(t, mqtt.V5, "sub", durable, one)
		sub.subscribe(2, "a")
		c := s.connect(t, mqtt.V5, "c")
		c.publish("a", "one", 1)
		c.publish("a", "two", 2)
		c.publish("a", "three", 1)
		sub.send(&mqtt.Puback{PacketID: sub.message("a", "one").PacketID, ReasonCode: mqtt.ImplementationSpecificError})
		sub.send(&mqtt.Pubrec{PacketID: sub.message("a", "two").PacketID, ReasonCode: mqtt.UnspecifiedError})
		sub.acknowledge(sub.message("a", "three"))
		sub.quiet()
		gone(sub)
		s.connect(t, mqtt.V5, "sub", durable, one).quiet()
	})
}

// TestExactlyOnce: a repeated PUBLISH before PUBREL is the same message, on a later connection, too; after PUBCOMP, and
// with QoS 1 after PUBACK, the identifier means a new one, whatever DUP says.
func TestExactlyOnce(t *testing.T) {
	conformance.Covers(t, "MQTT-4.3.2-5", "MQTT-4.3.3-10", "MQTT-4.3.3-11", "MQTT-4.3.3-12", "MQTT311-4.3.2-2", "MQTT311-4.3.3-2")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "a")
		c := s.connect(t, v, "c", durable)
		send := func(payload string, dup bool) {
			t.Helper()
			c.send(&mqtt.Publish{Topic: "a", Payload: []byte(payload), QoS: 2, PacketID: 9, Dup: dup})
			if rec := expect[*mqtt.Pubrec](c); rec.PacketID != 9 || rec.ReasonCode.IsError() {
				t.Fatalf("%+v", rec)
			}
		}
		complete := func() {
			t.Helper()
			c.send(&mqtt.Pubrel{PacketID: 9})
			if comp := expect[*mqtt.Pubcomp](c); comp.PacketID != 9 || comp.ReasonCode != mqtt.Success {
				t.Fatalf("%+v", comp)
			}
		}
		send("first", false)
		send("first", true)
		gone(c)
		c = s.connect(t, v, "c", durable)
		send("first", true)
		complete()
		watch.message("a", "first")
		watch.quiet()
		for _, dup := range []bool{false, true} {
			send("second", dup)
			complete()
			watch.message("a", "second")
		}
		for _, dup := range []bool{false, true} {
			c.publish("a", "QoS 1", 1, func(p *mqtt.Publish) { p.PacketID, p.Dup = 9, dup })
			watch.message("a", "QoS 1")
		}
		watch.quiet()
	})
}

// TestUnknownIdentifiers: exchanges that one side knows nothing of are ended.
func TestUnknownIdentifiers(t *testing.T) {
	conformance.Covers(t, "MQTT-3.6.2-1", "MQTT-3.7.2-1", "MQTT-4.3.3-4", "MQTT-4.3.3-11", "MQTT311-4.3.3-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		c.send(&mqtt.Pubrel{PacketID: 7})
		if p := expect[*mqtt.Pubcomp](c); p.PacketID != 7 || (p.ReasonCode == mqtt.PacketIdentifierNotFound) != (v == mqtt.V5) {
			t.Errorf("%+v", p)
		}
		c.send(&mqtt.Pubrec{PacketID: 8})
		if p := expect[*mqtt.Pubrel](c); p.PacketID != 8 || (p.ReasonCode == mqtt.PacketIdentifierNotFound) != (v == mqtt.V5) {
			t.Errorf("%+v", p)
		}
		c.send(&mqtt.Pubcomp{PacketID: 8}, &mqtt.Puback{PacketID: 9})
		c.quiet()
	})
}

// TestReasonCodesOfClients: codes that a packet cannot carry are refused.
func TestReasonCodesOfClients(t *testing.T) {
	conformance.Covers(t, "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1", "MQTT-3.14.2-1", "MQTT-3.15.2-1")
	s := start(t)
	for name, b := range map[string][]byte{
		"PUBACK": frame(0x40, "\x00\x01\x92"), "PUBREC": frame(0x50, "\x00\x01\x92"), "PUBREL": frame(0x62, "\x00\x01\x10"),
		"PUBCOMP": frame(0x70, "\x00\x01\x87"), "DISCONNECT": frame(0xE0, "\x01"), "AUTH": frame(0xF0, "\x87\x08\x15"+lp("STEPS")),
	} {
		s.breaks(t, mqtt.V5, name, b, mqtt.ProtocolError)
	}
}

// TestOrder: messages and acknowledgements keep the order of receipt, over several topics and sessions.
func TestOrder(t *testing.T) {
	conformance.Covers(t, "MQTT-4.2-1", "MQTT311-7.1.1-1")
	conformance.Covers(t, "MQTT-4.6.0-5", "MQTT-4.6.0-6", "MQTT-4.5.0-1")
	conformance.Covers(t, "MQTT311-4.6.0-2", "MQTT311-4.6.0-3", "MQTT311-4.6.0-5", "MQTT311-4.6.0-6", "MQTT311-4.5.0-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for _, qos := range []mqtt.QoS{0, 1, 2} {
			subs := []*client{s.connect(t, v, "one", durable), s.connect(t, v, "two"), s.connect(t, v, "three")}
			for i, sub := range subs {
				sub.subscribe(mqtt.QoS(2-i), "o/#")
			}
			c := s.connect(t, v, "c")
			for round := range 50 {
				for n := range mqtt.PacketID(receiveMaximum) {
					p := &mqtt.Publish{Topic: "o/x", Payload: []byte(numbered("m", round*receiveMaximum+int(n))), QoS: qos}
					if qos > 0 {
						p.PacketID = n + 1
					}
					c.send(p)
				}
				for n := range mqtt.PacketID(receiveMaximum) {
					switch qos {
					case 1:
						if a := expect[*mqtt.Puback](c); a.PacketID != n+1 {
							t.Fatalf("PUBACK %d, want %d", a.PacketID, n+1)
						}
					case 2:
						if a := expect[*mqtt.Pubrec](c); a.PacketID != n+1 {
							t.Fatalf("PUBREC %d, want %d", a.PacketID, n+1)
						}
					}
				}
				for n := range mqtt.PacketID(receiveMaximum) {
					if qos == 2 {
						c.send(&mqtt.Pubrel{PacketID: n + 1})
						expect[*mqtt.Pubcomp](c)
					}
				}
				for _, sub := range subs {
					var got []*mqtt.Publish
					for n := range receiveMaximum {
						got = append(got, sub.message("o/x", numbered("m", round*receiveMaximum+n)))
					}
					for _, p := range got {
						sub.acknowledge(p)
					}
				}
			}
			for _, sub := range subs {
				sub.leave()
			}
		}
	})
}

// TestSendQuota: the broker keeps to the client's Receive Maximum with PUBLISH above QoS 0, and with nothing else.
func TestSendQuota(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-9", "MQTT-3.3.4-10", "MQTT-4.9.0-1", "MQTT-4.9.0-2", "MQTT-4.9.0-3")
	s := start(t)
	for _, limit := range []uint16{1, 3} {
		sub := s.connect(t, mqtt.V5, "sub", properties(func(p *mqtt.Properties) { p.SetReceiveMaximum(limit) }))
		sub.subscribe(2, "a")
		sub.subscribe(0, "b")
		c := s.connect(t, mqtt.V5, "c")
		for n := range 10 {
			c.publish("a", numbered("m", n), mqtt.QoS(1+n%2))
		}
		var open []*mqtt.Publish
		for n := range 10 {
			open = append(open, sub.message("a", numbered("m", n)))
			if len(open) < int(limit) {
				continue
			}
			sub.quiet() // no further PUBLISH, but PINGRESP
			c.publish("b", "QoS 0", 0)
			sub.message("b", "QoS 0")
			sub.subscribe(0, "other")
			sub.publish("nobody", "x", 2, func(p *mqtt.Publish) { p.PacketID = 1000 })
			sub.send(&mqtt.Unsubscribe{PacketID: 3, Filters: []string{"other"}})
			expect[*mqtt.Unsuback](sub)
			if p := open[0]; p.QoS == 2 { // PUBREC alone gives nothing back
				sub.send(&mqtt.Pubrec{PacketID: p.PacketID})
				expect[*mqtt.Pubrel](sub)
				sub.quiet()
				sub.send(&mqtt.Pubcomp{PacketID: p.PacketID})
			} else {
				sub.acknowledge(p)
			}
			open = open[1:]
		}
		for _, p := range open {
			sub.acknowledge(p)
		}
		sub.quiet()
		sub.leave()
	}
}

// TestQuotaAtResumption: the quota of a new connection bounds what is repeated there, too.
func TestQuotaAtResumption(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
	timed(t, func(t *testing.T, s *server) {
		sub := s.connect(t, mqtt.V5, "sub", durable)
		sub.subscribe(1, "a")
		c := s.connect(t, mqtt.V5, "c")
		for n := range 6 {
			c.publish("a", numbered("m", n), 1)
			sub.message("a", numbered("m", n))
		}
		gone(sub)
		sub = s.connect(t, mqtt.V5, "sub", durable, properties(func(p *mqtt.Properties) { p.SetReceiveMaximum(2) }))
		var open []*mqtt.Publish
		for n := range 6 {
			if len(open) == 2 {
				sub.quiet()
				sub.acknowledge(open[0])
				open = open[1:]
			}
			open = append(open, sub.message("a", numbered("m", n)))
		}
		synctest.Wait()
		sub.quiet()
	})
}
