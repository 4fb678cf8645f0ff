package conformance_test

import (
	"slices"
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestMalformedSubscribe: what SUBSCRIBE and UNSUBSCRIBE must not be.
func TestMalformedSubscribe(t *testing.T) {
	conformance.Covers(t, "MQTT-3.8.3-2", "MQTT-3.8.3-4", "MQTT-3.8.3-5", "MQTT-3.10.3-2", "MQTT-4.13.1-1")
	conformance.Covers(t, "MQTT311-3.8.3-3", "MQTT311-3.8.3-4", "MQTT311-3.10.3-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		s.breaks(t, v, "no filter", frame(0x82, "\x00\x01", noProps(v)), mqtt.ProtocolError)
		s.breaks(t, v, "no options", frame(0x82, "\x00\x01", noProps(v), lp("a")), mqtt.MalformedPacket)
		s.breaks(t, v, "no filter to leave", frame(0xA2, "\x00\x01", noProps(v)), mqtt.ProtocolError)
		reserved, tooHigh := []string{"\x40", "\x80", "\xC0"}, mqtt.ProtocolError
		if v == mqtt.V311 {
			reserved = append(reserved, "\x04", "\x08", "\x10", "\x20")
			tooHigh = mqtt.MalformedPacket
		}
		for _, options := range reserved {
			s.breaks(t, v, "reserved options", frame(0x82, "\x00\x01", noProps(v), lp("a"), options), mqtt.MalformedPacket)
		}
		s.breaks(t, v, "QoS 3", frame(0x82, "\x00\x01", noProps(v), lp("a"), "\x03"), tooHigh)
		if v == mqtt.V5 {
			s.breaks(t, v, "no local and shared", frame(0x82, "\x00\x01\x00", lp("$share/g/a"), "\x04"), mqtt.ProtocolError)
			s.breaks(t, v, "retain handling 3", frame(0x82, "\x00\x01\x00", lp("a"), "\x30"), mqtt.ProtocolError)
		}
	})
}

// TestSuback: one code for each filter, in their order: the granted QoS or what is wrong with it; and each filter acts by
// itself.
func TestSuback(t *testing.T) {
	conformance.Covers(t, "MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2", "MQTT-2.2.1-6",
		"MQTT-3.9.2-1", "MQTT-3.9.2-2")
	conformance.Covers(t, "MQTT311-3.8.4-1", "MQTT311-3.8.4-2", "MQTT311-3.8.4-4", "MQTT311-3.8.4-5", "MQTT311-3.9.3-1", "MQTT311-3.9.3-2", "MQTT311-2.3.1-7")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		filters := []string{"a", "secret/#", "b", "secret/x", "c"}
		want := []mqtt.ReasonCode{0, mqtt.NotAuthorized, 1, mqtt.NotAuthorized, 2}
		if v == mqtt.V5 {
			filters = append(filters, "a/#/b", "$share/g", "d")
			want = append(want, mqtt.TopicFilterInvalid, mqtt.TopicFilterInvalid, 0)
		} else {
			want[1], want[3] = mqtt.UnspecifiedError, mqtt.UnspecifiedError // the only failure there is: 0x80
		}
		p := &mqtt.Subscribe{PacketID: 321}
		for i, f := range filters {
			p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: mqtt.QoS(min(i/2, 2))})
		}
		p.Subscriptions[len(p.Subscriptions)-1].QoS = mqtt.QoS(want[len(want)-1])
		c := s.connect(t, v, "c")
		c.send(p)
		ack := expect[*mqtt.Suback](c)
		if ack.PacketID != 321 || !slices.Equal(ack.ReasonCodes, want) || ack.Properties.Present != 0 {
			t.Fatalf("%+v, want %v", ack, want)
		}
		sender := s.connect(t, v, "sender")
		for _, name := range []string{"a", "b", "c"} {
			sender.publish(name, "x", 0)
			c.message(name, "x")
		}
		c.quiet()
	})
}

// TestGrantedQoS: a delivery has the lower of the published and the granted QoS.
func TestGrantedQoS(t *testing.T) {
	conformance.Covers(t, "MQTT-3.8.4-8", "MQTT-3.8.4-7", "MQTT-3.3.2-3", "MQTT311-3.8.4-6", "MQTT311-3.3.2-3")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		sender := s.connect(t, v, "sender")
		for granted := range mqtt.QoS(3) {
			sub := s.connect(t, v, "sub")
			sub.subscribe(granted, "+/b/#")
			for published := range mqtt.QoS(3) {
				sender.publish("a/b/c", "x", published)
				p := sub.message("a/b/c", "x")
				if p.QoS != min(granted, published) {
					t.Errorf("published %d, granted %d: delivered with %d", published, granted, p.QoS)
				}
				sub.acknowledge(p)
			}
			sub.quiet()
		}
	})
}

