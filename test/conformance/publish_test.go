package conformance_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestAnswers: a PUBLISH is answered as its QoS demands, whether or not anybody or nobody gets it.
func TestAnswers(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-1", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT-2.2.1-5", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.7.2-1")
	conformance.Covers(t, "MQTT311-3.3.4-1", "MQTT311-4.3.2-2", "MQTT311-4.3.3-2", "MQTT311-2.3.1-6")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		receiver := s.connect(t, v, "receiver")
		receiver.subscribe(2, "a")
		c := s.connect(t, v, "c")
		for _, name := range []string{"a", "nobody"} {
			for qos := mqtt.AtMostOnce; qos <= mqtt.ExactlyOnce; qos++ {
				c.publish(name, "x", qos)
				c.quiet()
				if name == "a" {
					got := receiver.message("a", "x")
					if got.QoS != qos {
						t.Errorf("QoS %d arrives as %d", qos, got.QoS)
					}
					receiver.acknowledge(got)
				}
			}
		}
		receiver.quiet()
	})
}

// TestRefusedPublish: without the right, version 5 hears the code, 3.1.1 the usual acknowledgement, and nobody gets it.
func TestRefusedPublish(t *testing.T) {
	conformance.Covers(t, "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-4.3.3-9", "MQTT311-3.3.5-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		watch := s.connect(t, v, "watch")
		watch.subscribe(0, "#")
		c := s.connect(t, v, "c")
		c.send(&mqtt.Publish{Topic: "secret/x", QoS: 1, PacketID: 5})
		if a := expect[*mqtt.Puback](c); a.PacketID != 5 || (a.ReasonCode == mqtt.NotAuthorized) != (v == mqtt.V5) {
			t.Errorf("%+v", a)
		}
		c.send(&mqtt.Publish{Topic: "secret/x", QoS: 2, PacketID: 6})
		if a := expect[*mqtt.Pubrec](c); a.PacketID != 6 || (a.ReasonCode == mqtt.NotAuthorized) != (v == mqtt.V5) {
			t.Errorf("%+v", a)
		}
		if v == mqtt.V311 { // it was told that all is well, so it releases
			c.send(&mqtt.Pubrel{PacketID: 6})
			expect[*mqtt.Pubcomp](c)
		}
		c.publish("secret/x", "x", 0)
		c.publish("open", "same identifier, new message", 2, func(p *mqtt.Publish) { p.PacketID = 6 })
		watch.message("open", "same identifier, new message")
		watch.quiet()
	})
}

// TestMalformedPublish: what a PUBLISH must not be.
func TestMalformedPublish(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.1-2", "MQTT-3.3.1-4", "MQTT-3.3.2-1", "MQTT-3.3.2-2", "MQTT-3.3.2-8", "MQTT-3.3.2-14", "MQTT-3.3.4-6", "MQTT-4.7.0-1",
		"MQTT-4.7.3-1", "MQTT-4.13.1-1", "MQTT-3.14.2-1", "MQTT-3.14.2-2", "MQTT-4.13.2-1")
	conformance.Covers(t, "MQTT311-3.3.1-2", "MQTT311-3.3.1-4", "MQTT311-3.3.2-1", "MQTT311-3.3.2-2", "MQTT311-4.7.1-1", "MQTT311-4.7.3-1", "MQTT311-4.8.0-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		s.breaks(t, v, "QoS 3", frame(0x36, lp("a"), "\x00\x01", noProps(v)), mqtt.MalformedPacket)
		s.breaks(t, v, "DUP with QoS 0", frame(0x38, lp("a"), noProps(v)), mqtt.MalformedPacket)
		for _, name := range []string{"#", "+", "a/#", "a/+/b", "a+"} {
			s.breaks(t, v, "topic "+name, frame(0x30, lp(name), noProps(v)), mqtt.TopicNameInvalid)
			s.rejects(t, v, "will topic "+name, connectFrame(v, 0x06, lp("c"), noProps(v), lp(name), lp("")), mqtt.TopicNameInvalid)
		}
		s.breaks(t, v, "no topic", frame(0x30, lp(""), noProps(v)), mqtt.ProtocolError)
		s.breaks(t, v, "topic longer than the packet", frame(0x30, "\x00\x09abc"), mqtt.MalformedPacket)
		if v != mqtt.V5 {
			return
		}
		s.breaks(t, v, "alias 0", frame(0x30, lp("a"), "\x03\x23\x00\x00"), mqtt.TopicAliasInvalid)
		s.breaks(t, v, "response topic with wildcard", frame(0x30, lp("a"), "\x06\x08"+lp("r/#")), mqtt.ProtocolError)
		s.breaks(t, v, "subscription identifier", frame(0x30, lp("a"), "\x02\x0B\x01"), mqtt.ProtocolError)
	})
}

