package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestOutOfPlace: packets that only a server sends end the connection of a client that sends them.
func TestOutOfPlace(t *testing.T) {
	conformance.Covers(t, "MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT-3.14.4-2", "MQTT311-4.8.0-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		code := map[mqtt.Version]string{mqtt.V5: "\x00\x00"}[v]
		for name, b := range map[string][]byte{
			"CONNACK": frame(0x20, "\x00\x00", noProps(v)), "SUBACK": frame(0x90, "\x00\x01", noProps(v), "\x00"),
			"UNSUBACK": frame(0xB0, "\x00\x01", code), "PINGRESP": frame(0xD0),
		} {
			s.breaks(t, v, name, b, mqtt.ProtocolError)
		}
		s.breaks(t, v, "type 0", frame(0x00), mqtt.MalformedPacket)
		s.breaks(t, v, "length of five bytes", []byte{0xC0, 0x80, 0x80, 0x80, 0x80}, mqtt.MalformedPacket)
		s.breaks(t, v, "PINGREQ with a body", frame(0xC0, "x"), mqtt.MalformedPacket)
	})
}

// TestShortestForm: a length that takes more bytes than it needs is malformed in version 5 and legal in 3.1.1.
func TestShortestForm(t *testing.T) {
	conformance.Covers(t, "MQTT-1.5.5-1")
	s := start(t)
	s.breaks(t, mqtt.V5, "remaining length", []byte{0xC0, 0x80, 0x00}, mqtt.MalformedPacket)
	s.breaks(t, mqtt.V5, "property length", frame(0x30, lp("a"), "\x80\x00"), mqtt.MalformedPacket)
	s.breaks(t, mqtt.V5, "subscription identifier", frame(0x82, "\x00\x01\x03\x0B\x81\x00", lp("a"), "\x00"), mqtt.MalformedPacket)
	long := connectFrame(mqtt.V5, 0x02, lp("c"))
	s.rejects(t, mqtt.V5, "first packet", append([]byte{0x10, long[1] | 0x80, 0x00}, long[2:]...), mqtt.MalformedPacket)
	c := s.connect(t, mqtt.V311, "c")
	c.write([]byte{0xC0, 0x80, 0x00})
	expect[*mqtt.Pingresp](c)
}

// TestNothingAfterDisconnect: once the broker has said DISCONNECT, nothing else comes, however much is on its way.
func TestNothingAfterDisconnect(t *testing.T) {
	conformance.Covers(t, "MQTT-3.14.4-1", "MQTT-3.14.4-2", "MQTT-4.13.2-1")
	s := start(t)
	sender := s.connect(t, mqtt.V5, "sender")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				sender.publish("a", "x", 1)
			}
		}
	}()
	for range 10 {
		c := s.connect(t, mqtt.V5, "c", expiring(100))
		c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a"}, {Filter: "+"}}})
		for n := range mqtt.PacketID(2) { // their PUBACK may wait for the store
			c.send(&mqtt.Publish{Topic: "b", QoS: 1, PacketID: n + 1})
		}
		c.write(frame(0x36, lp("a"), "\x00\x01\x00"))
		var last mqtt.PacketType
		for {
			p, err := c.tryRead()
			if err != nil {
				break
			}
			if last == mqtt.TypeDisconnect {
				t.Fatalf("%s after DISCONNECT", p.Type())
			}
			last = p.Type()
		}
		if last != mqtt.TypeDisconnect {
			t.Fatalf("the last packet was %s", last)
		}
	}
	close(stop)
	<-stopped
}

// TestNothingExtra provokes every packet the broker can send as a refusal, from clients with and without interest in
// reasons: none has User Properties, none has a Reason String that was not wanted or would not fit.
func TestNothingExtra(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-29", "MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3",
		"MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3", "MQTT-3.9.2-1", "MQTT-3.9.2-2", "MQTT-3.11.2-1", "MQTT-3.11.2-2",
		"MQTT-3.14.2-3", "MQTT-3.14.2-4")
	s := start(t)
	for name, set := range map[string]func(p *mqtt.Properties){
		"no problem information": func(p *mqtt.Properties) { p.SetRequestProblemInfo(false) },
		"no room":                func(p *mqtt.Properties) { p.SetMaximumPacketSize(22) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.connect(t, mqtt.V5, "c", properties(set))
			plain := func(p *mqtt.Properties) {
				t.Helper()
				if p.Has(mqtt.PropReasonString) || p.Has(mqtt.PropUser) {
					t.Errorf("%+v", p)
				}
			}
			plain(&c.ack.Properties)
			c.send(&mqtt.Publish{Topic: "secret/x", QoS: 1, PacketID: 1})
			plain(&expect[*mqtt.Puback](c).Properties)
			c.send(&mqtt.Publish{Topic: "secret/x", QoS: 2, PacketID: 1})
			plain(&expect[*mqtt.Pubrec](c).Properties)
			c.send(&mqtt.Pubrec{PacketID: 9})
			plain(&expect[*mqtt.Pubrel](c).Properties)
			c.send(&mqtt.Pubrel{PacketID: 9})
			plain(&expect[*mqtt.Pubcomp](c).Properties)
			c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "secret/#"}, {Filter: "a+"}}})
			plain(&expect[*mqtt.Suback](c).Properties)
			c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"a+"}})
			plain(&expect[*mqtt.Unsuback](c).Properties)
			c.write(frame(0x36, lp("a"), "\x00\x01\x00"))
			plain(&expect[*mqtt.Disconnect](c).Properties)
			c.closed()
		})
	}
}

// TestNoRoom: in 3.1.1, which has no way to say that there is no room for a message, the connection is closed, so that the
// message is sent again later; version 5 says it.
func TestNoRoom(t *testing.T) {
	conformance.Covers(t, "MQTT311-4.8.0-2", "MQTT-3.4.2-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		for n := range settings().RetainedMessages {
			c.publish(numbered("r/n", n), "x", 1, retained)
		}
		c.send(&mqtt.Publish{Topic: "r/more", Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true})
		if v == mqtt.V311 {
			c.closed()
			return
		}
		if a := expect[*mqtt.Puback](c); a.ReasonCode != mqtt.QuotaExceeded {
			t.Errorf("%s", a.ReasonCode)
		}
		c.quiet()
	})
}