// TestResubscribe: the same filter again replaces the subscription, sends retained messages again and loses nothing.
func TestResubscribe(t *testing.T) {
	conformance.Covers(t, "MQTT-3.8.4-3", "MQTT-3.8.4-4", "MQTT311-3.8.4-3")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		sender := s.connect(t, v, "sender")
		sender.publish("a", "kept", 1, retained)
		c := s.connect(t, v, "c")
		c.subscribe(2, "a")
		c.acknowledge(c.message("a", "kept"))
		c.subscribe(0, "a")
		if p := c.message("a", "kept"); p.QoS != 0 || !p.Retain {
			t.Errorf("%+v", p)
		}
		sender.publish("a", "once", 2)
		if p := c.message("a", "once"); p.QoS != 0 {
			t.Errorf("QoS %d of the old subscription", p.QoS)
		}
		c.quiet()
		// Messages go on while the subscription is replaced again and again.
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for n := range 200 {
				sender.publish("a", numbered("m", n), 1)
			}
		}()
		for next := 0; next < 200; {
			c.send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a"}}})
			for answered := false; !answered; {
				p, err := c.tryRead()
				if err != nil {
					t.Fatal(err)
				}
				switch p := p.(type) {
				case *mqtt.Suback:
					answered = true
				case *mqtt.Publish:
					if p.Retain {
						continue
					}
					if string(p.Payload) != numbered("m", next) {
						t.Fatalf("got %s, want %d", p.Payload, next)
					}
					next++
				}
			}
		}
		<-sent
	})
}

// TestNoLocal: version 5 lets a client not hear itself, on any of its connections.
func TestNoLocal(t *testing.T) {
	conformance.Covers(t, "MQTT-3.8.3-3")
	s := start(t)
	c := s.connect(t, mqtt.V5, "c", expiring(100))
	other := s.connect(t, mqtt.V5, "other")
	c.subscribeWith(nil, mqtt.Subscription{Filter: "a/#", QoS: 1, NoLocal: true})
	c.publish("a/x", "own", 0)
	c.publish("a/x", "own", 1)
	other.publish("a/x", "other", 1)
	c.acknowledge(c.message("a/x", "other"))
	c.leave()
	c = s.connect(t, mqtt.V5, "c", expiring(100))
	c.publish("a/x", "own", 1)
	c.quiet()
	c.subscribe(0, "a/x") // another subscription without the option
	c.publish("a/x", "own", 0)
	c.message("a/x", "own")
	c.quiet()
}

// TestUnsubscribe removes what is equal character by character, and nothing else; several filters are answered in order.
func TestUnsubscribe(t *testing.T) {
	conformance.Covers(t, "MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.11.3-1", "MQTT-3.11.3-2",
		"MQTT-3.11.2-1", "MQTT-3.11.2-2")
	conformance.Covers(t, "MQTT311-3.10.4-1", "MQTT311-3.10.4-2", "MQTT311-3.10.4-4", "MQTT311-3.10.4-5", "MQTT311-3.10.4-6")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		c.subscribe(1, "a/+", "a/b", "A/b", "x", "y", "z")
		c.send(&mqtt.Unsubscribe{PacketID: 55, Filters: []string{"x", "a/#", "+/b", "a/b", "a/b", "z"}})
		ack := expect[*mqtt.Unsuback](c)
		want := []mqtt.ReasonCode{0, mqtt.NoSubscriptionExisted, mqtt.NoSubscriptionExisted, 0, mqtt.NoSubscriptionExisted, 0}
		if v == mqtt.V311 {
			want = nil
		}
		if ack.PacketID != 55 || !slices.Equal(ack.ReasonCodes, want) || ack.Properties.Present != 0 {
			t.Errorf("%+v, want %v", ack, want)
		}
		sender := s.connect(t, v, "sender")
		for _, name := range []string{"x", "z", "a/b", "A/b", "y"} {
			sender.publish(name, name, 1)
			if name != "x" && name != "z" {
				c.acknowledge(c.message(name, name))
			}
		}
		c.send(&mqtt.Unsubscribe{PacketID: 56, Filters: []string{"a/+"}})
		expect[*mqtt.Unsuback](c)
		sender.publish("a/b", "nobody", 1)
		c.quiet()
	})
}

// TestUnsubscribeKeepsDeliveries: what was under way is completed, on the next connection if need be.
func TestUnsubscribeKeepsDeliveries(t *testing.T) {
	conformance.Covers(t, "MQTT-3.10.4-3", "MQTT311-3.10.4-3")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c", durable)
		c.subscribe(2, "a")
		sender := s.connect(t, v, "sender")
		sender.publish("a", "one", 1)
		sender.publish("a", "two", 2)
		c.message("a", "one")
		two := c.message("a", "two")
		c.send(&mqtt.Unsubscribe{PacketID: 5, Filters: []string{"a"}})
		expect[*mqtt.Unsuback](c)
		c.acknowledge(two)
		c.quiet()
		gone(c)
		c = s.connect(t, v, "c", durable)
		c.acknowledge(c.message("a", "one"))
		sender.publish("a", "nobody", 1)
		c.quiet()
	})
}