// TestForwardedProperties: what the publisher says about a message reaches the subscriber unchanged, live, queued and
// retained.
func TestForwardedProperties(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
	timed(t, func(t *testing.T, s *server) {
		users := []mqtt.UserProperty{{Key: "z", Value: "1"}, {Key: "a", Value: ""}, {Key: "z", Value: "0"}, {Key: "ü", Value: "日本"}}
		check := func(p *mqtt.Properties) {
			t.Helper()
			if p.PayloadFormat != 1 || p.ResponseTopic != "reply/to" || string(p.CorrelationData) != "\x00\x01\xff" ||
				p.ContentType != "text/x" || !slices.Equal(p.User, users) || p.Has(mqtt.PropMessageExpiry) {
				t.Errorf("%+v", p)
			}
		}
		live := s.connect(t, mqtt.V5, "live")
		live.subscribe(0, "a")
		queued := s.connect(t, mqtt.V5, "queued", durable)
		queued.subscribe(1, "a")
		gone(queued)
		c := s.connect(t, mqtt.V5, "c")
		c.publish("a", "x", 1, retained, func(p *mqtt.Publish) {
			p.Properties.SetPayloadFormat(1)
			p.Properties.SetResponseTopic("reply/to")
			p.Properties.SetCorrelationData([]byte{0, 1, 255})
			p.Properties.SetContentType("text/x")
			for _, u := range users {
				p.Properties.AddUser(u.Key, u.Value)
			}
		})
		check(&live.message("a", "x").Properties)
		check(&s.connect(t, mqtt.V5, "queued", durable).message("a", "x").Properties)
		late := s.connect(t, mqtt.V5, "late")
		late.subscribe(0, "a")
		check(&late.message("a", "x").Properties)
		c.publish("a", "plain", 0)
		if p := live.message("a", "plain"); p.Properties.Present != 0 {
			t.Errorf("properties of another message: %+v", p.Properties)
		}
	})
}

// TestMessageExpiry: time spent in the broker counts; what is over is not delivered; what was sent once is finished.
func TestMessageExpiry(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.2-5", "MQTT-3.3.2-6", "MQTT-4.3.3-7", "MQTT-4.3.3-13")
	timed(t, func(t *testing.T, s *server) {
		expiry := func(seconds uint32) func(p *mqtt.Publish) {
			return func(p *mqtt.Publish) { p.Properties.SetMessageExpiry(seconds) }
		}
		sub := s.connect(t, mqtt.V5, "sub", durable)
		sub.subscribe(2, "a")
		c := s.connect(t, mqtt.V5, "c")
		c.publish("a", "under way", 2, expiry(10))
		open := sub.message("a", "under way")
		if open.Properties.MessageExpiry != 10 {
			t.Errorf("expiry %d at once", open.Properties.MessageExpiry)
		}
		gone(sub)
		c.publish("a", "lasts", 1, expiry(100))
		c.publish("a", "over", 1, expiry(10))
		c.publish("a", "over, too", 2, expiry(29))
		c.publish("a", "for ever", 1)
		c.publish("r", "retained", 1, expiry(10), retained)
		time.Sleep(30 * time.Second)
		sub = s.connect(t, mqtt.V5, "sub", durable)
		again := sub.message("a", "under way") // sent before it expired, so its exchange goes on
		if again.PacketID != open.PacketID || !again.Dup {
			t.Errorf("%+v", again)
		}
		if got := sub.message("a", "lasts"); got.Properties.MessageExpiry != 70 {
			t.Errorf("expiry %d after 30 of 100 seconds", got.Properties.MessageExpiry)
		} else {
			sub.acknowledge(got)
		}
		forever := sub.message("a", "for ever")
		if forever.Properties.Has(mqtt.PropMessageExpiry) {
			t.Error("a message without expiry got one")
		}
		sub.acknowledge(forever)
		sub.acknowledge(again)
		sub.subscribe(0, "r")
		sub.quiet()
	})
}

// TestInboundAlias: every alias up to the announced maximum works, ends with its connection, and none beyond does.
func TestInboundAlias(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.2-7", "MQTT-3.3.2-8", "MQTT-3.3.2-12")
	s := start(t)
	watch := s.connect(t, mqtt.V5, "watch")
	watch.subscribe(0, "t/#")
	send := func(c *client, name string, alias uint16) {
		p := &mqtt.Publish{Topic: name, Payload: []byte("x")}
		p.Properties.SetTopicAlias(alias)
		c.send(p)
	}
	c := s.connect(t, mqtt.V5, "c", durable)
	for alias := uint16(1); alias <= topicAliasMaximum; alias++ {
		send(c, numbered("t/n", int(alias)), alias)
		watch.message(numbered("t/n", int(alias)), "x")
	}
	for alias := uint16(1); alias <= topicAliasMaximum; alias++ {
		send(c, "", alias)
		if p := watch.message(numbered("t/n", int(alias)), "x"); p.Properties.Has(mqtt.PropTopicAlias) {
			t.Error("the publisher's alias was forwarded")
		}
	}
	send(c, "t/new", 1)
	watch.message("t/new", "x")
	send(c, "", 1)
	watch.message("t/new", "x")
	send(c, "t/x", topicAliasMaximum+1)
	c.ended(mqtt.TopicAliasInvalid)
	c = s.connect(t, mqtt.V5, "c", durable)
	send(c, "", 1)
	c.ended(mqtt.ProtocolError)
	watch.quiet()
}

// TestOutboundAlias: only clients that want aliases get them, within their maximum, and anew on every connection.
func TestOutboundAlias(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-7", "MQTT-3.3.2-8", "MQTT-3.3.2-11")
	s := start(t)
	names := []string{"topic/one", "topic/two", "topic/three", "topic/four"}
	for _, limit := range []int{-1, 0, 1, 3} {
		for _, qos := range []mqtt.QoS{0, 1} {
			for range 2 { // the second connection resumes the session and must learn the aliases again
				sub := s.connect(t, mqtt.V5, "sub", expiring(100), properties(func(p *mqtt.Properties) {
					if limit >= 0 {
						p.SetTopicAliasMaximum(uint16(limit))
					}
				}))
				sub.subscribe(qos, "topic/#")
				c := s.connect(t, mqtt.V5, "c")
				known := map[uint16]string{}
				for range 3 {
					for _, name := range names {
						c.publish(name, "x", qos)
						p := expect[*mqtt.Publish](sub)
						alias, topic := p.Properties.TopicAlias, strings.Clone(p.Topic)
						if p.Properties.Has(mqtt.PropTopicAlias) && (alias == 0 || int(alias) > limit) {
							t.Fatalf("limit %d: alias %d", limit, alias)
						}
						if topic == "" {
							topic = known[alias]
						} else if alias != 0 {
							known[alias] = topic
						}
						if topic != name {
							t.Fatalf("limit %d: got %q, want %q", limit, topic, name)
						}
						sub.acknowledge(p.Clone())
					}
				}
				sub.quiet()
			}
		}
	}
}

// TestMaximumPacketSize: what is too large for a client is dropped for that client and counts as sent; nothing exceeds
// the limit, with or without aliases. The client checks the size of every packet it reads.
func TestMaximumPacketSize(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-24", "MQTT-3.1.2-25")
	s := start(t)
	const limit = 60
	for _, qos := range []mqtt.QoS{0, 1, 2} {
		small := s.connect(t, mqtt.V5, "small", properties(func(p *mqtt.Properties) {
			p.SetMaximumPacketSize(limit)
			p.SetReceiveMaximum(1)
			p.SetTopicAliasMaximum(100)
		}))
		small.subscribe(qos, "t/#")
		other := s.connect(t, mqtt.V5, "other")
		other.subscribe(0, "t/#")
		c := s.connect(t, mqtt.V5, "c")
		for n := 30; n < limit+10; n++ {
			payload := strings.Repeat("x", n)
			c.publish(numbered("t/name", n), payload, qos)
			other.message(numbered("t/name", n), payload)
			if 1+1+2+len(numbered("t/name", n))+1+n+2*int(min(qos, 1)) <= limit {
				p := expect[*mqtt.Publish](small).Clone()
				if string(p.Payload) != payload {
					t.Fatalf("QoS %d: %d bytes arrive as %d", qos, n, len(p.Payload))
				}
				small.acknowledge(p)
			}
		}
		c.publish("t/last", "fits", qos) // nothing was left open by what did not fit
		small.acknowledge(small.message("t/last", "fits"))
	}
}

// TestReceiveMaximum: a client that opens more than it was allowed is told so; whoever stays within is not.
func TestReceiveMaximum(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-7", "MQTT-4.13.1-1")
	s := start(t)
	c := s.connect(t, mqtt.V5, "c")
	for id := range mqtt.PacketID(receiveMaximum) {
		c.send(&mqtt.Publish{Topic: "a", QoS: 2, PacketID: id + 1})
		expect[*mqtt.Pubrec](c)
	}
	c.publish("a", "QoS 0 does not count", 0)
	c.send(&mqtt.Pubrel{PacketID: 1})
	expect[*mqtt.Pubcomp](c)
	c.send(&mqtt.Publish{Topic: "a", QoS: 2, PacketID: 100})
	expect[*mqtt.Pubrec](c)
	c.send(&mqtt.Publish{Topic: "a", QoS: 2, PacketID: 101})
	c.ended(mqtt.ReceiveMaximumExceeded)
}

// TestOverlapping: one delivery for all matching subscriptions of a client, with the highest QoS and all identifiers.
func TestOverlapping(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.4-2", "MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT311-3.3.5-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		sub := s.connect(t, v, "sub")
		for i, filter := range []string{"a/+", "a/b", "#", "a/#"} {
			sub.subscribeWith(func(p *mqtt.Properties) {
				if v == mqtt.V5 && filter != "a/b" {
					p.AddSubscriptionID(uint32(i+1) * 1000)
				}
			}, mqtt.Subscription{Filter: filter, QoS: mqtt.QoS(i % 3)})
		}
		c := s.connect(t, v, "c")
		c.publish("a/b", "x", 2)
		got := sub.message("a/b", "x")
		if got.QoS != 2 {
			t.Errorf("QoS %d", got.QoS)
		}
		ids := slices.Sorted(slices.Values(got.Properties.SubscriptionIDs))
		if want := []uint32{1000, 3000, 4000}; v == mqtt.V5 && !slices.Equal(ids, want) {
			t.Errorf("identifiers %v, want %v", ids, want)
		}
		sub.acknowledge(got)
		c.publish("z", "x", 2)
		got = sub.message("z", "x")
		if v == mqtt.V5 && !slices.Equal(got.Properties.SubscriptionIDs, []uint32{3000}) {
			t.Errorf("%v", got.Properties.SubscriptionIDs)
		}
		sub.acknowledge(got)
		sub.quiet()
	})
}

// TestDup: the DUP flag of a delivery tells of that delivery only.
func TestDup(t *testing.T) {
	conformance.Covers(t, "MQTT-3.3.1-1", "MQTT-3.3.1-3", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT311-3.3.1-1", "MQTT311-3.3.1-3")
	bothTimed(t, func(t *testing.T, s *server, v mqtt.Version) {
		sub := s.connect(t, v, "sub", durable)
		sub.subscribe(2, "a")
		c := s.connect(t, v, "c")
		for _, qos := range []mqtt.QoS{1, 2} {
			c.publish("a", "x", qos, func(p *mqtt.Publish) { p.Dup = true })
			first := sub.message("a", "x")
			if first.Dup {
				t.Errorf("QoS %d: the publisher's DUP was forwarded", qos)
			}
			gone(sub)
			sub = s.connect(t, v, "sub", durable)
			again := sub.message("a", "x")
			if !again.Dup || again.PacketID != first.PacketID || again.QoS != qos {
				t.Errorf("QoS %d: repeated as %+v", qos, again)
			}
			sub.acknowledge(again)
			synctest.Wait()
		}
		sub.quiet()
	})
}
